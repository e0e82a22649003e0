# SPDX-License-Identifier: Apache-2.0
"""Inputs as they are written on a command line: `x=[1, 2]`, `text=hello`, `image=@cat.png`, `x=@values.npy`."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tensorserve_client.errors import InputError
from tensorserve_client.examples import convert as convert_example
from tensorserve_client.grpc_codec import example_bytes
from tensorserve_client.results import TensorSpec
from tensorserve_client.values import convert

_IMAGES = ("bmp", "gif", "jpeg", "jpg", "png", "webp")


def read_inputs(
    words: Sequence[str], examples: Sequence[str], specs: Mapping[str, TensorSpec]
) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays that a command line gives.

    Args:
        words: `ALIAS=VALUE`; the alias may be left out where the signature has one input.
        examples: JSON objects of features, which become serialized `tf.Example`s for the only input.
        specs: The inputs of the signature.

    Raises:
        InputError: A value cannot be read, or is of no use for its input.
    """
    given: dict[str, Any] = {}
    if examples:
        given[_only(specs, "--example")] = [example_bytes(convert_example(_example(text))) for text in examples]
    for word in words:
        alias, text = _split(word, specs)
        if alias in given:
            raise InputError(f"input {alias} is given twice")
        given[alias] = read_value(alias, text, specs.get(alias))
    return {
        alias: _batched(convert(value, alias, specs.get(alias)), specs.get(alias)) for alias, value in given.items()
    }


def read_value(alias: str, text: str, spec: TensorSpec | None) -> Any:
    """One value: what follows the `=`.

    `@FILE` is the content of a file: an array (`.npy`), JSON (`.json`), and else the bytes of the file. An
    image becomes pixels if the signature wants numbers. `@-` reads JSON from the standard input. Other text is JSON, or
    itself where the signature wants text or where it is none.
    """
    wants_text = spec is not None and spec.dtype is not None and spec.dtype.hasobject
    if text.startswith("@"):
        return _file(alias, text[1:], spec)
    if wants_text and not text.lstrip().startswith(("[", '"')):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        if spec is not None and not wants_text:
            raise InputError(
                f"input {alias}: {text!r} is no JSON ({error}), and the signature wants {spec.dtype_name}; "
                f"for a file write {alias}=@FILE"
            ) from error
        return text


def _split(word: str, specs: Mapping[str, TensorSpec]) -> tuple[str, str]:
    alias, separator, text = word.partition("=")
    if separator and (alias in specs or alias.isidentifier()):
        if specs and alias not in specs:
            raise InputError(f"the signature has no input {alias}; there are: {', '.join(specs)}")
        return alias, text
    return _only(specs, f"--input {word}"), word


def _only(specs: Mapping[str, TensorSpec], what: str) -> str:
    if len(specs) != 1:
        raise InputError(f"{what}: the signature has the inputs {', '.join(specs) or '(unknown)'}; write ALIAS=VALUE")
    return next(iter(specs))


def _example(text: str) -> dict[str, Any]:
    try:
        value = json.loads(_read(text[1:]) if text.startswith("@") else text)
    except ValueError as error:
        raise InputError(f"--example {text}: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"--example {text}: an Example is a JSON object of features")
    return value


def _file(alias: str, path: str, spec: TensorSpec | None) -> Any:
    content, kind = _read(path), path.rpartition(".")[2].lower()
    try:
        if kind == "npy":
            return np.load(io.BytesIO(content), allow_pickle=False)
        if kind == "json" or path == "-":
            return json.loads(content)
    except ValueError as error:
        raise InputError(f"input {alias}: {path}: {error}") from error
    if spec is None or spec.dtype is None or spec.dtype.hasobject:
        return content
    if kind in _IMAGES:
        return _pixels(alias, path, content)
    raise InputError(f"input {alias}: {path} is no .npy, .json or image, and the signature wants {spec.dtype_name}")


def _pixels(alias: str, path: str, content: bytes) -> np.ndarray[Any, Any]:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise InputError(f"input {alias}: reading {path} as pixels needs Pillow: pip install pillow") from error
    try:
        return np.asarray(Image.open(io.BytesIO(content)))
    except UnidentifiedImageError as error:
        raise InputError(f"input {alias}: {path} is no image") from error


def _batched(array: np.ndarray[Any, Any], spec: TensorSpec | None) -> np.ndarray[Any, Any]:
    """One item for an input that takes a batch becomes a batch of one; pixels get the type that is wanted."""
    if spec is None or spec.shape is None:
        return array
    if spec.dtype is not None and not spec.dtype.hasobject and array.dtype == np.uint8:
        array = array.astype(spec.dtype)
    one_item = array.ndim == len(spec.shape) - 1 and spec.shape[0] in (-1, 1)
    return array[np.newaxis] if one_item else array


def _read(path: str) -> bytes:
    try:
        if path == "-":
            return sys.stdin.buffer.read()
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
