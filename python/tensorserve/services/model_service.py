# SPDX-License-Identifier: Apache-2.0
"""`ModelService.HandleReloadConfigRequest`: bytes in, bytes out."""

import logging
from collections.abc import Callable
from typing import Any

from tensorserve.config.model_config import from_message
from tensorserve.errors import Code, ServingError
from tensorserve.log import about
from tensorserve.services.catalog import ModelCatalog, Origin, Wait

logger = logging.getLogger(__name__)

# The counter of TensorFlow that clients ask for in `metric_names`; the attempts are our own.
_LOAD_ATTEMPTS = "/tensorflow/cc/saved_model/load_attempt_count"


def handle_reload_config(request: bytes, catalog: ModelCatalog, is_awaited: Callable[[], bool]) -> bytes:
    """Serves exactly the models of the request from now on, and waits for those that are new.

    Args:
        request: A `tensorflow.serving.ReloadConfigRequest`.
        catalog: The models.
        is_awaited: Whether the client still waits. The reload does not depend on it.

    Returns:
        A `tensorflow.serving.ReloadConfigResponse`.

    Raises:
        ServingError: With the codes and texts of TensorFlow Serving.
    """
    message = _parse(request)
    attempts_before = catalog.states.load_attempts
    try:
        _reload(message, catalog, Wait(is_awaited=is_awaited))
    except ServingError as error:
        logger.error("ReloadConfig failed: %s", error.message, extra=about(kind="reload failed"))
        raise
    attempts = catalog.states.load_attempts - attempts_before
    return _response(message.metric_names, attempts)


def _reload(message: Any, catalog: ModelCatalog, wait: Wait) -> None:
    if message.config.WhichOneof("config") != "model_config_list":
        raise ServingError(
            Code.INVALID_ARGUMENT,
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported",
        )
    for index, entry in enumerate(message.config.model_config_list.config):
        logger.info(
            "\nConfig entry\n\tindex : %d\n\tpath : %s\n\tname : %s\n\tplatform : %s",
            index,
            entry.base_path,
            entry.name,
            entry.model_platform,
        )
    catalog.replace(from_message(message.config) or (), Origin.REQUEST, wait)


def _parse(request: bytes) -> Any:
    from google.protobuf.message import DecodeError

    from tensorserve import protos

    try:
        return protos.message("tensorflow.serving.ReloadConfigRequest").FromString(request)
    except DecodeError as error:
        text = f"the request is not a tensorflow.serving.ReloadConfigRequest: {error}"
        raise ServingError(Code.INTERNAL, text) from error


def _response(metric_names: Any, attempts: int) -> bytes:
    """Tells by how much each metric has grown; one that is not known has not."""
    from tensorserve import protos

    response = protos.message("tensorflow.serving.ReloadConfigResponse")()
    response.status.SetInParent()
    for name in dict.fromkeys(metric_names):
        response.metric.add(name=name, int64_value_increase=attempts if name == _LOAD_ATTEMPTS else 0)
    return bytes(response.SerializeToString())
