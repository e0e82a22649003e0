# SPDX-License-Identifier: Apache-2.0
"""Verbs as HTTP requests, in the JSON that every server of this API reads."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from tensorserve_client import grpc_codec, signatures
from tensorserve_client.errors import Code, serving_error
from tensorserve_client.examples import Example
from tensorserve_client.results import (
    Array,
    Classification,
    Metadata,
    Prediction,
    Scored,
    Signature,
    TensorSpec,
    VersionStatus,
)
from tensorserve_client.verbs import (
    Classify,
    GetMetadata,
    MultiInference,
    Predict,
    Regress,
    Reload,
    Spec,
    Status,
    Verb,
)

JSON = "application/json"
PROTOBUF = "application/x-protobuf"

# The codes that servers give HTTP statuses for, and what comes from proxies.
_CODES = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    408: Code.DEADLINE_EXCEEDED,
    409: Code.ABORTED,
    412: Code.FAILED_PRECONDITION,
    413: Code.RESOURCE_EXHAUSTED,
    416: Code.OUT_OF_RANGE,
    429: Code.RESOURCE_EXHAUSTED,
    499: Code.CANCELLED,
    500: Code.INTERNAL,
    501: Code.UNIMPLEMENTED,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.DEADLINE_EXCEEDED,
}


class Request(NamedTuple):
    """An HTTP request without what is the connection's."""

    method: str
    path: str
    body: bytes | None
    content_type: str = JSON


def encode(verb: Verb, *, as_protobuf: bool = False) -> Request:
    """The HTTP request.

    Args:
        verb: What is asked.
        as_protobuf: Whether the server reads predict requests as protobuf, which keeps all types.

    Raises:
        ServingError: UNIMPLEMENTED for what this protocol cannot say.
    """
    if isinstance(verb, MultiInference | Reload):
        raise serving_error(
            Code.UNIMPLEMENTED, "REST has no multi_inference and no reload; use grpc://", may_have_run=False
        )
    path = _path(verb.spec)
    if isinstance(verb, Status):
        return Request("GET", path, None)
    if isinstance(verb, GetMetadata):
        return Request("GET", f"{path}/metadata", None)
    if isinstance(verb, Predict):
        if as_protobuf:
            return Request("POST", f"{path}:predict", grpc_codec.encode_predict(verb), PROTOBUF)
        return Request("POST", f"{path}:predict", _predict(verb))
    action = "classify" if isinstance(verb, Classify) else "regress"
    return Request("POST", f"{path}:{action}", _examples(verb))


def _path(spec: Spec) -> str:
    path = f"/v1/models/{quote(spec.model, safe='')}"
    if spec.version is not None:
        return f"{path}/versions/{spec.version}"
    return f"{path}/labels/{quote(spec.label, safe='')}" if spec.label else path


def _predict(verb: Predict) -> bytes:
    body: dict[str, Any] = {"signature_name": verb.spec.signature} if verb.spec.signature else {}
    body["inputs"] = {alias: _plain(array) for alias, array in verb.inputs.items()}
    return json.dumps(body).encode()


def _plain(array: Array) -> Any:
    """An array as nested lists of what JSON has."""
    if not array.dtype.hasobject:
        return array.astype(np.float32).tolist() if array.dtype.kind == "V" else array.tolist()
    return _with_text(array.tolist())


def _with_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_text(item) for item in value]
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}


def _examples(verb: Classify | Regress) -> bytes:
    body: dict[str, Any] = {"signature_name": verb.spec.signature} if verb.spec.signature else {}
    if verb.context is not None:
        body["context"] = _features(verb.context)
    body["examples"] = [_features(example) for example in verb.examples]
    return json.dumps(body).encode()


def _features(example: Example) -> dict[str, Any]:
    return {name: _with_text(values) if _is_text(values) else values for name, values in example.items()}


def _is_text(values: list[Any]) -> bool:
    return bool(values) and isinstance(values[0], bytes)


