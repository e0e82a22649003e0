# SPDX-License-Identifier: Apache-2.0
"""Which requests of a model are logged: `logging_config` of its configuration."""

import logging
from typing import Any

from tensorserve.errors import Code, ServingError
from tensorserve.types import LoggingConfig

logger = logging.getLogger(__name__)


def logging_config(model: Any) -> LoggingConfig | None:
    """Reads the `logging_config` of a `tensorflow.serving.ModelConfig`; None if it has none.

    Raises:
        ServingError: INVALID_ARGUMENT: the sampling rate is not from 0 to 1.
    """
    if not model.HasField("logging_config"):
        return None
    message = model.logging_config
    sampling, collector = message.sampling_config, message.log_collector_config
    if message.HasField("custom_logging_config") or sampling.attributes or sampling.per_task_sampling_configs:
        logger.warning("Model %s: only type, filename_prefix and sampling_rate of logging_config count.", model.name)
    rate = sampling.sampling_rate
    if not 0 <= rate <= 1:
        text = f"Expected model {model.name} to have a sampling_rate from 0 to 1; got {rate}"
        raise ServingError(Code.INVALID_ARGUMENT, text)
    return LoggingConfig(collector.type, collector.filename_prefix, rate)
