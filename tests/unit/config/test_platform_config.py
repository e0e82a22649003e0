# SPDX-License-Identifier: Apache-2.0
import logging
from pathlib import Path

import pytest

from tensorserve import protos
from tensorserve.config.batching import Batching, Mode
from tensorserve.config.flags import ServerOptions
from tensorserve.config.platform_config import session_bundle_config, with_platform_config
from tensorserve.config.session_config import session_config
from tensorserve.config.validation import check_options
from tensorserve.errors import Code, ServingError

ADAPTER = "tensorflow.serving.SavedModelBundleSourceAdapterConfig"


def platform_file(folder: Path, legacy: str, platform: str = "tensorflow", adapter: str = ADAPTER) -> str:
    file = folder / "platform.config"
    file.write_text(
        f'platform_configs {{ key: "{platform}" value {{ source_adapter_config {{ '
        f"[type.googleapis.com/{adapter}] {{ {legacy} }} }} }} }}"
    )
    return str(file)


def legacy(text: str) -> str:
    return f"legacy_config {{ {text} }}"


def test_without_the_flag_nothing_changes() -> None:
    options = ServerOptions(saved_model_tags="a")
    assert with_platform_config(options) is options
    assert session_bundle_config(options) is None


def test_the_file_takes_the_place_of_flags(tmp_path: Path) -> None:
    text = """
      saved_model_tags: "serve" saved_model_tags: "gpu"
      enable_model_warmup: true
      model_warmup_options { num_request_iterations { value: 3 } }
      batching_parameters { max_batch_size { value: 8 } }
      enable_per_model_batching_params: true
      num_tflite_pools: 2
    """
    given = ServerOptions(
        platform_config_file=platform_file(tmp_path, legacy(text)),
        saved_model_tags="other",
        num_request_iterations_for_warmup=9,
        port=1,
    )
    options = check_options(given)
    assert options.saved_model_tags == "serve,gpu"
    assert options.enable_model_warmup
    assert options.num_request_iterations_for_warmup == 3
    assert options.enable_batching
    assert options.enable_per_model_batching_parameters
    assert options.num_tflite_pools == 2
    assert options.port == 1


def test_batching_parameters_of_the_file_count(tmp_path: Path) -> None:
    text = legacy("batching_parameters { max_batch_size { value: 8 } num_batch_threads { value: 3 } }")
    found = Batching.of(check_options(ServerOptions(platform_config_file=platform_file(tmp_path, text))))
    assert found.mode is Mode.FIXED
    assert protos.BatchingParameters.FromString(found.parameters).max_batch_size.value == 8
    assert found.threads is not None
    assert found.threads.number == 3


def test_an_empty_config_has_the_defaults_of_the_message_instead_of_the_flags(tmp_path: Path) -> None:
    options = with_platform_config(
        ServerOptions(platform_config_file=platform_file(tmp_path, ""), saved_model_tags="x", enable_batching=True)
    )
    assert (options.saved_model_tags, options.enable_batching, options.enable_model_warmup) == ("serve", False, False)


def test_session_options_come_from_the_file_alone(tmp_path: Path) -> None:
    text = 'session_config { intra_op_parallelism_threads: 3 } mixed_precision: "bfloat16"'
    config = protos.message("tensorflow.ConfigProto").FromString(
        session_config(
            ServerOptions(
                platform_config_file=platform_file(tmp_path, legacy(text)),
                tensorflow_intra_op_parallelism=7,
                tensorflow_session_config_file="/nowhere",
            )
        )
    )
    assert config.intra_op_parallelism_threads == 3
    assert config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 == 1


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("", "other"), Code.FAILED_PRECONDITION, "PlatformConfigMap has no entry for platform tensorflow"),
        (
            ("", "tensorflow", "tensorflow.ConfigProto"),
            Code.INVALID_ARGUMENT,
            f"platform tensorflow is tensorflow.ConfigProto; give a {ADAPTER}",
        ),
        ((legacy('session_target: "grpc://x"'),), Code.UNIMPLEMENTED, "session_target is not supported"),
        ((legacy("enable_saved_model_config: true"),), Code.UNIMPLEMENTED, "enable_saved_model_config is not"),
        ((legacy("no_such_field: 1"),), Code.INVALID_ARGUMENT, "Invalid protobuf file: "),
    ],
)
def test_what_is_wrong(tmp_path: Path, arguments: tuple[str, ...], code: Code, text: str) -> None:
    with pytest.raises(ServingError) as caught:
        check_options(ServerOptions(platform_config_file=platform_file(tmp_path, *arguments)))
    assert caught.value.code is code
    assert text in caught.value.message


def test_fields_without_effect_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        with_platform_config(
            ServerOptions(platform_config_file=platform_file(tmp_path, legacy("enable_session_metadata: true")))
        )
    assert "enable_session_metadata has no effect" in caplog.text
