# SPDX-License-Identifier: Apache-2.0
"""What a server runs although nobody asked (warm-up, measurements at load, the search for what may be batched) leaves
a model as it was exported."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf

from tests.clients import GrpcClient, tensor
from tests.conftest import ServeModels
from tests.models import cache
from tests.server_process import ServerProcess


@pytest.fixture(scope="module", params=[(), ("--enable_batching",)], ids=["alone", "batching"])
def server(request: pytest.FixtureRequest, serve_models: ServeModels) -> ServerProcess:
    odd = cache.exported(cache.ODD)
    return serve_models({name: odd / name for name in ("stateful", "seeded")}, *request.param)


@pytest.fixture
def client(server: ServerProcess) -> Iterator[GrpcClient]:
    client = GrpcClient(server.grpc_target)
    yield client
    client.close()


def test_state_is_as_it_was_exported(client: GrpcClient) -> None:
    reply = client.predict("stateful", {"x": tensor(0, "int64")}, signature="read")
    assert tf.make_ndarray(reply.outputs["state"]).tolist() == [7, 7, 7]


def test_no_file_is_written(server: ServerProcess) -> None:
    folder: Path = cache.exported(cache.ODD) / "stateful"
    assert sorted(path.name for path in folder.iterdir()) == ["1"]


def test_a_seeded_sequence_begins_with_the_first_request(server: ServerProcess, client: GrpcClient) -> None:
    path = cache.exported(cache.ODD) / "seeded" / "1"
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], str(path)).signature_def["serving_default"]
        feed = {signature.inputs["x"].name: [1.0]}
        expected = [session.run(signature.outputs["y"].name, feed).tolist() for _ in range(2)]
    given = [tf.make_ndarray(client.predict("seeded", {"x": [1.0]}).outputs["y"]).tolist() for _ in range(2)]
    assert given == expected
    assert given[0] != given[1]
