# SPDX-License-Identifier: Apache-2.0
"""The requests that are sent: made up from a signature, given by a user, or recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tensorserve_client import Client, InputError, Retries, Signature, TensorSpec
from tensorserve_client.addresses import Address, parse
from tensorserve_client.grpc_codec import METHODS, encode_predict
from tensorserve_client.rest_codec import JSON, PROTOBUF
from tensorserve_client.rest_codec import encode as encode_rest
from tensorserve_client.verbs import Predict, Spec

Arrays = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True, slots=True)
class Requests:
    """Messages for one method of one server.

    Attributes:
        address: The server.
        path: Of the URL.
        content_type: Of the bodies.
        bodies: Messages, sent in turn.
        rows: Size of the batch dimension; 0 if it is not known.
    """

    address: Address
    path: str
    content_type: str
    bodies: list[bytes] = field(repr=False)
    rows: int = 1


def describe_model(url: str, spec: Spec) -> Signature:
    """The signature of a model on a server.

    Raises:
        ServingError: The server cannot be reached, or has no such model.
        InputError: The model has no such signature.
    """
    with Client(url, timeout=30.0, retries=Retries(attempts=3)) as client:
        known = client.metadata(spec.model, version=spec.version, label=spec.label or None).signatures
    if spec.signature not in known:
        names = ", ".join(name for name in known if not name.startswith("__"))
        raise InputError(f"model {spec.model} has no signature {spec.signature}; there are: {names}")
    return known[spec.signature]


def made_up(signature: Signature, rows: int, shapes: Mapping[str, Sequence[int]], seed: int) -> dict[str, Any]:
    """Random values for every input.

    Args:
        signature: What the model takes.
        rows: Size of a first dimension that is open.
        shapes: The shapes of inputs, where their signature leaves other dimensions open; they have the rows too.
        seed: Of the random numbers.

    Raises:
        InputError: It is not known what an input holds.
    """
    random = np.random.default_rng(seed)
    # TensorFlow 2 saves every signature as one for Predict; what is left is the name of the input.
    by_examples = signature.method.endswith(("/classify", "/regress")) or signature.inputs.keys() == {"inputs"}
    return {
        alias: _made_up(alias, spec, rows, shapes.get(alias), random, by_examples=by_examples)
        for alias, spec in signature.inputs.items()
    }


def _made_up(
    alias: str,
    spec: TensorSpec,
    rows: int,
    given: Sequence[int] | None,
    random: np.random.Generator,
    *,
    by_examples: bool,
) -> np.ndarray[Any, Any]:
    if spec.dtype is None:
        raise InputError(f"input {alias}: NumPy has no type {spec.dtype_name}; give the input a value")
    if spec.dtype.hasobject:
        flag = "--example JSON" if by_examples else f"--input {alias}=@FILE"
        raise InputError(f"input {alias} takes texts, and any will not do; give it a value: {flag}")
    shape = _shape(alias, spec, rows) if given is None else tuple(given)
    kind = spec.dtype.kind
    if kind == "b":
        return random.integers(0, 2, shape).astype(spec.dtype)
    if kind in "iu":
        return random.integers(0, 2, shape).astype(spec.dtype)  # Small, since numbers are often places in a table.
    return random.random(shape).astype(spec.dtype)


def _shape(alias: str, spec: TensorSpec, rows: int) -> tuple[int, ...]:
    if spec.shape is None:
        raise InputError(f"input {alias} takes any shape; give it one: --shape {alias}={rows},...")
    shape = tuple(rows if at == 0 and size < 0 else size for at, size in enumerate(spec.shape))
    if any(size < 0 for size in shape):
        shown = ",".join("?" if size < 0 else str(size) for size in shape)
        raise InputError(f"input {alias} leaves dimensions open ({shown}); give it a shape: --shape {alias}=...")
    return shape


def repeated(arrays: Arrays, rows: int) -> dict[str, Any]:
    """Arrays whose first dimension is made `rows` long by repeating what there is; scalars stay."""
    return {
        alias: np.resize(array, (rows, *array.shape[1:])) if array.ndim else array for alias, array in arrays.items()
    }


def predict(url: str, spec: Spec, inputs: Sequence[Arrays], *, as_protobuf: bool = False) -> Requests:
    """Predict requests with these inputs.

    Args:
        url: The server; what it starts with decides on the protocol.
        spec: The model.
        inputs: Arrays by alias of each request.
        as_protobuf: Over REST, send protobuf, which only tensorserve reads.
    """
    address = parse(url)
    if address.secure:
        raise InputError("a bench measures without TLS; give it a grpc://, http:// or unix: URL")
    verbs = [Predict(spec, arrays) for arrays in inputs]
    rows = next((len(array) for array in inputs[0].values() if array.ndim), 0)
    if not address.rest:
        bodies = [encode_predict(verb) for verb in verbs]
        return Requests(address, METHODS[Predict], "application/grpc", bodies, rows)
    encoded = [encode_rest(verb, as_protobuf=as_protobuf) for verb in verbs]
    path = address.prefix + encoded[0].path
    return Requests(address, path, PROTOBUF if as_protobuf else JSON, [one.body or b"" for one in encoded], rows)


def recorded(url: str, spec: Spec, path: str, most: int = 10_000) -> Requests:
    """Predict requests of a request log or warm-up file, sent to another model; gRPC only.

    Raises:
        InputError: The file holds none, or the URL is not one of gRPC.
        ServingError: It cannot be read.
    """
    from tensorserve.warmup.records import read_logs

    address = parse(url)
    if address.rest or address.secure:
        raise InputError("recorded requests are sent over gRPC; give the bench a grpc:// or unix: URL")
    bodies: list[bytes] = []
    for log in read_logs(path):
        if log.WhichOneof("log_type") != "predict_log" or len(bodies) >= most:
            continue
        request = log.predict_log.request
        request.model_spec.name = spec.model
        request.model_spec.ClearField("version_choice")
        if spec.version is not None:
            request.model_spec.version.value = spec.version
        bodies.append(request.SerializeToString())
    if not bodies:
        raise InputError(f"{path} holds no predict request")
    return Requests(address, METHODS[Predict], "application/grpc", bodies, 0)
