# SPDX-License-Identifier: Apache-2.0
import logging
from pathlib import Path

import pytest

from tensorserve.config.flags import ServerOptions
from tensorserve.config.model_config import checked, model_configs
from tensorserve.errors import ServingError
from tensorserve.types import All, Latest, ModelConfig, Specific


def knows(platform: str) -> bool:
    return platform == "tensorflow"


def read(tmp_path: Path, text: str) -> tuple[ModelConfig, ...]:
    path = tmp_path / "models.config"
    path.write_text(text)
    return model_configs(ServerOptions(model_config_file=str(path)), knows)


def model(fields: str) -> str:
    return f"model_config_list {{ config {{ name: 'm' base_path: '/m' {fields} }} }}"


def test_single_model(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        configs = model_configs(ServerOptions(model_name="half", model_base_path="/half"), knows)
    assert configs == (ModelConfig("half", "/half", "tensorflow", Latest(1)),)
    text = "Building single TensorFlow model file config:  model_name: half model_base_path: /half"
    assert text in caplog.text


def test_relative_paths_start_at_the_working_directory() -> None:
    (config,) = checked([ModelConfig("m", "models/m")], knows)
    assert config.base_path == str(Path.cwd() / "models/m")


def test_uris_stay_as_they_are() -> None:
    (config,) = checked([ModelConfig("m", "gs://bucket/m")], knows)
    assert config.base_path == "gs://bucket/m"


@pytest.mark.parametrize(
    ("fields", "policy"),
    [
        ("", Latest(1)),
        ("model_version_policy {}", Latest(1)),
        ("model_version_policy { latest {} }", Latest(1)),
        ("model_version_policy { latest { num_versions: 0 } }", Latest(1)),
        ("model_version_policy: { latest { num_versions: 3 } }", Latest(3)),
        ("model_version_policy: { all: {} }", All()),
        ("model_version_policy { specific { versions: 42 versions: 43 } }", Specific((42, 43))),
        ("model_version_policy { specific { versions: [1, 2] } }", Specific((1, 2))),
        ("model_version_policy { specific {} }", Specific(())),
    ],
)
def test_policies(tmp_path: Path, fields: str, policy: object) -> None:
    (config,) = read(tmp_path, model(f"model_platform: 'tensorflow' {fields}"))
    assert config.policy == policy


def test_labels(tmp_path: Path) -> None:
    labels = "version_labels { key: 'stable' value: 42 } version_labels { key: 'canary' value: 43 }"
    (config,) = read(tmp_path, model(f"model_type: TENSORFLOW {labels}"))
    assert config.version_labels == {"stable": 42, "canary": 43}


def test_several_models_with_commas_and_colons(tmp_path: Path) -> None:
    text = """model_config_list: {
      config: { name: "a", base_path: "/a", model_platform: "tensorflow", },
      config: { name: "b", base_path: "/b", model_platform: "tensorflow" }
    }"""
    assert [config.name for config in read(tmp_path, text)] == ["a", "b"]


PAIR = "config { name: 'm' base_path: '/m' model_platform: 'tensorflow' }"
FIELDS = "ModelServerConfig::model_type (deprecated)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"model_config_list {{ {PAIR} {PAIR} }}", "Illegal to list model m multiple times in config list"),
        (
            "model_config_list { config { name: 'm' model_platform: 'tensorflow' } }",
            "Expected model m to have an absolute path or URI; got base_path()=",
        ),
        (
            model("model_type: TENSORFLOW model_platform: 'tensorflow'"),
            f"Illegal setting both {FIELDS} and ModelServerConfig::model_platform, model name is m",
        ),
        (model(""), f"Illegal setting neither {FIELDS} nor ModelServerConfig::model_platform, model name is m"),
        (model("model_type: OTHER"), "ModelServerConfig::model_type choice 2 not supported."),
        (model("model_platform: 'onnx'"), "Model m requests unsupported platform onnx"),
        ("custom_model_config {}", "ModelServer does not yet support custom model config."),
    ],
)
def test_refusals(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ServingError) as caught:
        read(tmp_path, text)
    assert str(caught.value) == f"INVALID_ARGUMENT: {message}"


def test_an_empty_config_serves_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert read(tmp_path, "\n") == ()
    assert "Taking no action for empty config." in caplog.text


def test_neither_path_nor_file() -> None:
    with pytest.raises(ServingError) as caught:
        model_configs(ServerOptions(), knows)
    text = "Both server_options.model_base_path and server_options.model_config_file are empty!"
    assert str(caught.value) == f"INVALID_ARGUMENT: {text}"


@pytest.mark.parametrize("char", ["\n", "\x1b[31m", "\r", "\x9b", "\u2028", "\u2029", "\x7f", "\x00", "\x85"])
@pytest.mark.parametrize("form", ["/m{}x", "m{}", "s3://bucket/{}", "file:///{}"])
def test_base_paths_with_control_characters_are_refused(char: str, form: str) -> None:
    """TensorFlow writes them to the log as they are; a name it does not write."""
    with pytest.raises(ServingError, match="The base path of model m has control characters") as caught:
        checked([ModelConfig("m", form.format(char))], knows)
    assert char not in caught.value.message
    assert checked([ModelConfig(f"m{char}", "/m")], knows)
