# SPDX-License-Identifier: Apache-2.0
import logging

import pytest
from google.protobuf import text_format

from tensorserve import protos
from tensorserve.config.logging_config import logging_config
from tensorserve.errors import Code, ServingError
from tensorserve.types import LoggingConfig


def read(text: str) -> LoggingConfig | None:
    message = protos.message("tensorflow.serving.ModelConfig")(name="m")
    return logging_config(text_format.Parse(text, message))


def test_type_prefix_and_rate_are_read() -> None:
    text = """logging_config {
      log_collector_config { type: "kafka" filename_prefix: "/logs/m" }
      sampling_config { sampling_rate: 0.25 }
    }"""
    assert read(text) == LoggingConfig("kafka", "/logs/m", 0.25)


def test_no_logging_config_is_none() -> None:
    assert read("") is None
    assert read("logging_config {}") == LoggingConfig("", "", 0.0)


@pytest.mark.parametrize("rate", ["-0.1", "1.5", "nan"])
def test_the_rate_is_a_share(rate: str) -> None:
    with pytest.raises(ServingError, match="Expected model m to have a sampling_rate from 0 to 1") as failure:
        read(f"logging_config {{ sampling_config {{ sampling_rate: {rate} }} }}")
    assert failure.value.code is Code.INVALID_ARGUMENT


def test_what_does_not_count_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    read("logging_config { sampling_config { sampling_rate: 1 per_task_sampling_configs { sampling_rate: 0.5 } } }")
    assert len(caplog.messages) == 1
