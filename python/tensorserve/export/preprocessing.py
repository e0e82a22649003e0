# SPDX-License-Identifier: Apache-2.0
"""What happens to an input in the graph before the model sees it: image files to pixels, text to tokens."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tensorserve.errors import Code, ServingError


@dataclass(frozen=True, slots=True)
class Step:
    """A function of a tensor.

    Attributes:
        call: Computes it.
        owners: Trackable objects that hold what it needs.
    """

    call: Callable[[Any], Any]
    owners: tuple[Any, ...] = ()


class Preprocessing(Protocol):
    """A step before the model."""

    def spec(self) -> Any:
        """The `tf.TensorSpec` of what requests give."""

    def step(self, wanted: Any) -> Step:
        """Makes what the model takes, tensors of the `tf.TensorSpec` `wanted`."""


@dataclass(frozen=True, slots=True)
class ImageBytes:
    """PNG, JPEG, GIF or BMP files to pixels: decoded, resized, `(pixel * scale - mean) / deviation`.

    Attributes:
        height: Rows of pixels; 0 for those that the model's input declares.
        width: Columns of pixels; the same.
        channels: 3 for RGB, 1 for grey; 0 for those that the model's input declares.
        scale: Factor; 1/255 for a model that takes values from 0 to 1.
        mean: What is taken off, one number or one for each channel.
        deviation: What the rest is divided by, one number or one for each channel.
    """

    height: int = 0
    width: int = 0
    channels: int = 0
    scale: float = 1.0
    mean: float | tuple[float, ...] = 0.0
    deviation: float | tuple[float, ...] = 1.0

    def spec(self) -> Any:
        """See `Preprocessing`."""
        import tensorflow as tf

        return tf.TensorSpec([None], tf.string)

    def step(self, wanted: Any) -> Step:
        """See `Preprocessing`."""
        import tensorflow as tf

        declared = wanted.shape.as_list() if wanted.shape.rank == 4 else [None] * 4
        height, width, channels = (
            own or size for own, size in zip((self.height, self.width, self.channels), declared[1:], strict=True)
        )
        if not (height and width and channels):
            text = (
                f"the model's input {wanted.shape} does not say how large a picture is; say it: "
                "ImageBytes(height, width, channels)"
            )
            raise ServingError(Code.INVALID_ARGUMENT, text)

        def pixels(content: Any) -> Any:
            picture = tf.io.decode_image(content, channels=channels, expand_animations=False)
            picture.set_shape([None, None, channels])
            return tf.image.resize(tf.cast(picture, tf.float32), [height, width])

        def call(given: Any) -> Any:
            spec = tf.TensorSpec([height, width, channels], tf.float32)
            pictures = tf.map_fn(pixels, given, fn_output_signature=spec)
            pictures = (pictures * self.scale - tf.constant(self.mean)) / tf.constant(self.deviation)
            return tf.cast(pictures, wanted.dtype)

        return Step(call)


@dataclass(frozen=True, slots=True)
class WordPieces:
    """Text to the numbers of BERT's word pieces, padded with zeros.

    Needs the package tensorflow-text, here and on the server.

    Attributes:
        vocabulary: File with one word piece on each line; it becomes an asset.
        length: Tokens of a row; 0 for what the model's input declares.
        lower_case: Whether text becomes lower case, without accents.
    """

    vocabulary: str | os.PathLike[str]
    length: int = 0
    lower_case: bool = True

    def spec(self) -> Any:
        """See `Preprocessing`."""
        import tensorflow as tf

        return tf.TensorSpec([None], tf.string)

    def step(self, wanted: Any) -> Step:
        """See `Preprocessing`."""
        import tensorflow as tf

        try:
            import tensorflow_text
        except ImportError as error:
            text = f"WordPieces needs the package tensorflow-text ({error}); run: pip install tensorflow-text"
            raise ServingError(Code.FAILED_PRECONDITION, text) from error
        length = self.length or (wanted.shape[1] if wanted.shape.rank == 2 else None)
        if not length:
            text = (
                f"the model's input {wanted.shape} does not say how many tokens it takes; say it: "
                "WordPieces(vocabulary, length)"
            )
            raise ServingError(Code.INVALID_ARGUMENT, text)
        tokenizer = tensorflow_text.BertTokenizer(os.fspath(self.vocabulary), lower_case=self.lower_case)

        def call(given: Any) -> Any:
            tokens = tokenizer.tokenize(given).merge_dims(1, -1)
            return tf.cast(tokens.to_tensor(shape=[None, length]), wanted.dtype)

        return Step(call, (tokenizer,))
