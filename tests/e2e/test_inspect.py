# SPDX-License-Identifier: Apache-2.0
"""Sample requests are answered by a server; a running server and an object store can be inspected."""

import json
import subprocess
from pathlib import Path

import pytest

from tensorserve.errors import ServingError
from tensorserve.inspect import inspect_model
from tensorserve.inspect.samples import Address, samples
from tests.server_process import ServerProcess

ASKED = ("half_plus_two", "mlp", "sums", "strings", "image_mean", "scalar", "keras_small", "heads_tf2")


@pytest.mark.parametrize("name", ASKED)
def test_curl_is_answered(server: ServerProcess, models: Path, name: str) -> None:
    model = inspect_model(models / name)
    for signature in model.signatures:
        command = samples(model, signature, Address(server.rest_url, server.grpc_target)).curl
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
        assert not {"predictions", "outputs", "results"}.isdisjoint(json.loads(done.stdout)), (command, done.stdout)


def test_grpcurl_is_answered(server: ServerProcess, models: Path) -> None:
    """The message of the sample, sent by the official client: protobuf's JSON is what grpcurl reads."""
    import shlex

    from google.protobuf import json_format
    from tensorflow_serving.apis import predict_pb2

    from tests.clients import GrpcClient

    model = inspect_model(models / "half_plus_two")
    words = shlex.split(samples(model, model.signatures[0]).grpcurl)
    request = json_format.Parse(words[words.index("-d") + 1], predict_pb2.PredictRequest())
    client = GrpcClient(server.grpc_target)
    assert list(client.send(request).outputs["y"].float_val) == [4.5]
    client.close()


@pytest.mark.parametrize("name", ["half_plus_two", "sums", "strings", "image_mean", "heads_tf2"])
def test_python_is_answered(server: ServerProcess, models: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = inspect_model(models / name)
    for signature in model.signatures:
        program = samples(model, signature, Address(server.rest_url, server.grpc_target)).python
        exec(compile(program, name, "exec"), {})
        assert capsys.readouterr().out.strip() not in ("", "{}", "[]")


def test_a_running_server(server: ServerProcess, models: Path) -> None:
    asked = inspect_model(f"{server.rest_url}/v1/models/sums")
    assert (asked.name, asked.version, asked.versions) == ("sums", 1, (1,))
    known = inspect_model(models / "sums").signatures[0]
    assert [(each.alias, each.dtype, each.shape, each.default) for each in asked.signatures[0].inputs] == [
        (each.alias, each.dtype, each.shape, each.default) for each in known.inputs
    ]
    assert f"{server.rest_url}/v1/models/sums:predict" in samples(asked, asked.signatures[0]).curl
    assert inspect_model(f"{server.rest_url}/v1/models/half_plus_two", version=2).version == 2
    with pytest.raises(ServingError, match=r"serves these models: .*half_plus_two"):
        inspect_model(server.rest_url)
    over_grpc = inspect_model(f"grpc://{server.grpc_target}/half_plus_two")
    assert (over_grpc.version, over_grpc.versions) == (3, (1, 2, 3))
    assert (
        over_grpc.signatures[0].inputs
        == inspect_model(f"{server.rest_url}/v1/models/half_plus_two").signatures[0].inputs
    )
    with pytest.raises(ServingError, match=r"name one: grpc://.*/NAME"):
        inspect_model(f"grpc://{server.grpc_target}")
    with pytest.raises(ServingError, match=r"none of these|not found|Could not find"):
        inspect_model(f"{server.rest_url}/v1/models/none")


def test_an_object_store(models: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(models / "half_plus_two"), "/inspected/half_plus_two", recursive=True)
    found, local = inspect_model("memory://inspected/half_plus_two"), inspect_model(models / "half_plus_two")
    assert (found.version, found.versions, found.files) == (local.version, local.versions, local.files)
    assert found.signatures == local.signatures
    assert found.variables == local.variables
