# SPDX-License-Identifier: Apache-2.0
"""What a file of PredictionLogs holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tensorserve import protos
from tensorserve.errors import Code, ServingError
from tensorserve.warmup.model_warmup import WARMUP_FILE

KINDS = {
    "predict_log": "predict",
    "classify_log": "classify",
    "regress_log": "regress",
    "multi_inference_log": "multi_inference",
    "session_run_log": "session_run",
    "predict_streamed_log": "predict_streamed",
}
"""The verb of each member of `PredictionLog.log_type`."""


@dataclass(frozen=True, slots=True)
class Input:
    """What a request gives a model.

    Attributes:
        name: Alias of the input; `examples` for requests of tf.Example messages.
        dtype: Such as `DT_FLOAT`.
        shape: Its dimensions.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file.

    Attributes:
        kind: The verb, or an empty text for a record without a request.
        model: Name of the model that the request went to.
        signature: Its signature; several are separated by commas, an empty text means the default one.
        inputs: What the request gives.
        request_bytes: Size of the request.
        has_response: Whether the record has the response as well.
    """

    kind: str
    model: str
    signature: str
    inputs: tuple[Input, ...]
    request_bytes: int
    has_response: bool


def warmup_path(path: str) -> str:
    """The file that `path` means: itself, or that of the version directory which it is."""
    return os.path.join(path, WARMUP_FILE) if os.path.isdir(path) else path


def read_logs(path: str) -> Iterator[Any]:
    """The PredictionLogs of a TFRecord file, one after the other.

    Raises:
        ServingError: NOT_FOUND and the like if it cannot be read, DATA_LOSS if it is damaged, INVALID_ARGUMENT if a
            record is no PredictionLog.
    """
    from google.protobuf.message import DecodeError

    from tensorserve import _core

    make = protos.message("tensorflow.serving.PredictionLog").FromString
    number = 0
    try:
        for record in _core.TfRecordReader(path):
            yield make(record)
            number += 1
    except DecodeError as error:
        message = f"Record {number} of {path} is no tensorflow.serving.PredictionLog"
        raise ServingError(Code.INVALID_ARGUMENT, message) from error
    except OSError as error:
        error.filename = path
        raise ServingError.wrap(error) from error
    except _core.ServingError as error:
        code, text = error.args
        raise ServingError(Code(code), f"{path}: {text}") from error


def describe(log: Any) -> Record:
    """What a PredictionLog holds."""
    member = log.WhichOneof("log_type")
    if member is None:
        return Record("", log.log_metadata.model_spec.name, "", (), 0, False)
    kind, entry = KINDS[member], getattr(log, member)
    if kind == "predict_streamed":
        size = sum(request.ByteSize() for request in entry.request)
        return Record(kind, log.log_metadata.model_spec.name, "", (), size, len(entry.response) > 0)
    request = entry.request
    model, signature = _target(kind, request)
    return Record(
        kind=kind,
        model=log.log_metadata.model_spec.name or model,
        signature=signature,
        inputs=_inputs(kind, request),
        request_bytes=request.ByteSize(),
        has_response=entry.HasField("response"),
    )


def _target(kind: str, request: Any) -> tuple[str, str]:
    """The model and the signature that a request names."""
    if kind != "multi_inference":
        return request.model_spec.name, request.model_spec.signature_name
    specs = [task.model_spec for task in request.tasks]
    return (specs[0].name if specs else ""), ",".join(spec.signature_name for spec in specs)


def _inputs(kind: str, request: Any) -> tuple[Input, ...]:
    if kind == "predict":
        return tuple(_tensor(name, tensor) for name, tensor in sorted(request.inputs.items()))
    if kind == "session_run":
        return tuple(_tensor(feed.name, feed.tensor) for feed in request.feed)
    given = request.input
    examples = given.example_list_with_context.examples or given.example_list.examples
    return (Input("examples", "DT_STRING", (len(examples),)),)


def _tensor(name: str, tensor: Any) -> Input:
    dtypes = protos.enum("tensorflow.DataType")
    dtype = dtypes.Name(tensor.dtype) if tensor.dtype in dtypes.values() else str(tensor.dtype)
    return Input(name, dtype, tuple(dim.size for dim in tensor.tensor_shape.dim))
