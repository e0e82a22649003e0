# SPDX-License-Identifier: Apache-2.0
import logging

import pytest

from tensorserve.config.flags import ServerOptions
from tensorserve.config.validation import check_options
from tensorserve.errors import Code, ServingError


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (
            {
                "tensorflow_session_parallelism": 1,
                "tensorflow_intra_op_parallelism": 1,
                "tensorflow_inter_op_parallelism": 1,
            },
            "INVALID_ARGUMENT: Either configure server_options.tensorflow_session_parallelism or "
            "(server_options.tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism) "
            "separately. You cannot configure all.",
        ),
        (
            {"use_alts_credentials": True, "ssl_config_file": "x"},
            "INVALID_ARGUMENT: Either use_alts_credentials must be false or ssl_config_file must be empty.",
        ),
        (
            {"per_process_gpu_memory_fraction": 1.5},
            "INVALID_ARGUMENT: per_process_gpu_memory_fraction must be between 0 and 1.",
        ),
        ({"io_threads": -1}, "INVALID_ARGUMENT: io_threads must not be negative."),
        ({"load_niceness": 20}, "INVALID_ARGUMENT: load_niceness must be between 0 and 19."),
        ({"model_memory_limit_mb": -1}, "INVALID_ARGUMENT: model_memory_limit_mb must not be negative."),
        (
            {"version_transition_policy": "fast"},
            "INVALID_ARGUMENT: version_transition_policy must be one of availability_preserving, resource_preserving.",
        ),
        ({"max_request_bytes": 0}, "INVALID_ARGUMENT: max_request_bytes must be above 0."),
        ({"log_level": "loud"}, "INVALID_ARGUMENT: log_level must be one of debug, info, warning, error."),
    ],
)
def test_flags_that_contradict_each_other(flags: dict, text: str) -> None:
    with pytest.raises(ServingError) as caught:
        check_options(ServerOptions(**flags))
    assert str(caught.value) == text


def test_a_server_never_drops_security_silently() -> None:
    with pytest.raises(ServingError) as caught:
        check_options(ServerOptions(use_alts_credentials=True))
    assert caught.value.code is Code.UNIMPLEMENTED


def test_two_of_the_three_parallelism_flags_are_fine() -> None:
    options = ServerOptions(tensorflow_session_parallelism=4, tensorflow_intra_op_parallelism=2)
    assert check_options(options) == options


def test_batching_parameters_imply_batching(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        options = check_options(ServerOptions(batching_parameters_file="x"))
    assert options.enable_batching
    assert "batching is enabled" in caplog.text


def test_a_flag_without_effect_is_logged_only_if_it_is_used(caplog: pytest.LogCaptureFixture) -> None:
    check_options(ServerOptions())
    assert caplog.text == ""
    check_options(ServerOptions(prefer_tflite_model=True))
    assert "--prefer_tflite_model is accepted, but has no effect yet." in caplog.text
