# SPDX-License-Identifier: Apache-2.0
"""A model that ends the server is found out, and its requests or it are kept away from the others."""

import json
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
import requests

from tests.clients import GrpcClient, RestClient, wait_until
from tests.conftest import StartServer
from tests.server_process import ServerProcess, model_config, program

EXPORT = """
import sys
import tensorflow as tf

v1, root = tf.compat.v1, sys.argv[1]
v1.disable_control_flow_v2()


def export(path, at_load=False, at_run=False):
    with tf.Graph().as_default():
        x = v1.placeholder(tf.float32, [None], name="x")
        y = x * 0.5 + 2
        init = tf.raw_ops.Abort(error_msg="on purpose") if at_load else tf.no_op()
        if at_run:
            def die():
                with tf.control_dependencies([tf.raw_ops.Abort(error_msg="on purpose")]):
                    return tf.identity(y)

            rows = tf.shape(x)[0]
            y = v1.cond(tf.logical_or(tf.equal(rows, 7), tf.equal(rows, 11)), die, lambda: tf.identity(y))
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        with v1.Session() as session:
            builder = v1.saved_model.Builder(f"{root}/{path}")
            builder.add_meta_graph_and_variables(
                session, ["serve"], signature_def_map={"serving_default": signature}, main_op=init
            )
            builder.save()


export("half/1")
export("loads/1")
export("loads/2", at_load=True)
export("runs/1")
export("runs/2", at_run=True)
"""


@pytest.fixture(scope="module")
def deadly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`half/1` and each version 1 are harmless; `loads/2` ends the server at loading, `runs/2` by 7 or 11 rows."""
    root = tmp_path_factory.mktemp("deadly")
    subprocess.run([sys.executable, "-c", EXPORT, str(root)], check=True, capture_output=True)
    return root


def start(start_server: StartServer, root: Path, model: str, state: Path) -> ServerProcess:
    config = state.parent / "models.config"
    config.write_text(model_config({"half": root / "half", model: root / model}))
    session = state.parent / "session.config"
    # It would turn an op that has neither outputs nor effects that it knows of into none.
    session.write_text("graph_options { rewrite_options { disable_meta_optimizer: true } }")
    return start_server(
        f"--model_config_file={config}", f"--state_dir={state}", f"--tensorflow_session_config_file={session}"
    )


def half_answers(server: ServerProcess) -> bool:
    try:
        return RestClient(server.rest_url).predict("half", {"instances": [2.0]}).json() == {"predictions": [3.0]}
    except requests.ConnectionError:
        return False


def listed(server: ServerProcess) -> str:
    words = [program(), "models", "list", f"--server={server.rest_url}"]
    return subprocess.run(words, capture_output=True, text=True, timeout=30).stdout


def test_a_version_that_kills_at_loading_is_quarantined_and_the_one_before_serves(
    start_server: StartServer, deadly: Path, tmp_path: Path
) -> None:
    server = start(start_server, deadly, "loads", tmp_path / "state")
    assert half_answers(server)
    assert server.log.count("died after") == 2, server.log
    assert server.says("model loads version 2: a load"), server.log
    assert server.says("Version 2 of model loads is quarantined: it ended the server 2 times while it was loaded"), (
        server.log
    )
    client = GrpcClient(server.grpc_target)
    assert client.predict("loads", {"x": [2.0]}).model_spec.version.value == 1
    assert client.states("loads") == {2: "END", 1: "AVAILABLE"}
    status = RestClient(server.rest_url).get("/v1/models/loads").json()["model_version_status"]
    assert status[0]["status"]["error_message"].startswith("quarantined: it ended the server 2 times")
    assert "quarantined: it ended the server 2 times" in listed(server)
    metrics = RestClient(server.rest_url).get("/metrics").text
    assert "tensorserve_server_deaths_total 2\n" in metrics
    assert 'tensorserve_quarantined_versions{model_name="loads",version="2"} 1\n' in metrics
    server.stop()
    again = start(start_server, deadly, "loads", tmp_path / "state")
    assert half_answers(again)
    assert "died after" not in again.log
    assert GrpcClient(again.grpc_target).predict("loads", {"x": [2.0]}).model_spec.version.value == 1


def ask(server: ServerProcess, rows: int) -> str:
    """Sends a request to the model that dies of 7 or 11 rows; gives how it went."""
    client = GrpcClient(server.grpc_target)
    try:
        client.predict("runs", {"x": [1.0] * rows})
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    finally:
        client.close()
    return "OK"


def test_a_shape_that_kills_is_refused_and_then_its_version_quarantined(
    start_server: StartServer, deadly: Path, tmp_path: Path
) -> None:
    server = start(start_server, deadly, "runs", tmp_path / "state")
    for deaths in (1, 2):
        assert ask(server, 7).startswith("UNAVAILABLE")
        wait_until(lambda: half_answers(server), 30)
        assert server.log.count("died after") == deaths, server.log
    assert server.says("model runs version 2: a run of signature serving_default, inputs [7]"), server.log
    refused = ask(server, 7)
    assert refused.startswith("INVALID_ARGUMENT: Inputs of these shapes ended the server 2 times (SIGABRT)"), refused
    assert ask(server, 3) == "OK"
    assert server.log.count("died after") == 2
    assert ask(server, 11).startswith("UNAVAILABLE")
    wait_until(lambda: half_answers(server), 30)
    assert GrpcClient(server.grpc_target).states("runs") == {2: "END", 1: "AVAILABLE"}
    assert ask(server, 11) == "OK", "version 1 answers"
    stored = json.loads((tmp_path / "state" / "state.json").read_text())
    (record,) = stored["docket"].values()
    assert record["quarantined"].startswith("quarantined: it ended the server 3 times within 300 s (SIGABRT)")
    released = subprocess.run(
        [program(), "models", "release", "runs", "2", f"--server={server.rest_url}"], capture_output=True, timeout=30
    )
    assert released.returncode == 0, released.stderr
    wait_until(lambda: GrpcClient(server.grpc_target).states("runs").get(2) == "AVAILABLE", 30)
    assert ask(server, 3) == "OK"
