# SPDX-License-Identifier: Apache-2.0
"""HandleReloadConfigRequest, by the official stubs: codes, texts and what they mean for requests."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import any_pb2
from tensorflow_serving.apis import model_management_pb2
from tensorflow_serving.config import model_server_config_pb2

from tests.clients import DEADLINE_SECONDS, GrpcClient, rpc_error, wait_until
from tests.conftest import StartServer
from tests.server_process import ServerProcess, model_config

NAME = "half_plus_two"


def entry(name: str, base_path: Path | str, *, labels: Mapping[str, int] | None = None, **fields: Any) -> Any:
    fields = {"model_platform": "tensorflow", **fields}
    versions = fields.pop("versions", ())
    found = model_server_config_pb2.ModelConfig(name=name, base_path=str(base_path), **fields)
    if versions:
        found.model_version_policy.specific.versions.extend(versions)
    for label, version in (labels or {}).items():
        found.version_labels[label] = version
    return found


def request(*entries: Any, metrics: tuple[str, ...] = ()) -> Any:
    found = model_management_pb2.ReloadConfigRequest(metric_names=metrics)
    found.config.model_config_list.SetInParent()
    found.config.model_config_list.config.extend(entries)
    return found


def reload(client: GrpcClient, *entries: Any, timeout: float = DEADLINE_SECONDS, **options: Any) -> Any:
    return client.model.HandleReloadConfigRequest(request(*entries, **options), timeout)


@pytest.fixture(scope="module")
def process(start_server: StartServer, models: Path, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    """It looks for versions once only: what a reload adds must be found all the same."""
    file = tmp_path_factory.mktemp("config") / "models.config"
    file.write_text(model_config({NAME: models / NAME}))
    return start_server(f"--model_config_file={file}", "--file_system_poll_wait_seconds=0")


@pytest.fixture
def client(process: ServerProcess, models: Path) -> Iterator[GrpcClient]:
    """Versions 1 to 3 of one model are loaded, and there is no label."""
    found = GrpcClient(process.grpc_target)
    reload(found, entry(NAME, models / NAME, versions=(1, 2, 3)))
    wait_until(lambda: [found.states(NAME).get(v) for v in (1, 2, 3)] == ["AVAILABLE"] * 3)
    yield found
    found.close()


def test_an_added_model_answers_when_the_reply_comes(client: GrpcClient, models: Path) -> None:
    reply = reload(client, entry(NAME, models / NAME, versions=(1, 2, 3)), entry("other", models / NAME))
    assert (reply.status.error_code, reply.status.error_message, len(reply.metric)) == (0, "", 0)
    assert reply.HasField("status")
    assert client.predict("other", {"x": [2.0]}).outputs["y"].float_val[0] == 6.0


def test_a_removed_model_is_unloaded(client: GrpcClient, models: Path) -> None:
    reload(client, entry(NAME, models / NAME, versions=(1, 2, 3)), entry("gone", models / NAME))
    reload(client, entry(NAME, models / NAME, versions=(1, 2, 3)))
    wait_until(lambda: client.states("gone")[4] == "END")
    code, message = rpc_error(lambda: client.predict("gone", {"x": [2.0]}))
    assert (code, message) == ("NOT_FOUND", "Servable not found for request: Latest(gone)")


def test_an_empty_list_unloads_everything(client: GrpcClient) -> None:
    reload(client)
    wait_until(lambda: set(client.states(NAME).values()) == {"END"})


def test_a_policy_changes(client: GrpcClient, models: Path) -> None:
    reload(client, entry(NAME, models / NAME, versions=(2,)))
    wait_until(lambda: client.states(NAME) == {3: "END", 2: "AVAILABLE", 1: "END"} | _four(client))


def _four(client: GrpcClient) -> dict[int, str]:
    return {4: "END"} if 4 in client.states(NAME) else {}


def test_a_base_path_changes(client: GrpcClient, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / NAME / "1", tmp_path / "9")
    reload(client, entry(NAME, tmp_path))
    wait_until(lambda: client.states(NAME).get(9) == "AVAILABLE")
    wait_until(lambda: client.states(NAME)[3] == "END")
    assert client.predict(NAME, {"x": [2.0]}).outputs["y"].float_val[0] == 3.0


PATH = "/nowhere"
REFUSED: dict[str, tuple[list[Any], str]] = {
    "twice": (
        [entry("a", PATH), entry("a", PATH)],
        "Illegal to list model a multiple times in config list",
    ),
    "no path": (
        [entry("a", "")],
        "Expected model a to have an absolute path or URI; got base_path()=",
    ),
    "two platforms": (
        [entry("a", PATH, model_type=1)],
        "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform, "
        "model name is a",
    ),
    "no platform": (
        [entry("a", PATH, model_platform="")],
        "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, "
        "model name is a",
    ),
    "other type": (
        [entry("a", PATH, model_platform="", model_type=2)],
        "ModelServerConfig::model_type choice 2 not supported.",
    ),
    "unknown platform": (
        [entry("a", PATH, model_platform="onnx")],
        "Model a requests unsupported platform onnx",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_config_that_is_refused_changes_nothing(client: GrpcClient, case: str) -> None:
    entries, message = REFUSED[case]
    assert rpc_error(lambda: reload(client, *entries)) == ("INVALID_ARGUMENT", message)
    assert client.predict(NAME, {"x": [2.0]}).outputs["y"].float_val[0] == 5.0


@pytest.mark.parametrize("custom", [False, True])
def test_only_a_list_of_models_can_be_reloaded(client: GrpcClient, custom: bool) -> None:
    found = model_management_pb2.ReloadConfigRequest()
    if custom:
        found.config.custom_model_config.CopyFrom(any_pb2.Any())
    code, message = rpc_error(lambda: client.model.HandleReloadConfigRequest(found, DEADLINE_SECONDS))
    assert code == "INVALID_ARGUMENT"
    assert message == (
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
    )


def test_models_that_do_not_load_are_named(client: GrpcClient, models: Path, tmp_path: Path) -> None:
    (tmp_path / "bad/1").mkdir(parents=True)
    (tmp_path / "bad/1/saved_model.pb").write_bytes(b"\xff\xff no model")
    kept = entry(NAME, models / NAME, versions=(1, 2, 3))
    added = [entry("bad", tmp_path / "bad"), entry("good", models / NAME), entry("missing", tmp_path / "none")]
    code, message = rpc_error(lambda: reload(client, kept, *added, timeout=60.0))
    assert code == "UNKNOWN"
    assert message.startswith("2 model(s) did not become available: {{name: bad")
    assert "due to error: " in message
    assert f"{{name: missing}} due to error: NOT_FOUND: Could not find base path {tmp_path}/none" in message
    assert client.predict("good", {"x": [2.0]}).outputs["y"].float_val[0] == 6.0
    assert client.predict(NAME, {"x": [2.0]}).outputs["y"].float_val[0] == 5.0


def test_labels_point_to_versions_that_are_available(client: GrpcClient, models: Path) -> None:
    def labelled(labels: Mapping[str, int]) -> Any:
        return entry(NAME, models / NAME, versions=(1, 2, 3), labels=labels)

    def answer(label: str) -> float:
        return client.predict(NAME, {"x": [2.0]}, label=label).outputs["y"].float_val[0]

    reload(client, labelled({"stable": 1, "canary": 3}))
    assert (answer("stable"), answer("canary")) == (3.0, 5.0)
    text = f"Request to assign label to version 7 of model {NAME}, which is not currently available for inference"
    refused = rpc_error(lambda: reload(client, labelled({"stable": 2, "canary": 7})))
    assert refused == ("FAILED_PRECONDITION", text)
    assert (answer("stable"), answer("canary")) == (3.0, 5.0)
    reload(client, labelled({"stable": 2}))
    assert answer("stable") == 4.0
    unknown = rpc_error(lambda: answer("canary"))
    assert unknown == ("INVALID_ARGUMENT", "Unrecognized servable version label: canary")


def test_a_label_of_a_model_that_the_same_config_adds_is_refused(client: GrpcClient, models: Path) -> None:
    added = entry("labelled", models / NAME, labels={"stable": 4})
    code, message = rpc_error(lambda: reload(client, entry(NAME, models / NAME, versions=(1, 2, 3)), added))
    assert code == "FAILED_PRECONDITION"
    assert message.startswith("Request to assign label to version 4 of model labelled")
    assert rpc_error(lambda: client.states("labelled"))[0] == "NOT_FOUND"


def test_a_label_stays_when_its_version_goes(client: GrpcClient, models: Path) -> None:
    reload(client, entry(NAME, models / NAME, versions=(1, 2, 3), labels={"stable": 1}))
    reload(client, entry(NAME, models / NAME, versions=(2, 3), labels={"stable": 1}))
    wait_until(lambda: client.states(NAME)[1] == "END")
    code, message = rpc_error(lambda: client.predict(NAME, {"x": [2.0]}, label="stable"))
    assert (code, message) == ("NOT_FOUND", f"Servable not found for request: Specific({NAME}, 1)")


def test_metrics_tell_by_how_much_they_grew(client: GrpcClient, models: Path) -> None:
    kept = entry(NAME, models / NAME, versions=(1, 2, 3))
    names = ("/tensorflow/cc/saved_model/load_attempt_count", "/none")
    reply = reload(client, kept, entry("measured", models / NAME), metrics=names)
    assert {metric.name: metric.int64_value_increase for metric in reply.metric} == {names[0]: 1, names[1]: 0}
