# SPDX-License-Identifier: Apache-2.0
"""Reads `--model_settings_file`: our own settings by model, for which the original's configuration has no place.

The file holds a `tensorserve.ModelSettingsFile`. What it does not set stays as the flags say.
"""

import enum
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from tensorserve.config.text_format import read_text
from tensorserve.errors import Code, ServingError
from tensorserve.log import printable

_MESSAGE = "tensorserve.ModelSettingsFile"
_ADVICE = "Correct it; docs/model-settings.md says what there is."


class Readiness(enum.Enum):
    """Whether a server is ready without the model."""

    BY_FLAG = 0
    REQUIRED = 1
    OPTIONAL = 2


class BatchingMode(enum.Enum):
    """Who decides which requests of a model run together."""

    OFF = 1
    AUTO = 2
    FIXED = 3


@dataclass(frozen=True, slots=True)
class BatchingSettings:
    """How requests of one model are batched, whatever the flags say.

    Attributes:
        mode: Whether and how.
        parameters: A serialized `BatchingParameters`; None takes those of the server.
        latency_slo_ms: Within which time answers shall be given; None takes that of the server.
    """

    mode: BatchingMode
    parameters: bytes | None = None
    latency_slo_ms: int | None = None


@dataclass(frozen=True, slots=True)
class WarmupSettings:
    """How versions of one model are warmed up; None takes what the flags say.

    Attributes:
        enabled: Whether they are at all.
        iterations: How often each recorded request is run.
        synthesize: Whether a version without recorded requests runs made-up ones.
    """

    enabled: bool | None = None
    iterations: int | None = None
    synthesize: bool | None = None


@dataclass(frozen=True, slots=True)
class LoadingSettings:
    """How loads of one model are tried again; None takes what the flags say.

    Attributes:
        max_retries: Attempts after the first one.
        retry_interval_seconds: Pause between two attempts.
    """

    max_retries: int | None = None
    retry_interval_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """The settings of one model.

    Attributes:
        readiness: Whether the server is ready without it.
        weight: Its share of the execution threads under load; None takes what the flags say.
        batching: How its requests are batched; None takes what the flags say.
        warmup: How its versions are warmed up.
        loading: How loads are tried again.
    """

    readiness: Readiness = Readiness.BY_FLAG
    weight: float | None = None
    batching: BatchingSettings | None = None
    warmup: WarmupSettings = WarmupSettings()
    loading: LoadingSettings = LoadingSettings()


def read_model_settings(path: str) -> Mapping[str, ModelSettings]:
    """The settings in a file, by model.

    Raises:
        ServingError: The file cannot be read or, INVALID_ARGUMENT with its name and a line, says what makes no sense.
    """
    return parse_model_settings(path, read_text(path))


def parse_model_settings(path: str, content: bytes) -> Mapping[str, ModelSettings]:
    """The same for what was read from the file."""
    # Both take tens of milliseconds to import.
    from google.protobuf import text_format

    from tensorserve import protos

    try:
        text = content.decode()
        message = text_format.Parse(text, protos.message(_MESSAGE)(), descriptor_pool=protos.descriptor_pool())
    except UnicodeDecodeError as error:
        _refuse(path, content[: error.start].count(b"\n") + 1, "it is no UTF-8 text")
    except text_format.ParseError as error:
        _refuse(path, error.GetLine() or 1, re.sub(r"^\d+:\d+ : ", "", str(error)))
    settings: dict[str, ModelSettings] = {}
    for model, line in zip(message.model, _lines_of_models(text), strict=True):
        try:
            if not model.name:
                raise ValueError("it has no name")
            if model.name in settings:
                raise ValueError("it is in the file more than once")
            settings[model.name] = _settings(model)
        except ValueError as error:
            _refuse(path, line, f"model {model.name}: {error}")
    return settings


def _refuse(path: str, line: int, reason: str) -> NoReturn:
    raise ServingError(Code.INVALID_ARGUMENT, f"{path}:{line}: {printable(reason)}. {_ADVICE}")


def _lines_of_models(text: str) -> Iterator[int]:
    """The line in which each message of the outermost level begins."""
    depth = 0
    for token in re.finditer(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|#[^\n]*|[{}<>]', text):
        if token[0] in ("{", "<"):
            if depth == 0:
                yield text.count("\n", 0, token.start()) + 1
            depth += 1
        elif token[0] in ("}", ">"):
            depth -= 1


def _settings(model: Any) -> ModelSettings:
    """Raises ValueError: what is wrong."""
    try:
        readiness = Readiness(model.readiness)
    except ValueError:
        raise ValueError(f"readiness {model.readiness} is none of BY_FLAG, REQUIRED, OPTIONAL") from None
    weight = _value(model, "weight")
    if weight is not None and not 0 < weight < math.inf:
        raise ValueError(f"weight must be a number above 0; it is {weight:g}")
    return ModelSettings(readiness, weight, _batching(model.batching), _warmup(model.warmup), _loading(model.loading))


def _batching(message: Any) -> BatchingSettings | None:
    parameters = message.parameters.SerializeToString(deterministic=True) if message.HasField("parameters") else None
    slo = _number(message, "latency_slo_ms", 1)
    if not message.mode and parameters is None and slo is None:
        return None
    try:
        mode = BatchingMode(message.mode) if message.mode else BatchingMode.FIXED
    except ValueError:
        raise ValueError(f"batching mode {message.mode} is none of OFF, AUTO, FIXED") from None
    if slo is not None and mode is not BatchingMode.AUTO:
        raise ValueError("latency_slo_ms needs mode: AUTO")
    if mode is BatchingMode.FIXED and parameters is None:
        raise ValueError("mode: FIXED needs parameters")
    if mode is BatchingMode.OFF and parameters is not None:
        raise ValueError("mode: OFF has no use for parameters")
    return BatchingSettings(mode, parameters, slo)


def _warmup(message: Any) -> WarmupSettings:
    iterations = _number(message, "num_request_iterations", 1)
    return WarmupSettings(_value(message, "enabled"), iterations, _value(message, "synthesize"))


def _loading(message: Any) -> LoadingSettings:
    micros = _number(message, "load_retry_interval_micros", 0)
    return LoadingSettings(_number(message, "max_num_load_retries", 0), None if micros is None else micros / 1e6)


def _number(message: Any, field: str, least: int) -> int | None:
    value: int | None = _value(message, field)
    if value is not None and value < least:
        raise ValueError(f"{field} must be at least {least}; it is {value}")
    return value


def _value(message: Any, field: str) -> Any:
    """What a wrapper holds; None if it is not set."""
    return getattr(message, field).value if message.HasField(field) else None
