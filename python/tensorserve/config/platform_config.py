# SPDX-License-Identifier: Apache-2.0
"""Reads `--platform_config_file`: how SavedModels are loaded, instead of by flags.

The file holds a `PlatformConfigMap` whose entry for `tensorflow` is a `SavedModelBundleSourceAdapterConfig`. What a
flag can say as well is turned into that flag by `with_platform_config`; the session options and the batching
parameters, which are messages, stay in the message that `session_bundle_config` gives.
"""

import dataclasses
import logging
from typing import Any

from tensorserve.config.flags import ServerOptions
from tensorserve.config.text_format import read_text_message
from tensorserve.errors import Code, ServingError
from tensorserve.types import TENSORFLOW_PLATFORM

logger = logging.getLogger(__name__)

_ADAPTER_CONFIG = "tensorflow.serving.SavedModelBundleSourceAdapterConfig"

# Serving without these would give other results than those the file asks for.
_UNSUPPORTED = ("session_target", "experimental_fixed_input_tensors", "enable_saved_model_config")

# These change how fast or how large a model is, not what it answers.
_IGNORED = (
    "in_graph_batching_parameters",
    "enable_session_metadata",
    "resource_estimation_uses_validation_result",
    "wrap_session_with_no_threading_params",
)


def session_bundle_config(options: ServerOptions) -> Any | None:
    """The `tensorflow.serving.SessionBundleConfig` of the platform `tensorflow`, or None without the flag.

    Raises:
        ServingError: FAILED_PRECONDITION if the file has no entry for this platform, INVALID_ARGUMENT if the entry is
            of another type, UNIMPLEMENTED if it asks for something that this server cannot do; or why the file cannot
            be read.
    """
    path = options.platform_config_file
    if not path:
        return None
    platforms = read_text_message(path, "tensorflow.serving.PlatformConfigMap").platform_configs
    if TENSORFLOW_PLATFORM not in platforms:
        text = f"PlatformConfigMap has no entry for platform {TENSORFLOW_PLATFORM}"
        raise ServingError(Code.FAILED_PRECONDITION, text)
    return _checked(_unpacked(platforms[TENSORFLOW_PLATFORM].source_adapter_config, path), path)


def with_platform_config(options: ServerOptions) -> ServerOptions:
    """The options in which the flags about tags, batching and warm-up say what the file says.

    Raises:
        ServingError: See `session_bundle_config`.
    """
    bundle = session_bundle_config(options)
    if bundle is None:
        return options
    for name in _IGNORED:
        if _is_set(bundle, name):
            logger.warning("%s: %s has no effect.", options.platform_config_file, name)
    warmup = bundle.model_warmup_options
    return dataclasses.replace(
        options,
        saved_model_tags=",".join(bundle.saved_model_tags) or "serve",
        enable_batching=bundle.HasField("batching_parameters"),
        batching_parameters_file="",
        enable_per_model_batching_parameters=bundle.enable_per_model_batching_params,
        enable_model_warmup=bundle.enable_model_warmup,
        num_request_iterations_for_warmup=warmup.num_request_iterations.value,
        prefer_tflite_model=bundle.prefer_tflite_model,
        num_tflite_pools=bundle.num_tflite_pools or options.num_tflite_pools,
        num_tflite_interpreters_per_pool=bundle.num_tflite_interpreters_per_pool or 1,
    )


def _unpacked(packed: Any, path: str) -> Any:
    from tensorserve import protos

    adapter = protos.message(_ADAPTER_CONFIG)()
    if not packed.Unpack(adapter):
        found = packed.TypeName() or "nothing"
        text = f"{path}: source_adapter_config of platform {TENSORFLOW_PLATFORM} is {found}; give a {_ADAPTER_CONFIG}"
        raise ServingError(Code.INVALID_ARGUMENT, text)
    return adapter.legacy_config


def _checked(bundle: Any, path: str) -> Any:
    for name in _UNSUPPORTED:
        if _is_set(bundle, name):
            raise ServingError(Code.UNIMPLEMENTED, f"{path}: {name} is not supported; remove it from the file")
    return bundle


def _is_set(message: Any, field: str) -> bool:
    return any(descriptor.name == field for descriptor, _value in message.ListFields())
