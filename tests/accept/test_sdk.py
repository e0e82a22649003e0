# SPDX-License-Identifier: Apache-2.0
"""What takes too long for CI: the guides, many random models, and speeds."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from tensorserve import Client
from tests.conftest import StartServer
from tests.guides import GUIDES, run_guide
from tests.keras_round_trips import Spec, check, specs
from tests.server_process import ServerProcess, program
from tests.unit.inspect.saved_models import write_large


@pytest.mark.parametrize("page", sorted(GUIDES.glob("*.md")), ids=lambda page: page.stem)
def test_guide(page: Path, tmp_path: Path) -> None:
    run_guide(page, tmp_path)


@pytest.fixture(scope="module")
def clients(start_server: StartServer, models: Path) -> Iterator[dict[str, Client]]:
    server = start_server("--model_name=half_plus_two", f"--model_base_path={models / 'half_plus_two'}")
    with Client(f"grpc://{server.grpc_target}") as grpc, Client(server.rest_url) as http:
        yield {"grpc": grpc, "http": http}


@given(spec=specs)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_answers_are_those_of_the_model(spec: Spec, clients: dict[str, Client], tmp_path_factory) -> None:
    check(spec, tmp_path_factory.mktemp("round_trip"), clients)


def seconds(*words: str, runs: int = 7) -> float:
    """The median of some runs of the command."""
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run([program(), *words], capture_output=True, check=True)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def test_a_gigabyte_is_inspected_in_half_a_second(models: Path, tmp_path: Path) -> None:
    write_large(tmp_path / "1", 1 << 30)
    assert seconds("inspect", str(tmp_path)) < 0.5
    assert seconds("inspect", str(models / "resnet50")) < 0.5


def test_versions_are_printed_at_once() -> None:
    assert seconds("--version") < 0.3


def test_text_becomes_tokens(tmp_path: Path) -> None:
    """With tensorflow-text, whose ops the server loads by itself."""
    import keras

    from tensorserve.export import WordPieces, export
    from tensorserve.inspect.description import CustomOp

    vocabulary = tmp_path / "vocabulary.txt"
    vocabulary.write_text("[PAD]\n[UNK]\nhello\nwor\n##ld\n")
    model = keras.Sequential([keras.Input((5,), dtype="int32", name="ids"), keras.layers.Rescaling(1.0, name="same")])
    base = tmp_path / "models" / "tokens"
    done = export(model, base, {"text": "ids"}, ["tokens"], preprocess={"text": WordPieces(vocabulary)})
    packages = {(each.package, each.installed) for each in done.model.custom_ops}
    assert packages == {("tensorflow-text", True)}, done.model.custom_ops
    assert isinstance(done.model.custom_ops[0], CustomOp)
    server = ServerProcess(["--model_name=tokens", f"--model_base_path={base}"], tmp_path / "log")
    with server, Client(f"grpc://{server.grpc_target}") as client:
        answer = client.predict("tokens", {"text": ["Hello world", "none hello"]})["tokens"]
    np.testing.assert_array_equal(answer, [[2, 3, 4, 0, 0], [1, 2, 0, 0, 0]])


def test_a_user_s_program_is_typed(tmp_path: Path) -> None:
    """`mypy --strict` knows what the functions take and give."""
    sample = tmp_path / "sample.py"
    sample.write_text(
        "from tensorserve.export import Classify, ExportedVersion, ImageBytes, export\n"
        "from tensorserve.inspect import Model, inspect_model\n\n"
        "done: ExportedVersion = export('model.keras', '/models/m', ['x'], {'y': 'out'}, quantize='int8',\n"
        "    preprocess={'x': ImageBytes(scale=1 / 255)}, signatures={'c': Classify({'x': ('float32', [4])})})\n"
        "model: Model = inspect_model(done.path)\n"
        "shapes: list[tuple[int | None, ...] | None] = [each.shape for each in model.signatures[0].inputs]\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(sample)]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    sample.write_text(sample.read_text() + "export(1, 2)\n")
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert 'Argument 2 to "export" has incompatible type "int"' in checked.stdout
