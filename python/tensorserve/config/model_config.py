# SPDX-License-Identifier: Apache-2.0
"""Which models to serve: from `--model_config_file` or from `--model_name` and `--model_base_path`."""

import dataclasses
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from tensorserve.config.allowed_paths import AllowedBasePaths
from tensorserve.config.flags import ServerOptions
from tensorserve.config.logging_config import logging_config
from tensorserve.config.text_format import parse_text_message, read_text
from tensorserve.errors import Code, ServingError
from tensorserve.log import is_one_line, printable
from tensorserve.types import TENSORFLOW_PLATFORM, All, Latest, ModelConfig, Specific, VersionPolicy

logger = logging.getLogger(__name__)

_MODEL_TYPE_UNSPECIFIED, _MODEL_TYPE_TENSORFLOW = 0, 1


def model_configs(options: ServerOptions, knows_platform: Callable[[str], bool]) -> tuple[ModelConfig, ...]:
    """The models that the flags ask for, checked.

    Args:
        options: The flags.
        knows_platform: Whether some runtime loads models of a platform.

    Raises:
        ServingError: INVALID_ARGUMENT with TensorFlow Serving's text, or why the file cannot be read.
    """
    allowed = options.allowed_base_paths
    if options.model_config_file:
        return checked(read_model_config(options.model_config_file) or (), knows_platform, allowed)
    if not options.model_base_path:
        raise _invalid("Both server_options.model_base_path and server_options.model_config_file are empty!")
    logger.info(
        "Building single TensorFlow model file config:  model_name: %s model_base_path: %s",
        options.model_name,
        options.model_base_path,
    )
    return checked([ModelConfig(options.model_name, options.model_base_path)], knows_platform, allowed)


def read_model_config(path: str) -> list[ModelConfig] | None:
    """Reads a file that holds a text `tensorflow.serving.ModelServerConfig`; see `from_message`."""
    return parse_model_config(path, read_text(path))


def parse_model_config(path: str, text: bytes) -> list[ModelConfig] | None:
    """The same for what was read from the file."""
    return from_message(parse_text_message(path, text, "tensorflow.serving.ModelServerConfig"))


def from_message(message: Any) -> list[ModelConfig] | None:
    """The models of a `tensorflow.serving.ModelServerConfig`; None for one that says nothing at all.

    Raises:
        ServingError: INVALID_ARGUMENT with TensorFlow Serving's text.
    """
    kind = message.WhichOneof("config")
    if kind is None:
        logger.info("Taking no action for empty config.")
        return None
    if kind != "model_config_list":
        raise _invalid("ModelServer does not yet support custom model config.")
    return [_model(model) for model in message.model_config_list.config]


def checked(
    configs: Iterable[ModelConfig], knows_platform: Callable[[str], bool], allowed_base_paths: str = ""
) -> tuple[ModelConfig, ...]:
    """Checks a list of models and makes their base paths absolute.

    Args:
        configs: The models.
        knows_platform: Whether some runtime loads models of a platform.
        allowed_base_paths: `--allowed_base_paths`.

    Raises:
        ServingError: INVALID_ARGUMENT with TensorFlow Serving's text; PERMISSION_DENIED for a base path elsewhere.
    """
    allowed = AllowedBasePaths(allowed_base_paths)
    models: dict[str, ModelConfig] = {}
    for config in configs:
        if config.name in models:
            raise _invalid(f"Illegal to list model {config.name} multiple times in config list")
        if not knows_platform(config.platform):
            raise _invalid(f"Model {config.name} requests unsupported platform {config.platform}")
        models[config.name] = model = _with_absolute_path(config)
        allowed.check(model)
    return tuple(models.values())


def _model(message: Any) -> ModelConfig:
    return ModelConfig(
        name=message.name,
        base_path=message.base_path,
        platform=_platform(message),
        policy=_policy(message.model_version_policy),
        version_labels=_labels(message.version_labels),
        logging_config=logging_config(message),
    )


def _platform(message: Any) -> str:
    fields = "ModelServerConfig::model_type (deprecated)"
    if message.model_type != _MODEL_TYPE_UNSPECIFIED and message.model_platform:
        raise _invalid(
            f"Illegal setting both {fields} and ModelServerConfig::model_platform, model name is {message.name}"
        )
    if message.model_platform:
        return str(message.model_platform)
    if message.model_type == _MODEL_TYPE_UNSPECIFIED:
        raise _invalid(
            f"Illegal setting neither {fields} nor ModelServerConfig::model_platform, model name is {message.name}"
        )
    if message.model_type != _MODEL_TYPE_TENSORFLOW:
        raise _invalid(f"ModelServerConfig::model_type choice {message.model_type} not supported.")
    return TENSORFLOW_PLATFORM


def _policy(message: Any) -> VersionPolicy:
    choice = message.WhichOneof("policy_choice")
    if choice == "all":
        return All()
    if choice == "specific":
        return Specific(tuple(message.specific.versions))
    # No policy, `latest {}` and `num_versions: 0` all mean the highest version.
    return Latest(message.latest.num_versions or 1) if choice == "latest" else Latest()


def _labels(labels: Mapping[str, int]) -> Mapping[str, int]:
    return MappingProxyType(dict(labels))


def _with_absolute_path(config: ModelConfig) -> ModelConfig:
    if not is_one_line(config.base_path):
        # TensorFlow writes it to the log as it is.
        raise _invalid(f"The base path of model {config.name} has control characters: {printable(config.base_path)}")
    if not config.base_path:
        raise _invalid(
            f"Expected model {config.name} to have an absolute path or URI; got base_path()={config.base_path}"
        )
    if "://" in config.base_path or os.path.isabs(config.base_path):
        return config
    path = os.path.abspath(config.base_path)
    return dataclasses.replace(config, base_path=path)


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
