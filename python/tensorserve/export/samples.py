# SPDX-License-Identifier: Apache-2.0
"""Made-up inputs, for the check of an export and for its warm-up requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ROWS = 3
"""Rows of made-up inputs."""
LENGTHS = (4, 64, 512, 4096, 16384)
"""What open dimensions but the first are filled in with, one after the other until the model takes it."""
_OPEN_PICTURE = 64
_SEED = 15


def made_up(specs: Mapping[str, Any], pictures: frozenset[str], length: int = LENGTHS[0]) -> dict[str, Any]:
    """Tensors that fit some specs: numbers from 0 to 1, small integers, short texts.

    Args:
        specs: `tf.TensorSpec` by alias.
        pictures: Aliases of those that take image files.
        length: How large open dimensions but the first are.
    """
    import numpy as np

    random = np.random.default_rng(_SEED)
    return {alias: _tensor(spec, random, length, alias in pictures) for alias, spec in specs.items()}


def _tensor(spec: Any, random: Any, length: int, is_picture: bool) -> Any:
    import numpy as np
    import tensorflow as tf

    shape = _closed(spec.shape, length)
    if spec.dtype == tf.string:
        count = int(np.prod(shape))
        values = [_picture(random) if is_picture else b"a short text %d" % index for index in range(count)]
        return tf.constant(values, tf.string, shape)
    if spec.dtype.is_bool:
        return tf.constant(random.integers(0, 2, shape).astype(bool))
    if spec.dtype.is_integer:
        # Numbers of words and categories must be small.
        return tf.cast(tf.constant(random.integers(0, 2, shape)), spec.dtype)
    return tf.cast(tf.constant(random.random(shape)), spec.dtype)


def _closed(shape: Any, length: int) -> list[int]:
    if shape.rank is None:
        return [ROWS]
    inner = max(length, _OPEN_PICTURE) if shape.rank >= 4 else length
    sizes = [inner if size is None else size for size in shape.as_list()]
    if sizes and shape[0] is None:
        sizes[0] = ROWS
    return sizes


def _picture(random: Any) -> bytes:
    import numpy as np
    import tensorflow as tf

    pixels = random.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return bytes(tf.io.encode_png(pixels).numpy())


def made_up_example(features: Mapping[str, Any], row: int) -> bytes:
    """A serialized tf.Example with every feature.

    Args:
        features: `tf.io` features by name.
        row: Makes examples differ.
    """
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng([_SEED, row])
    made = {}
    for name, feature in features.items():
        shape = getattr(feature, "shape", None)
        count = int(np.prod(shape)) if shape is not None else 2
        if feature.dtype == tf.string:
            value = [b"text %d" % index for index in range(count)]
            made[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=value))
        elif feature.dtype.is_integer:
            value = random.integers(0, 2, count).tolist()
            made[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=value))
        else:
            made[name] = tf.train.Feature(float_list=tf.train.FloatList(value=random.random(count).tolist()))
    example = tf.train.Example(features=tf.train.Features(feature=made))
    return bytes(example.SerializeToString(deterministic=True))
