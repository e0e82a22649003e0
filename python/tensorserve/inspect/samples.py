# SPDX-License-Identifier: Apache-2.0
"""Requests that a model answers, as commands to paste: curl, Python and grpcurl."""

from __future__ import annotations

import base64
import json
import shlex
from dataclasses import dataclass
from typing import Any

from tensorserve import protos
from tensorserve.inspect.description import Feature, Model, Signature, Tensor

# More values than a line can show are written as an expression that makes them.
_MOST_SHOWN = 24
OPEN_LENGTH = 4
"""What open dimensions but the first are filled in with."""
_OPEN_PICTURE = 64
# The smallest picture there is: a PNG of one grey pixel.
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==")
_FLOATS = frozenset({"float32", "float64", "float16", "bfloat16"})
_GRPC_FIELDS = {"float32": "float_val", "float64": "double_val", "int64": "int64_val", "bool": "bool_val"}
_GRPC_FIELDS |= {"uint32": "uint32_val", "uint64": "uint64_val", "string": "string_val"}
_DTYPES = {"float32": "DT_FLOAT", "float64": "DT_DOUBLE", "float16": "DT_HALF"}
_GRPC_SERVICE = "tensorflow.serving.PredictionService"


@dataclass(frozen=True, slots=True)
class Address:
    """How a server is reached.

    Attributes:
        rest: Such as `http://localhost:8501`.
        grpc: Such as `localhost:8500`.
    """

    rest: str = "http://localhost:8501"
    grpc: str = "localhost:8500"


@dataclass(frozen=True, slots=True)
class Samples:
    """One request, in three languages.

    Attributes:
        curl: A command of the shell.
        python: A program.
        grpcurl: A command of the shell.
    """

    curl: str
    python: str
    grpcurl: str


def samples(
    model: Model, signature: Signature, address: Address | None = None, open_length: int = OPEN_LENGTH
) -> Samples:
    """Writes the same request to a signature for curl, Python and grpcurl.

    Args:
        model: The model.
        signature: One of its signatures.
        address: Where the server is.
        open_length: How large open dimensions but the first are.
    """
    address = address or _address(model.server)
    verb = example_verb(signature)
    if verb:
        return _example_samples(model, signature, verb, address)
    shaped = {tensor.alias: _Filled(tensor, signature, open_length) for tensor in signature.inputs}
    body = _predict_body(signature, shaped)
    spec = {"name": model.name} | _signature_name(signature)
    grpc = {"model_spec": spec, "inputs": {alias: filled.grpc() for alias, filled in shaped.items()}}
    named = "" if signature.name == "serving_default" else f", signature={signature.name!r}"
    inputs = ", ".join(f"{json.dumps(alias)}: {filled.numpy()}" for alias, filled in shaped.items())
    url = f"{address.rest}/v1/models/{model.name}:predict"
    return Samples(
        _curl(url, body) if shaped else "# Over REST a signature without inputs cannot be asked.",
        "import numpy as np\nfrom tensorserve import Client\n\n"
        f'with Client("grpc://{address.grpc}") as client:\n'
        f"    print(client.predict({model.name!r}, {{{inputs}}}{named}))",
        _grpcurl(address.grpc, "Predict", grpc),
    )


def _address(server: str) -> Address:
    """What a server's URL says of its addresses; the usual ones for the rest."""
    scheme, _, target = server.partition("://")
    if scheme in ("grpc", "grpcs"):
        return Address(grpc=target)
    return Address(rest=server) if server else Address()


class _Filled:
    """An input with every dimension filled in, and one value everywhere."""

    def __init__(self, tensor: Tensor, signature: Signature, open_length: int) -> None:
        self._dtype = tensor.dtype
        self.shape = _closed(tensor, open_length)
        self.count = 1
        for size in self.shape:
            self.count *= size
        self._value = _value(tensor)
        if tensor.dtype == "string" and len(signature.inputs) == 1 and signature.features:
            self._value = _serialized_example(signature)
        self._is_bytes = isinstance(self._value, bytes)

    def expression(self, shape: tuple[int, ...]) -> str:
        """JSON, or a Python expression that makes a value whose JSON it is."""
        if self._is_bytes:
            text = json.dumps({"b64": base64.b64encode(self._value).decode()})
        else:
            text = json.dumps(self._value)
        for size in reversed(shape):
            text = f"[{', '.join([text] * size)}]" if self.count <= _MOST_SHOWN else f"[{text}] * {size}"
        return text

    def numpy(self) -> str:
        if self._dtype == "string":
            value: Any = self._value if self._is_bytes else self._value.encode()
            return f"np.full({self.shape}, {value!r}, object)"
        make = "zeros" if self._value in (0, False) else "ones"
        return f"np.{make}({self.shape}, np.{'bool_' if self._dtype == 'bool' else self._dtype})"

    def grpc(self) -> dict[str, Any]:
        value = self._value if self._dtype != "string" else base64.b64encode(_as_bytes(self._value)).decode()
        field = _GRPC_FIELDS.get(self._dtype, "half_val" if self._dtype in ("float16", "bfloat16") else "int_val")
        return {
            "dtype": _DTYPES.get(self._dtype, f"DT_{self._dtype.upper()}"),
            "tensor_shape": {"dim": [{"size": size} for size in self.shape]},
            field: [value],  # One value stands for all.
        }