def decode(verb: Verb, content_type: str, body: bytes) -> Any:
    """What the verb gives.

    Raises:
        ServingError: The answer cannot be read.
    """
    if isinstance(verb, Predict) and content_type.split(";")[0].strip() == PROTOBUF:
        return grpc_codec.decode_predict(body)
    try:
        value = json.loads(body)
        return _DECODERS[type(verb)](verb, value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        text = body[:200].decode(errors="replace")
        raise serving_error(Code.INTERNAL, f"cannot read the server's answer ({error!r}): {text}") from error


def failure(status: int, content_type: str, retry_after: str | None, body: bytes) -> Exception:
    """The exception for an answer that is an error."""
    message = body[:1000].decode(errors="replace").strip()
    try:
        if isinstance(told := json.loads(body), dict) and isinstance(told.get("error"), str):
            message = told["error"]
    except ValueError:
        pass
    code = _CODES.get(status, Code.INVALID_ARGUMENT if 400 <= status < 500 else Code.UNKNOWN)
    seconds = float(retry_after) if retry_after and retry_after.strip().isdecimal() else None
    refused = 400 <= status < 500 or (status == 503 and seconds is not None)
    message = message or f"the server answers with HTTP status {status}"
    return serving_error(code, message, may_have_run=not refused, retry_after=seconds)


def _decode_predict(verb: Predict, value: Mapping[str, Any]) -> Prediction:
    outputs = value["outputs"]
    specs = verb.known.outputs if verb.known is not None else {}
    if len(specs) == 1:  # A single output stands there without its alias.
        outputs = {next(iter(specs)): outputs}
    for alias in verb.outputs:
        if alias not in outputs:
            raise serving_error(Code.INVALID_ARGUMENT, f"output {alias!r} is none of {', '.join(sorted(outputs))}")
    wanted = verb.outputs or outputs
    return Prediction({alias: _array(outputs[alias], specs.get(alias)) for alias in wanted})


def _array(value: Any, spec: TensorSpec | None) -> Array:
    dtype = spec.dtype if spec is not None else None
    if (dtype is not None and dtype.hasobject) or (dtype is None and _is_json_text(value)):
        shape = _shape(value)
        array = np.empty(shape, object)
        array.ravel()[:] = list(_texts(value, len(shape))) if shape else [_text(value)]
        return array
    # Whole numbers of 64 bits among others would become floats first if NumPy had to find the type.
    return np.array(value, dtype)


def _is_json_text(value: Any) -> bool:
    while isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, str | dict)


def _shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        return ()
    return (len(value), *(_shape(value[0]) if value else ()))


def _texts(value: Any, rank: int) -> Any:
    if rank == 0:
        yield _text(value)
    else:
        for item in value:
            yield from _texts(item, rank - 1)


def _text(value: Any) -> bytes:
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()


def _results(value: Mapping[str, Any]) -> Any:
    return value["results"] if "results" in value else value["result"]


def _decode_classify(_verb: Verb, value: Mapping[str, Any]) -> Classification:
    return [[Scored(label, float(score)) for label, score in classes] for classes in _results(value)]


def _decode_regress(_verb: Verb, value: Mapping[str, Any]) -> Array:
    return np.array(_results(value), np.float32)


def _decode_status(_verb: Verb, value: Mapping[str, Any]) -> list[VersionStatus]:
    found = []
    for one in value["model_version_status"]:
        status = one.get("status", {})
        code, text = status.get("error_code", "OK"), status.get("error_message", "")
        found.append(VersionStatus(int(one.get("version", 0)), one.get("state", "UNKNOWN"), code, text))
    return found


def _decode_metadata(_verb: Verb, value: Mapping[str, Any]) -> Metadata:
    spec = value.get("model_spec", {})
    defs: Mapping[str, Mapping[str, Any]] = value["metadata"]["signature_def"]["signature_def"]
    found: dict[str, Signature] = {name: signatures.of_json(one) for name, one in defs.items()}
    version = spec.get("version")
    return Metadata(spec.get("name", ""), None if version is None else int(version), found)


_DECODERS: dict[type[Verb], Any] = {
    Predict: _decode_predict,
    Classify: _decode_classify,
    Regress: _decode_regress,
    Status: _decode_status,
    GetMetadata: _decode_metadata,
}
