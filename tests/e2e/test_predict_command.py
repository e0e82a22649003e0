# SPDX-License-Identifier: Apache-2.0
"""`tensorserve predict` and `tensorserve bench` as a user runs them."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tensorserve.cli import main
from tests.server_process import ServerProcess, program

MODEL = "half_plus_two"


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: bytes
    stderr: bytes


Run = Callable[..., Done]


@pytest.fixture
def run(capfdbinary: "pytest.CaptureFixture[bytes]") -> Run:
    """Runs a command in this process: what a process of its own adds is seen once, by `test_a_process`."""

    def run_here(*words: str) -> Done:
        status = main.run(words)
        sys.stdout.flush()
        return Done(status, *capfdbinary.readouterr())

    return run_here


def test_a_process(server: ServerProcess, models: Path) -> None:
    for place in (f"{server.rest_url}/v1/models/{MODEL}", str(models / MODEL)):
        words = [place, "--input", "[2]"]
        done = subprocess.run([program(), "predict", *words], capture_output=True, timeout=60, check=True)
        assert done.stdout.startswith(b"y  float32 [1]\n[")
        assert done.stderr == b""


@pytest.fixture(params=["grpc", "rest", "path"])
def place(request: pytest.FixtureRequest, server: ServerProcess, models: Path) -> list[str]:
    if request.param == "path":
        return [str(models / MODEL), "--version", "1"]
    url = f"grpc://{server.grpc_target}" if request.param == "grpc" else f"{server.rest_url}/v1/models/{MODEL}"
    return [url, "--model_name", MODEL, "--version", "1"]


def test_predict(run: Run, place: list[str], tmp_path: Path) -> None:
    done = run("predict", *place, "--input", "x=[2, 4]", "--format", "json")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)["y"]
    table = run("predict", *place, "--input", "[2, 4]").stdout.decode()
    assert table.startswith("y  float32 [2]\n[")
    run("predict", *place, "--input", "[2, 4]", "--format", "npy", "--out", str(tmp_path / "y.npy"))
    assert np.load(tmp_path / "y.npy").tolist() == values
    assert np.load(io.BytesIO(run("predict", *place, "--input", "[2, 4]", "--format", "npy").stdout)).tolist() == values


def test_an_example(run: Run, server: ServerProcess, models: Path) -> None:
    for place in ([f"grpc://{server.grpc_target}", "--model_name", "heads"], [str(models / "heads")]):
        done = run("predict", *place, "--example", '{"x": 1.5}', "--format", "json")
        assert json.loads(done.stdout) == {"classes": [["car", "bike"]], "scores": [[1.5, 3.0]]}, done.stderr


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["grpc://127.0.0.1:1"], 2, "which model? Name it with --model_name"),
        (["grpc://127.0.0.1:1/v1/models/m"], 3, "UNAVAILABLE"),
        (["/none"], 1, "NOT_FOUND"),
        (["MODEL", "--input", "z=1"], 2, "the signature has no input z; there are: x"),
        (["MODEL", "--signature", "z"], 2, "the model has no signature z; there are: serving_default"),
        (["MODEL", "--input", "x=[1]", "--outputs", "z"], 2, "has no output z; there are: y"),
        (["MODEL"], 1, "input size does not match signature"),
        (["localhost:1/v1/models/m"], 2, "did you mean http://localhost:1/v1/models/m?"),
        (["localhost:8501", "--model_name", "m"], 2, "did you mean http://localhost:8501?"),
        (["localhost:8500", "--model_name", "m"], 2, "did you mean grpc://localhost:8500?"),
        (["MODEL", "--example", "{}"], 2, "serving_default takes no tf.Example messages; none of the model does"),
        (
            ["HEADS", "--signature", "float_input", "--example", "{}"],
            2,
            "messages; `--signature classes_batch` or `--signature ",
        ),
        (["HEADS", "--example", '{"x": 5}'], 1, "Write the numbers of a feature of floats as 5.0: 5 is an int64."),
    ],
)
def test_errors_say_what_to_do(run: Run, models: Path, words: list[str], status: int, text: str) -> None:
    places = {"MODEL": str(models / MODEL), "HEADS": str(models / "heads")}
    words = [places.get(word, word) for word in words]
    done = run("predict", *words, "--timeout", "2")
    assert (done.returncode, done.stderr.decode().count("Traceback")) == (status, 0)
    assert text in done.stderr.decode()


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_bench(run: Run, server: ServerProcess, tmp_path: Path, protocol: str) -> None:
    url = f"grpc://{server.grpc_target}" if protocol == "grpc" else server.rest_url
    words = ["bench", url, "--model_name", MODEL, "--seconds", "0.4", "--warmup", "0.1", "--json", f"{tmp_path}/a.json"]
    done = run(*words, "--concurrency", "1,4", "--batch", "1,8", "--chart", f"{tmp_path}/a.svg")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "a.json").read_text())["measurements"]
    assert [(one["concurrency"], one["rows"]) for one in found] == [(1, 1), (4, 1), (1, 8), (4, 8)]
    assert all(one["answered"] > 10 and not one["errors"] for one in found)
    ElementTree.parse(tmp_path / "a.svg")
    done = run(*words, "--rate", "100", "--input", "x=[1, 2]", "--batch", "3")
    (one,) = json.loads((tmp_path / "a.json").read_text())["measurements"]
    assert (one["rows"], one["unfinished"]) == (3, 0)
    assert 20 <= one["answered"] <= 70
    assert b"%" in done.stdout


def test_bench_compares_and_searches(run: Run, server: ServerProcess) -> None:
    words = ["bench", f"grpc://{server.grpc_target}", "--model_name", MODEL, "--seconds", "0.2", "--warmup", "0"]
    done = run(*words, "--compare", server.rest_url, "--rounds", "2", "--concurrency", "2")
    assert done.returncode == 0, done.stderr
    assert b"second / first, with 95 % confidence intervals" in done.stdout
    done = run(*words, "--find_rate_at_p99_ms", "0.0001", "--rate", "1")
    assert (done.returncode, b"at no rate does p99 <= 0.0001 ms hold" in done.stdout) == (1, True), done.stderr


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["grpc://127.0.0.1:1"], 3, "UNAVAILABLE"),
        (["URL", "--concurrency", "0"], 2, "argument --concurrency: invalid list of whole numbers above 0 value: '0'"),
        (["URL", "--signature", "z"], 2, "has no signature z; there are: serving_default"),
        (["URL", "--recorded", "/none"], 1, "NOT_FOUND"),
        (["localhost:8500"], 2, "did you mean grpc://localhost:8500?"),
    ],
)
def test_bench_errors(run: Run, server: ServerProcess, words: list[str], status: int, text: str) -> None:
    words = [f"grpc://{server.grpc_target}" if word == "URL" else word for word in words]
    done = run("bench", *words, "--model_name", MODEL, "--seconds", "0.1")
    assert (done.returncode, done.stderr.decode().count("Traceback")) == (status, 0), done.stderr
    assert text in done.stderr.decode()
