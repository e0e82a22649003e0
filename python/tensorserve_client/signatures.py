# SPDX-License-Identifier: Apache-2.0
"""Signatures as servers describe them, and what is remembered of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from tensorserve_client import tensors
from tensorserve_client.protos import enum_names
from tensorserve_client.results import Metadata, Signature, TensorSpec
from tensorserve_client.verbs import Spec

# After this many seconds a signature is asked for again: another version may have another.
_FRESH_SECONDS = 60.0
_MAX_REMEMBERED = 1024

DEFAULT = "serving_default"


def of_message(signature: Any) -> Signature:
    """A `SignatureDef`."""
    return Signature(signature.method_name, _specs(signature.inputs), _specs(signature.outputs))


def _specs(infos: Mapping[str, Any]) -> dict[str, TensorSpec]:
    types = enum_names("tensorflow.DataType")
    return {
        alias: TensorSpec(
            info.name,
            tensors.dtype_of(info.dtype),
            types.get(info.dtype, str(info.dtype)),
            None if info.tensor_shape.unknown_rank else tuple([dim.size for dim in info.tensor_shape.dim]),
        )
        for alias, info in infos.items()
    }


def of_json(signature: Mapping[str, Any]) -> Signature:
    """A `SignatureDef` in protobuf's JSON form."""
    return Signature(
        signature.get("method_name", ""),
        _json_specs(signature.get("inputs", {})),
        _json_specs(signature.get("outputs", {})),
    )


def _json_specs(infos: Mapping[str, Any]) -> dict[str, TensorSpec]:
    numbers = {name: number for number, name in enum_names("tensorflow.DataType").items()}
    specs = {}
    for alias, info in infos.items():
        shape = info.get("tensor_shape", {})
        dims = None if shape.get("unknown_rank") else tuple(int(dim.get("size", 0)) for dim in shape.get("dim", []))
        dtype = info.get("dtype", "DT_INVALID")
        specs[alias] = TensorSpec(info.get("name", ""), tensors.dtype_of(numbers.get(dtype, 0)), dtype, dims)
    return specs


class KnownSignatures:
    """Signatures that servers have told, for a minute each."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[Spec, tuple[float, Metadata]] = {}

    def get(self, spec: Spec) -> Metadata | None:
        """What is known of this version, if it is fresh."""
        found = self._known.get(_without_signature(spec))
        return found[1] if found is not None and self._clock() < found[0] else None

    def put(self, spec: Spec, metadata: Metadata) -> None:
        """Remembers what a server told."""
        if len(self._known) >= _MAX_REMEMBERED:
            self._known.clear()
        self._known[_without_signature(spec)] = (self._clock() + _FRESH_SECONDS, metadata)


def _without_signature(spec: Spec) -> Spec:
    return Spec(spec.model, spec.version, spec.label)
