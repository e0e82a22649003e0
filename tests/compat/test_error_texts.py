# SPDX-License-Identifier: Apache-2.0
"""Errors of TensorFlow keep their whole text: a NUL in a string of the request ends none of it."""

from collections.abc import Iterator

import pytest

from tests.clients import GrpcClient, RestClient, rpc_error, tensor
from tests.conftest import StartServer
from tests.server_process import ServerProcess

NAME = "pattern"
# What stands before a NUL, what behind it, and how often.
TEXTS = [
    b"\0",
    b"a\0b",
    b"\0behind",
    b"before\0",
    b"a\0\0\0b",
    b"short \0" + b"x" * 300,
    b"\xff\0\xfe",
    "ä\0模".encode(),
]


@pytest.fixture(scope="module")
def process(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("models") / NAME
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="x")])
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.strings.regex_replace(x, tf.strings.join(["(", x[0]]), "")}

    tf.saved_model.save(module, str(folder / "1"), signatures=serve)
    return start_server(f"--model_name={NAME}", f"--model_base_path={folder}")


@pytest.fixture
def grpc(process: ServerProcess) -> Iterator[GrpcClient]:
    client = GrpcClient(process.grpc_target)
    yield client
    client.close()


@pytest.mark.parametrize("text", TEXTS)
def test_grpc(text: bytes, grpc: GrpcClient) -> None:
    code, message = rpc_error(lambda: grpc.predict(NAME, {"x": tensor([text], object)}))
    assert code == "INVALID_ARGUMENT"
    assert f"Invalid pattern: ({text.decode(errors='replace')}, error: " in message
    assert "{{node" in message.partition(", error: ")[2]


@pytest.mark.parametrize("text", [text for text in TEXTS if b"\xff" not in text])
def test_rest(text: bytes, process: ServerProcess) -> None:
    client = RestClient(process.rest_url)
    reply = client.predict(NAME, {"instances": [text.decode()]})
    assert reply.status_code == 400
    assert f"Invalid pattern: ({text.decode()}, error: " in reply.json()["error"]
    client.close()
