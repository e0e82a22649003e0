# SPDX-License-Identifier: Apache-2.0
"""Warm-up requests of an export: what a server runs before it serves the version."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tensorserve import protos
from tensorserve.export.signatures import Built
from tensorserve.warmup.model_warmup import WARMUP_FILE
from tensorserve.warmup.recording import write_warmup_file

_LARGEST_BYTES = 16 << 20
_METHOD = "tensorflow/serving/"


def write(folder: str, model: str, requests: Mapping[str, tuple[Built, Mapping[str, Any]]]) -> int:
    """Writes the first row of each signature's inputs as a request.

    Args:
        folder: The version.
        model: Its name.
        requests: Signature and inputs, by name.

    Returns:
        How many were written: those of reasonable size.

    Raises:
        ServingError: The file cannot be written.
    """
    records = [_record(model, name, built, inputs) for name, (built, inputs) in requests.items()]
    records = [record for record in records if len(record) <= _LARGEST_BYTES]
    if records:
        write_warmup_file(os.path.join(folder, WARMUP_FILE), records)
    return len(records)


def _record(model: str, name: str, built: Built, inputs: Mapping[str, Any]) -> bytes:
    log = protos.PredictionLog()
    verb = built.method_name.removeprefix(_METHOD)
    if verb == "predict" or set(inputs) != {"inputs"}:
        request = log.predict_log.request
        for alias, tensor in inputs.items():
            request.inputs[alias].CopyFrom(protos.TensorProto.FromString(_first_row(tensor, built.inputs[alias])))
    else:
        request = getattr(log, f"{verb}_log").request
        for serialized in inputs["inputs"].numpy()[:1]:
            request.input.example_list.examples.append(protos.Example.FromString(serialized))
    request.model_spec.name = model
    request.model_spec.signature_name = name
    return bytes(log.SerializeToString(deterministic=True))


def _first_row(tensor: Any, spec: Any) -> bytes:
    import tensorflow as tf

    is_batch = spec.shape.rank and spec.shape[0] is None
    return bytes(tf.make_tensor_proto(tensor.numpy()[:1] if is_batch else tensor.numpy()).SerializeToString())
