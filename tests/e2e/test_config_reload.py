# SPDX-License-Identifier: Apache-2.0
"""The config file changes while requests flow."""

import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.clients import GrpcClient, RestClient, rpc_error, wait_until
from tests.conftest import StartServer
from tests.e2e.steady_load import SteadyLoad
from tests.server_process import ServerProcess, model_config

NAME = "half_plus_two"
ALL = "model_version_policy { specific { versions: [1, 2] } }"


def labels(stable: int, canary: int) -> str:
    """Both versions, and a label for each."""
    named = {"stable": stable, "canary": canary}
    return ALL + "".join(f' version_labels {{ key: "{name}" value: {number} }}' for name, number in named.items())


class ConfigFile:
    """Is replaced as publishers should do it: at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, text: str) -> None:
        building = self.path.with_suffix(".new")
        building.write_text(text)
        building.rename(self.path)

    def serve(self, entries: Mapping[str, Path], extra: str = "") -> None:
        self.write(model_config(entries, {NAME: extra}))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ConfigFile:
    return ConfigFile(tmp_path_factory.mktemp("config") / "models.config")


@pytest.fixture(scope="module")
def process(start_server: StartServer, config: ConfigFile, models: Path) -> ServerProcess:
    config.serve({NAME: models / NAME}, ALL)
    return start_server(f"--model_config_file={config.path}", "--model_config_file_poll_wait_seconds=1")


@pytest.fixture
def client(process: ServerProcess, config: ConfigFile, models: Path) -> Iterator[GrpcClient]:
    config.serve({NAME: models / NAME}, ALL)
    found = GrpcClient(process.grpc_target)
    wait_until(lambda: all(found.states(NAME).get(version) == "AVAILABLE" for version in (1, 2)))
    yield found
    found.close()


def test_models_come_change_and_go(client: GrpcClient, config: ConfigFile, models: Path) -> None:
    config.serve({NAME: models / NAME, "scalar": models / "scalar"}, ALL)
    wait_until(lambda: rpc_error_or_none(client, "scalar") is None)
    config.serve({NAME: models / NAME}, "model_version_policy { specific { versions: 2 } }")
    wait_until(lambda: client.states(NAME)[1] == "END")
    wait_until(lambda: set(client.states("scalar").values()) == {"END"})
    assert client.states(NAME)[2] == "AVAILABLE"


def rpc_error_or_none(client: GrpcClient, name: str) -> str | None:
    try:
        return None if "AVAILABLE" in client.states(name).values() else "not available"
    except Exception as error:
        return str(error)


def test_a_syntax_error_keeps_the_old_config(
    process: ServerProcess, client: GrpcClient, config: ConfigFile, models: Path
) -> None:
    config.write("model_config_list {\n  config { name: 'a' base_path: }\n}\n")
    wait_until(lambda: "Failed to read ModelServerConfig file: " in process.log)
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig: 2:" in process.log
    for _ in range(3):
        assert client.predict(NAME, {"x": [2.0]}).outputs["y"].float_val[0] == 4.0
        time.sleep(0.5)
    assert process.log.count("Failed to read ModelServerConfig file: ") == 1


def test_a_config_that_is_refused_keeps_the_old_one(
    process: ServerProcess, client: GrpcClient, config: ConfigFile, models: Path
) -> None:
    config.serve({NAME: models / NAME, "scalar": models / "scalar"}, labels(1, 77))
    refusal = "PollFilesystemAndReloadConfig failed to ReloadConfig: Request to assign label to version 77"
    wait_until(lambda: refusal in process.log)
    assert rpc_error(lambda: client.predict(NAME, {"x": [2.0]}, label="stable"))[0] == "INVALID_ARGUMENT"
    assert set(client.states("scalar").values()) <= {"END"}


def test_labels_move_with_the_config_under_load(
    process: ServerProcess, client: GrpcClient, config: ConfigFile, models: Path
) -> None:
    """Whoever reads through a label never sees an error, and never goes back and forth."""
    config.serve({NAME: models / NAME}, labels(1, 2))
    wait_until(lambda: "AVAILABLE" in str(client.states(NAME)) and _label(client, "stable") == 3.0)

    def through(label: str) -> float:
        return client.predict(NAME, {"x": [2.0]}, label=label).outputs["y"].float_val[0]

    rest = RestClient(process.rest_url)

    def through_rest() -> float:
        reply = rest.post(f"/v1/models/{NAME}/labels/stable:predict", {"instances": [2.0]})
        assert reply.status_code == 200, reply.text
        return reply.json()["predictions"][0]

    # An A/B split: each side asks by its label.
    asks = (lambda: through("stable"), lambda: through("canary"), through_rest)
    stable, canary, by_rest = (SteadyLoad([ask]) for ask in asks)
    with stable, canary, by_rest:
        wait_until(lambda: all(len(load.answers) > 20 for load in (stable, canary, by_rest)))
        assert (stable.seen(), canary.seen(), by_rest.seen()) == ({3.0}, {4.0}, {3.0})
        config.serve({NAME: models / NAME}, labels(2, 1))
        wait_until(lambda: (stable.answers[-1][1], canary.answers[-1][1]) == (4.0, 3.0))
        time.sleep(0.5)
    for load, first, last in ((stable, 3.0, 4.0), (canary, 4.0, 3.0), (by_rest, 3.0, 4.0)):
        assert load.errors == []
        seen = [answer for _start, answer in load.answers]
        moved = seen.index(last)
        assert set(seen[:moved]) == {first}
        assert set(seen[moved:]) == {last}
    rest.close()


def _label(client: GrpcClient, label: str) -> float | None:
    try:
        return client.predict(NAME, {"x": [2.0]}, label=label).outputs["y"].float_val[0]
    except Exception:
        return None


def test_a_label_and_its_version_leave_together(client: GrpcClient, config: ConfigFile, models: Path) -> None:
    """The label moves before the version that it leaves is unloaded."""
    config.serve({NAME: models / NAME}, labels(1, 2))
    wait_until(lambda: _label(client, "stable") == 3.0)
    with SteadyLoad([lambda: client.predict(NAME, {"x": [2.0]}, label="stable").outputs["y"].float_val[0]]) as load:
        only_two = 'model_version_policy { specific { versions: 2 } } version_labels { key: "stable" value: 2 }'
        config.serve({NAME: models / NAME}, only_two)
        wait_until(lambda: client.states(NAME)[1] == "END")
    assert load.errors == []
    assert load.answers[-1][1] == 4.0


def test_a_hang_up_reads_the_file_at_once(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    config = ConfigFile(tmp_path / "models.config")
    config.serve({NAME: models / NAME})
    server = start_server(f"--model_config_file={config.path}")
    client = GrpcClient(server.grpc_target)
    config.serve({NAME: models / NAME, "scalar": models / "scalar"})
    time.sleep(1.0)
    assert rpc_error(lambda: client.states("scalar"))[0] == "NOT_FOUND"
    server.signal(signal.SIGHUP)
    wait_until(lambda: rpc_error_or_none(client, "scalar") is None)
    # A stop goes on working.
    server.signal(signal.SIGTERM)
    assert server.exit_status() == 0
    client.close()


def test_options_count_for_versions_that_are_loaded_later(
    start_server: StartServer, models: Path, tmp_path: Path
) -> None:
    batching, session = tmp_path / "batching.pbtxt", tmp_path / "session.pbtxt"
    batching.write_text("max_batch_size { value: 8 }")
    session.write_text("log_device_placement: false")
    server = start_server(
        f"--model_name={NAME}",
        f"--model_base_path={models / NAME}",
        f"--batching_parameters_file={batching}",
        f"--tensorflow_session_config_file={session}",
    )
    rest = RestClient(server.rest_url)
    batching.write_text("max_batch_size { value: -1 }")
    assert rest.post("/v1/admin/reload", {}).status_code == 200
    assert server.says(f"The options of {batching} count from now on."), server.log
    reply = rest.session.put(
        f"{server.rest_url}/v1/admin/models/later?wait=true", json={"base_path": str(models / NAME)}, timeout=30
    )
    # The new parameters make no sense, so what is loaded with them fails; what was loaded before goes on.
    assert (reply.status_code, "max_batch_size" in reply.json()["error"]) == (500, True), reply.text
    assert rest.predict(NAME, {"instances": [2.0]}).json() == {"predictions": [6.0]}
    session.write_text("no such option")
    rest.post("/v1/admin/reload", {})
    assert server.says(f"The options of {session} stay as they were: "), server.log
    rest.close()
