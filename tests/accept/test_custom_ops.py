# SPDX-License-Identifier: Apache-2.0
"""A custom op that ends the process is found out; its shape is refused, then its version, and the others serve.

`make accept AREA=custom_ops`. The op is compiled here, against the headers of the TensorFlow wheel: g++ is needed.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients import GrpcClient, wait_until
from tests.conftest import StartServer
from tests.e2e.test_quarantine import ask, half_answers
from tests.server_process import ServerProcess, model_config

SOURCE = Path(__file__).with_name("fragile_op.cc")

FLAGS = "import tensorflow as tf; print(*tf.sysconfig.get_compile_flags(), *tf.sysconfig.get_link_flags(), sep='\\n')"

EXPORT = """
import sys
import tensorflow as tf

library, root = sys.argv[1:]
fragile = tf.load_op_library(library).fragile
v1 = tf.compat.v1


def export(path, computation):
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": computation(x) * 0.5 + 2})
        builder = v1.saved_model.Builder(f"{root}/{path}")
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map={"serving_default": signature})
        builder.save()


export("half/1", tf.identity)
export("runs/1", tf.identity)
export("runs/2", fragile)
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled op."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed: apt-get install g++")
    built = tmp_path_factory.mktemp("op") / "fragile.so"
    asked = subprocess.run([sys.executable, "-c", FLAGS], check=True, capture_output=True, text=True)
    flags = [flag for flag in asked.stdout.splitlines() if flag.startswith("-")]
    words = ["g++", "-shared", "-fPIC", "-w", "-O1", str(SOURCE), "-o", str(built), *flags]
    compiled = subprocess.run(words, capture_output=True, text=True)
    assert compiled.returncode == 0, compiled.stderr[-4000:]
    return built


@pytest.fixture(scope="module")
def server(start_server: StartServer, library: Path, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    """Serves `half` and `runs`, whose version 2 has the op."""
    root = tmp_path_factory.mktemp("models")
    exported = subprocess.run([sys.executable, "-c", EXPORT, str(library), str(root)], capture_output=True, text=True)
    assert exported.returncode == 0, exported.stderr[-4000:]
    config = root / "models.config"
    config.write_text(model_config({"half": root / "half", "runs": root / "runs"}))
    return start_server(f"--model_config_file={config}", f"--load_op_library={library}")


def test_it_is_found_out_refused_and_quarantined(server: ServerProcess) -> None:
    assert ask(server, 3) == "OK"
    for deaths in (1, 2):
        assert ask(server, 5).startswith("UNAVAILABLE")
        wait_until(lambda: half_answers(server), 30)
        assert server.log.count("died after") == deaths, server.log
    assert server.says("model runs version 2: a run of signature serving_default, inputs [5]"), server.log
    refused = ask(server, 5)
    assert refused.startswith("INVALID_ARGUMENT: Inputs of these shapes ended the server 2 times (SIGABRT)"), refused
    assert ask(server, 3) == "OK"
    assert server.log.count("died after") == 2
    # Another shape that the op dies of, in another way.
    assert ask(server, 10).startswith("UNAVAILABLE")
    wait_until(lambda: half_answers(server), 30)
    assert GrpcClient(server.grpc_target).states("runs") == {2: "END", 1: "AVAILABLE"}
    quarantined = "Version 2 of model runs is quarantined: it ended the server 3 times within 300 s"
    assert server.says(f"{quarantined} (it ended with status 2)"), server.log
    assert ask(server, 10) == "OK", "version 1 answers"
    assert half_answers(server)
