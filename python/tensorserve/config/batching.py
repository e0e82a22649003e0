# SPDX-License-Identifier: Apache-2.0
"""How requests are batched: `--enable_batching`, `--batching` and the `BatchingParameters` files."""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass, field, replace
from typing import Any

from tensorserve.config.cpus import schedulable_cpus
from tensorserve.config.flags import ServerOptions
from tensorserve.config.model_settings import BatchingSettings
from tensorserve.config.platform_config import session_bundle_config
from tensorserve.config.text_format import read_text_message
from tensorserve.errors import Code, ServingError

PER_MODEL_FILE = "batching_params.pbtxt"
_MESSAGE = "tensorflow.serving.BatchingParameters"
_NAME_WITHOUT_FILE = "model_server_batch_threads"
_NAME_WITH_FILE = "batch_threads"


class Mode(enum.Enum):
    """Who decides what runs together."""

    OFF = "off"
    FIXED = "fixed"
    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class BatchThreads:
    """Threads for batches with fixed parameters."""

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class VersionBatching:
    """How the requests of one version are batched.

    Attributes:
        parameters: A serialized `BatchingParameters`.
        pad_values: What inputs are padded with, by alias.
        auto: Batches size themselves; of the parameters only the limits and the padding count.
        latency_slo_ms: Within which time answers shall be given, if above 0 and `auto`.
        execution_threads: Batches that run at once at most, if `auto`; 0 for the default.
    """

    parameters: bytes
    pad_values: dict[str, str] = field(default_factory=dict)
    auto: bool = False
    latency_slo_ms: int = 0
    execution_threads: int = 0


@dataclass(frozen=True, slots=True)
class Batching:
    """What the flags and the parameters file say together.

    Attributes:
        mode: Whether and how.
        parameters: A serialized `BatchingParameters` for every model.
        per_model: Models bring their own parameters; those without are not batched.
        pad_values: What inputs are padded with, by alias.
        latency_slo_ms: Within which time answers shall be given, if above 0; of mode AUTO.
        execution_threads: For runs of any kind; 0 for the default.
        threads: For batches, if they have threads of their own.
    """

    mode: Mode = Mode.OFF
    parameters: bytes = b""
    per_model: bool = False
    pad_values: dict[str, str] = field(default_factory=dict)
    latency_slo_ms: int = 0
    execution_threads: int = 0
    threads: BatchThreads | None = None

    @classmethod
    def of(cls, options: ServerOptions) -> Batching:
        """Reads the parameters file that the flags name, or the parameters of `--platform_config_file`.

        Raises:
            ServingError: The file cannot be read or is no `BatchingParameters`, or a flag does not fit.
        """
        if options.batching == Mode.OFF.value or not (options.batching or options.enable_batching):
            # Settings of a model may want batches all the same.
            pad_values = _pad_values(options.batching_pad_values)
            return cls(pad_values=pad_values, execution_threads=options.execution_threads)
        message = _parameters(options)
        mode = _mode(options, with_parameters=message is not None or options.enable_per_model_batching_parameters)
        return cls(
            mode=mode,
            parameters=b"" if message is None else _serialized(message),
            per_model=options.enable_per_model_batching_parameters,
            pad_values=_pad_values(options.batching_pad_values),
            latency_slo_ms=_slo(options, mode),
            execution_threads=options.execution_threads,
            threads=_threads(message) if mode is Mode.FIXED else None,
        )

    def of_model(self, settings: BatchingSettings | None) -> Batching:
        """The same for one model with settings of its own."""
        if settings is None:
            return self
        mode = Mode[settings.mode.name]
        inherited = self.parameters if mode is Mode.AUTO else b""
        slo = self.latency_slo_ms if settings.latency_slo_ms is None else settings.latency_slo_ms
        return replace(
            self,
            mode=mode,
            parameters=inherited if settings.parameters is None else settings.parameters,
            per_model=False,
            latency_slo_ms=slo if mode is Mode.AUTO else 0,
        )

    def version(self, path: str) -> VersionBatching | None:
        """How the version in this directory is batched; None if it is not.

        Raises:
            ServingError: INVALID_ARGUMENT if the version's own file is no `BatchingParameters`.
        """
        if self.mode is Mode.OFF:
            return None
        if not self.per_model:
            auto = self.mode is Mode.AUTO
            slo = self.latency_slo_ms if auto else 0
            return VersionBatching(self.parameters, self.pad_values, auto, slo, self.execution_threads)
        # A model that brings its own parameters wants these, whatever the server does for others.
        own = os.path.join(path, PER_MODEL_FILE)
        return VersionBatching(_serialized(_read(own)), self.pad_values) if os.path.exists(own) else None


def _mode(options: ServerOptions, *, with_parameters: bool) -> Mode:
    """`--batching`, or what the original's flags mean."""
    if options.batching:
        return Mode(options.batching)
    return Mode.FIXED if with_parameters else Mode.AUTO


def _parameters(options: ServerOptions) -> Any | None:
    if options.batching_parameters_file:
        return _read(options.batching_parameters_file)
    bundle = session_bundle_config(options)
    return bundle.batching_parameters if bundle is not None and bundle.HasField("batching_parameters") else None


def _slo(options: ServerOptions, mode: Mode) -> int:
    if options.latency_slo_ms and mode is not Mode.AUTO:
        raise ServingError(Code.INVALID_ARGUMENT, "latency_slo_ms needs --batching=auto.")
    return options.latency_slo_ms


def _read(path: str) -> Any:
    return read_text_message(path, _MESSAGE)


def _serialized(message: Any) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))


def _threads(message: Any) -> BatchThreads:
    if message is None:
        return BatchThreads(schedulable_cpus(), _NAME_WITHOUT_FILE)
    number = message.num_batch_threads.value if message.HasField("num_batch_threads") else schedulable_cpus()
    if number <= 0:
        raise ServingError(Code.INVALID_ARGUMENT, f"num_batch_threads must be positive; was {number}")
    name = message.thread_pool_name.value if message.HasField("thread_pool_name") else _NAME_WITH_FILE
    return BatchThreads(number, name)


def _pad_values(text: str) -> dict[str, str]:
    pairs = {}
    for entry in filter(None, text.split(",")):
        alias, equals, value = entry.partition("=")
        if not alias or not equals:
            reason = f"batching_pad_values must be alias=value, separated by commas; {entry} is not."
            raise ServingError(Code.INVALID_ARGUMENT, reason)
        pairs[alias] = value
    return pairs


def model_weights(text: str) -> dict[str, float]:
    """The models' shares by name, from `--model_weights`.

    Raises:
        ServingError: INVALID_ARGUMENT if a part of the text is not `model=number` with a number above 0.
    """
    weights = {}
    for entry in filter(None, text.split(",")):
        model, _, number = entry.rpartition("=")
        weight = _number(number)
        if not model or not 0 < weight < float("inf"):
            reason = f"model_weights must be model=number, separated by commas, with numbers above 0; {entry} is not."
            raise ServingError(Code.INVALID_ARGUMENT, reason)
        weights[model] = weight
    return weights


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
