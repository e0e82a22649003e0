# SPDX-License-Identifier: Apache-2.0
"""Asks a running server for the signatures of a model, by the APIs of TensorFlow Serving."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import Request, urlopen

from tensorserve import protos
from tensorserve.errors import Code, ServingError
from tensorserve.inspect.description import Model
from tensorserve.inspect.signatures import describe_signatures

_TIMEOUT_SECONDS = 10.0
_CODES = {404: Code.NOT_FOUND, 401: Code.UNAUTHENTICATED, 403: Code.PERMISSION_DENIED}


def describe_server(url: str, version: int | None) -> Model:
    """Describes a model of a running server; files and ops are not known from there.

    Args:
        url: `http(s)://HOST:PORT`, followed by `/v1/models/NAME` if the server has several models, or
            `grpc(s)://HOST:PORT/NAME`.
        version: The version to describe; None for the one that answers.

    Raises:
        ServingError: UNAVAILABLE if no server answers; what the server answers otherwise.
    """
    parts = urlsplit(url)
    if parts.scheme in ("grpc", "grpcs"):
        return _ask_by_grpc(f"{parts.scheme}://{parts.netloc}", parts.path.strip("/"), version)
    prefix, _, path = parts.path.partition("/v1/models/")
    server = f"{parts.scheme}://{parts.netloc}{prefix.rstrip('/')}"
    path = path.rstrip("/").removesuffix("/metadata") or quote(_only_model(server), safe="")
    path = f"/v1/models/{path}"
    if version is not None and "/versions/" not in path:
        path = f"{path}/versions/{version}"
    answer = _get(f"{server}{path}/metadata")
    spec = answer.get("model_spec", {})
    number = int(spec["version"]) if str(spec.get("version", "")).lstrip("-").isdigit() else None
    return Model(
        place=f"{server}{path}",
        name=str(spec.get("name", "")),
        version=number,
        signatures=describe_signatures(_definitions(answer), None),
        versions=_versions(f"{server}{path.partition('/versions/')[0].partition('/labels/')[0]}"),
        server=server,
    )


def _ask_by_grpc(server: str, model: str, version: int | None) -> Model:
    if not model:
        text = f"over gRPC a server does not list its models; name one: {server}/NAME"
        raise ServingError(Code.INVALID_ARGUMENT, text)
    from tensorserve import client

    try:
        with client.Client(server) as asked:
            found = asked.metadata(model, version=version, timeout=_TIMEOUT_SECONDS)
            states = asked.status(model, timeout=_TIMEOUT_SECONDS)
    except client.ServingError as error:
        hint = ". Is a server running there?" if int(error.code) == Code.UNAVAILABLE else ""
        raise ServingError(Code(int(error.code)), f"{server}: {error.message}{hint}") from error
    except client.ClientError as error:
        raise ServingError(Code.INVALID_ARGUMENT, str(error)) from error
    return Model(
        place=f"{server}/{model}",
        name=found.model,
        version=found.version,
        signatures=describe_signatures({name: _definition(each) for name, each in found.signatures.items()}, None),
        versions=tuple(sorted(state.version for state in states if state.state == "AVAILABLE")),
        server=server,
    )


def _definition(signature: Any) -> Any:
    """A signature of the client as a `SignatureDef`."""
    made = protos.SignatureDef(method_name=signature.method)
    dtypes = protos.enum("tensorflow.DataType")
    for specs, infos in ((signature.inputs, made.inputs), (signature.outputs, made.outputs)):
        for alias, spec in specs.items():
            info = infos[alias]
            info.name, info.dtype = spec.name, dtypes.Value(spec.dtype_name)
            info.tensor_shape.unknown_rank = spec.shape is None
            for size in spec.shape or ():
                info.tensor_shape.dim.add(size=size)
    return made


def _definitions(answer: Any) -> dict[str, Any]:
    from google.protobuf import json_format

    found = {}
    for name, definition in answer["metadata"]["signature_def"]["signature_def"].items():
        found[name] = protos.SignatureDef()
        json_format.ParseDict(
            definition, found[name], ignore_unknown_fields=True, descriptor_pool=protos.descriptor_pool()
        )
    return found


def _versions(url: str) -> tuple[int, ...]:
    states = _get(url).get("model_version_status", [])
    return tuple(sorted(int(state["version"]) for state in states if state.get("state") == "AVAILABLE"))


def _only_model(server: str) -> str:
    """The name of the model, if a server has one only."""
    try:
        paths = _get(f"{server}/v1/openapi.json").get("paths", {})
    except ServingError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        text = f"{server} does not list its models; name one: {server}/v1/models/NAME"
        raise ServingError(Code.INVALID_ARGUMENT, text) from error
    served = (path.split("/")[3].partition(":")[0] for path in paths if path.startswith("/v1/models/"))
    names: list[str] = sorted(set(map(unquote, served)) - {""})
    if len(names) == 1:
        return names[0]
    there = ", ".join(names) if names else "none"
    text = f"{server} serves these models: {there}. Name one: {server}/v1/models/NAME"
    raise ServingError(Code.INVALID_ARGUMENT, text)


def _get(url: str) -> Any:
    try:
        with urlopen(Request(url), timeout=_TIMEOUT_SECONDS) as reply:
            return json.load(reply)
    except HTTPError as error:
        raise ServingError(_CODES.get(error.code, Code.UNKNOWN), f"{url}: {_reason(error)}") from error
    except (OSError, ValueError) as error:
        text = f"{url}: {getattr(error, 'reason', error)}. Is a server running there, with --rest_api_port?"
        raise ServingError(Code.UNAVAILABLE, text) from error


def _reason(error: HTTPError) -> str:
    text: str = error.read().decode("utf-8", "replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text or f"HTTP {error.code}"