def _closed(tensor: Tensor, open_length: int) -> tuple[int, ...]:
    shape = tensor.shape if tensor.shape is not None else (None,)
    inner = max(open_length, _OPEN_PICTURE) if len(shape) >= 4 else open_length
    return tuple((1 if index == 0 else inner) if size is None else size for index, size in enumerate(shape))


def _value(tensor: Tensor) -> Any:
    if tensor.dtype == "string":
        return PIXEL if tensor.alias.endswith("_bytes") else "text"
    if tensor.dtype == "bool":
        return False
    return 1.0 if tensor.dtype in _FLOATS else 1


def _as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _signature_name(signature: Signature) -> dict[str, str]:
    return {} if signature.name == "serving_default" else {"signature_name": signature.name}


def _predict_body(signature: Signature, shaped: dict[str, _Filled]) -> str:
    """The body in rows if every input has rows, else by columns; JSON, or a Python expression for it."""
    head = "".join(f"{json.dumps(key)}: {json.dumps(value)}, " for key, value in _signature_name(signature).items())
    in_rows = all(tensor.shape and tensor.shape[0] is None for tensor in signature.inputs)
    values = {
        alias: filled.expression(filled.shape[1:] if in_rows else filled.shape) for alias, filled in shaped.items()
    }
    only = len(signature.inputs) == 1
    inputs = ", ".join(f"{json.dumps(alias)}: {text}" for alias, text in values.items())
    # One input needs no name; a value of bytes would be taken for a row of named inputs.
    bare = only and not next(iter(values.values()), "{").startswith("{")
    if in_rows:
        return f'{{{head}"instances": [{next(iter(values.values())) if bare else "{" + inputs + "}"}]}}'
    return f'{{{head}"inputs": {{{inputs}}}}}'


def _curl(url: str, body: str) -> str:
    if "] * " in body:
        program = f"import json; print(json.dumps({body}))"
        return f"python3 -c {shlex.quote(program)} | curl -d @- {url}"
    return f"curl -d {shlex.quote(body)} {url}"


def _grpcurl(target: str, method: str, message: Any) -> str:
    return f"grpcurl -plaintext -d {shlex.quote(json.dumps(message))} {target} {_GRPC_SERVICE}/{method}"


def example_verb(signature: Signature) -> str:
    """`classify` or `regress` if the signature can be asked like this, else an empty text.

    TensorFlow 2 writes `predict` into every signature; a server takes the names of the tensors for it.
    """
    if signature.method in ("classify", "regress"):
        return signature.method
    outputs = {tensor.alias for tensor in signature.outputs}
    if not signature.features or [tensor.alias for tensor in signature.inputs] != ["inputs"]:
        return ""
    return "regress" if outputs == {"outputs"} else "classify" if outputs <= {"classes", "scores"} else ""


def _example_samples(model: Model, signature: Signature, verb: str, address: Address) -> Samples:
    example = {feature.name: _feature_value(feature) for feature in signature.features}
    body = json.dumps(_signature_name(signature) | {"examples": [example]})
    named = "" if signature.name == "serving_default" else f", signature={signature.name!r}"
    message = {
        "model_spec": {"name": model.name} | _signature_name(signature),
        "input": {"example_list": {"examples": [{"features": {"feature": _grpc_features(signature)}}]}},
    }
    return Samples(
        _curl(f"{address.rest}/v1/models/{model.name}:{verb}", body),
        "from tensorserve import Client\n\n"
        f'with Client("grpc://{address.grpc}") as client:\n'
        f"    print(client.{verb}({model.name!r}, [{example!r}]{named}))",
        _grpcurl(address.grpc, verb.capitalize(), message),
    )


def _feature_value(feature: Feature) -> Any:
    value: Any = {"float32": 1.0, "int64": 1}.get(feature.dtype, "text")
    count = 1
    for size in feature.shape or ():
        count *= size or 1
    return value if count == 1 else [value] * count


def _serialized_example(signature: Signature) -> bytes:
    from google.protobuf import json_format

    example = {"features": {"feature": _grpc_features(signature)}}
    message = json_format.ParseDict(example, protos.Example(), descriptor_pool=protos.descriptor_pool())
    return bytes(message.SerializeToString(deterministic=True))


def _grpc_features(signature: Signature) -> dict[str, Any]:
    kinds = {"float32": "float_list", "int64": "int64_list"}
    found = {}
    for feature in signature.features:
        value = _feature_value(feature)
        values = value if isinstance(value, list) else [value]
        if feature.dtype == "string":
            values = [base64.b64encode(each.encode()).decode() for each in values]
        found[feature.name] = {kinds.get(feature.dtype, "bytes_list"): {"value": values}}
    return found
