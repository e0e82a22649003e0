# SPDX-License-Identifier: Apache-2.0
"""A loaded model and its signatures as functions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from numpy import ndarray

from tensorserve import _core
from tensorserve.errors import Code, ServingError
from tensorserve_client import signatures
from tensorserve_client.protos import message
from tensorserve_client.results import Array, Signature, TensorSpec
from tensorserve_client.signatures import DEFAULT
from tensorserve_client.values import convert

if TYPE_CHECKING:
    from typing_extensions import Self

    from tensorserve._core import Engine, Servable


class Function:
    """A signature that is called with values by alias and gives all its outputs.

    May be called from many threads at once; the interpreter's lock is free while the model computes. An array is used
    where it lies if its memory suits TensorFlow (64-byte boundaries), so it must not be changed during the call. What
    comes back is the caller's own. Python's numbers and lists get the signature's types, arrays keep theirs.

    Attributes:
        name: The signature's.
        method: Its method name, such as `tensorflow/serving/predict`.
        inputs: What it takes, by alias.
        outputs: What it gives, by alias.
    """

    def __init__(self, name: str, engine: Engine, definition: bytes) -> None:
        signature = _read(definition)
        self.name = name
        self.method = signature.method
        self.inputs: Mapping[str, TensorSpec] = signature.inputs
        self.outputs: Mapping[str, TensorSpec] = signature.outputs
        self._run = engine.run
        self._submit = engine.submit

    def __call__(self, /, **inputs: Any) -> dict[str, Array]:
        """Computes the outputs.

        Raises:
            InputError: A value cannot become a tensor.
            ServingError: With TensorFlow's code and text, as a server would answer.
        """
        for alias, value in inputs.items():
            if type(value) is not ndarray or value.dtype.char in "OSU" or not value.dtype.isnative:
                inputs[alias] = convert(value, alias, self.inputs.get(alias))
        try:
            return self._run(inputs)
        except _core.ServingError as error:
            raise ServingError.wrap(error) from error

    async def predict_async(self, /, **inputs: Any) -> dict[str, Array]:
        """The same for an event loop, which goes on meanwhile."""
        arrays = {alias: convert(value, alias, self.inputs.get(alias)) for alias, value in inputs.items()}
        loop = asyncio.get_running_loop()
        future: asyncio.Future[dict[str, Array]] = loop.create_future()

        def done(outputs: dict[str, Array] | None, error: Exception | None) -> None:
            with suppress(RuntimeError):  # The loop was closed before the model was done.
                loop.call_soon_threadsafe(_settle, future, outputs, error)

        try:
            self._submit(arrays, done)
            return await future
        except _core.ServingError as error:
            raise ServingError.wrap(error) from error

    def __repr__(self) -> str:
        return f"<signature {_text(self.name, self)}>"


def _read(definition: bytes) -> Signature:
    return signatures.of_message(message("tensorflow.SignatureDef").FromString(definition))


def _text(name: str, signature: Signature | Function) -> str:
    """`regress(inputs: string [-1]) -> (outputs: float [-1, 1])`."""
    return f"{name}({_tensors(signature.inputs)}) -> ({_tensors(signature.outputs)})"


def _tensors(specs: Mapping[str, TensorSpec]) -> str:
    return ", ".join(f"{alias}: {_type(spec)}" for alias, spec in sorted(specs.items()))


def _type(spec: TensorSpec) -> str:
    shape = "of any shape" if spec.shape is None else list(spec.shape)
    return f"{spec.dtype_name.removeprefix('DT_').lower()} {shape}"


def _settle(
    future: asyncio.Future[dict[str, Array]], outputs: dict[str, Array] | None, error: Exception | None
) -> None:
    if future.done():  # Its task was cancelled.
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(outputs or {})


class Signatures(Mapping[str, Function]):
    """The signatures of a model by name, made when they are asked for."""

    def __init__(self, servable: Servable, *, batched: bool) -> None:
        self._servable = servable
        self._batched = batched
        self._made: dict[str, Function] = {}

    def __getitem__(self, name: str) -> Function:
        found = self._made.get(name)
        if found is None:
            definition = self._servable.signature_def(name)
            if definition is None:
                raise KeyError(name)
            try:
                engine = _core.Engine(self._servable, name, self._batched)
            except _core.ServingError:  # TensorFlow's own, such as __saved_model_init_op.
                raise KeyError(name) from None
            found = self._made.setdefault(name, Function(name, engine, definition))
        return found

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._servable.signature_names if not name.startswith("__"))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<signatures {self.text()}>"

    def text(self) -> str:
        """Names, inputs and outputs; makes no function."""
        definitions = ((name, self._servable.signature_def(name)) for name in self)
        return "; ".join(_text(name, _read(definition)) for name, definition in definitions if definition is not None)


class Model:
    """A loaded model; calling it calls its signature `serving_default`.

    Attributes:
        path: The version's directory.
        signatures: Its signatures by name, each a `Function`.
    """

    def __init__(self, path: str, servable: Servable, *, batched: bool) -> None:
        self.path = path
        self._signatures: Signatures | None = Signatures(servable, batched=batched)
        self.signatures: Mapping[str, Function] = self._signatures
        self._default: Function | None = self.signatures.get(DEFAULT)

    def __call__(self, /, **inputs: Any) -> dict[str, Array]:
        """Computes the outputs of `serving_default`; see `Function`."""
        return self._function()(**inputs)

    async def predict_async(self, /, **inputs: Any) -> dict[str, Array]:
        """The same for an event loop."""
        return await self._function().predict_async(**inputs)

    def close(self) -> None:
        """Frees the model, once the calls under way are done."""
        self.signatures = {}
        self._signatures = None
        self._default = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<model {self.path}: {self._signatures.text() if self._signatures is not None else 'closed'}>"

    def _function(self) -> Function:
        if self._default is None:
            known = ", ".join(self.signatures) or "none; it was closed"
            raise ServingError(Code.FAILED_PRECONDITION, f"{self.path} has no signature {DEFAULT}; there are: {known}")
        return self._default
