# SPDX-License-Identifier: Apache-2.0
"""What was exported is served, and answers as the model does; `make accept AREA=sdk` tries more models."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tensorserve import Client
from tests.conftest import StartServer
from tests.keras_round_trips import Spec, check, specs
from tests.server_process import ServerProcess


@pytest.fixture(scope="module")
def serving(start_server: StartServer, models: Path) -> ServerProcess:
    return start_server("--model_name=half_plus_two", f"--model_base_path={models / 'half_plus_two'}")


@pytest.fixture(scope="module")
def clients(serving: ServerProcess) -> Iterator[dict[str, Client]]:
    with Client(f"grpc://{serving.grpc_target}") as grpc, Client(serving.rest_url) as http:
        yield {"grpc": grpc, "http": http}


@given(spec=specs)
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_answers_are_those_of_the_model(spec: Spec, clients: dict[str, Client], tmp_path_factory) -> None:
    check(spec, tmp_path_factory.mktemp("round_trip"), clients)


def test_the_curl_of_the_summary_works(serving: ServerProcess, clients: dict[str, Client], tmp_path: Path) -> None:
    import keras

    from tensorserve.export import Classify, export

    model = keras.Sequential([keras.Input((30, 4), name="x"), keras.layers.Flatten(), keras.layers.Dense(2, name="y")])
    classify = Classify({"x": ("float32", [30, 4])}, labels=["no", "yes"])
    done = export(model, tmp_path / "curled", inputs=["input"], signatures={"classify": classify})
    clients["grpc"].reload({"curled": str(tmp_path / "curled")})
    clients["grpc"].wait_ready("curled")
    command = done.curl.replace("http://localhost:8501", serving.rest_url)
    reply = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout
    assert len(json.loads(reply)["predictions"][0]) == 2
    assert "Finished reading warmup data" in serving.log
    (classes,) = clients["grpc"].classify("curled", [{"x": [0.5] * 120}], signature="classify")
    assert sorted(label for label, _score in classes) == ["no", "yes"]
