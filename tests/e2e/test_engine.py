# SPDX-License-Identifier: Apache-2.0
"""Models in this process."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensorserve
from tensorserve.engine import Model
from tensorserve.errors import Code, ServingError
from tensorserve_client import InputError, serialize_example
from tests.models import cache
from tests.models.graph_models import ECHO_DTYPES

Load = Callable[..., Model]


@pytest.fixture(scope="module")
def half_plus_two(models: Path, load_model: Load) -> Model:
    return load_model(models / "half_plus_two", version=1)


@pytest.fixture(scope="module")
def echo(models: Path, load_model: Load) -> Model:
    return load_model(models / "echo")


def test_three_lines(models: Path) -> None:
    code = "import sys, tensorserve\n"
    code += f"model = tensorserve.load({str(models / 'half_plus_two')!r}, version=1)\n"
    code += "print(model(x=[2.0, 4.0])['y'].tolist(), 'tensorflow' in sys.modules, 'grpc' in sys.modules)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    values, *imported = done.stdout.split("] ")
    assert values.startswith("[")
    assert imported == ["False False\n"]


@pytest.mark.parametrize("dtype", [name for name in ECHO_DTYPES if name not in ("string", "bfloat16")])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 4), (100, 1000)])
def test_every_type_comes_back(echo: Model, dtype: str, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(1).integers(0, 100, shape).astype(dtype)
    found = echo.signatures[dtype](x=x)["y"]
    assert (found.dtype, found.shape) == (x.dtype, x.shape)
    assert np.array_equal(found, x)


def test_what_comes_back_is_the_callers_own(echo: Model) -> None:
    x = np.zeros(1 << 20, np.float32)
    found = echo.signatures["float32"](x=x)["y"]
    x[:] = 1
    assert found.sum() == 0
    found[0] = 2
    assert echo.signatures["float32"](x=x)["y"][0] == 1


def test_arrays_of_any_layout(echo: Model) -> None:
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    read_only = whole.copy()
    read_only.flags.writeable = False
    for x in (whole.T, whole[::2], whole[:, 1:3], whole[1:], read_only, np.asfortranarray(whole), whole.astype(">f4")):
        assert np.array_equal(echo.signatures["float32"](x=x)["y"], x)
    unaligned = np.frombuffer(bytearray(41), np.uint8)[1:].view(np.float32)
    assert np.array_equal(echo.signatures["float32"](x=unaligned)["y"], unaligned)


def test_strings(echo: Model) -> None:
    run = echo.signatures["string"]
    assert run(x=["a", b"\0b", "é"])["y"].tolist() == [b"a", b"\0b", "é".encode()]
    assert run(x="text")["y"].item() == b"text"
    found = run(x=np.array([["a"] * 3] * 2))["y"]
    assert (found.shape, found[1, 2]) == ((2, 3), b"a")


def test_python_values_get_the_types_of_the_signature(half_plus_two: Model) -> None:
    assert half_plus_two(x=[1, 2])["y"].dtype == np.float32
    assert half_plus_two.signatures["serving_default"].inputs["x"].shape == (-1,)
    with pytest.raises(InputError, match="ragged"):
        half_plus_two(x=[[1], [2, 3]])


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({"x": np.zeros(2)}, "Expects arg.0. to be float but double is provided"),
        ({"y": np.zeros(2, np.float32)}, "not found in request and no default value"),
        ({}, "input size does not match signature"),
    ],
)
def test_errors_are_those_of_a_server(half_plus_two: Model, inputs: dict[str, Any], text: str) -> None:
    with pytest.raises(ServingError, match=text) as caught:
        half_plus_two(**inputs)
    assert caught.value.code == Code.INVALID_ARGUMENT


def test_what_is_no_model(tmp_path: Path, echo: Model) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(ServingError):
        tensorserve.load(tmp_path)
    with pytest.raises(KeyError):
        echo.signatures["none"]
    with pytest.raises(ServingError, match=r"has no signature serving_default; there are: .*bool"):
        echo(x=1)


def test_a_model_says_what_it_takes_and_gives(half_plus_two: Model) -> None:
    text = "serving_default(x: float [-1]) -> (y: float [-1])"
    assert repr(half_plus_two) == f"<model {half_plus_two.path}: {text}>"
    assert repr(half_plus_two.signatures) == f"<signatures {text}>"
    assert repr(half_plus_two.signatures["serving_default"]) == f"<signature {text}>"


def test_examples(models: Path, load_model: Load) -> None:
    regress = load_model(models / "heads").signatures["regress_flat"]
    assert regress.method == "tensorflow/serving/regress"
    found = regress(inputs=[serialize_example({"x": 2.0}), serialize_example({"x": [4.0]})])["outputs"]
    assert found.ravel().tolist() == [4.0, 5.0]
    with pytest.raises(InputError, match="it must be a dict of features"):
        serialize_example(2.0)  # type: ignore[arg-type]


def test_a_closed_model(models: Path) -> None:
    with tensorserve.load(models / "half_plus_two") as model:
        run = model.signatures["serving_default"]
    assert repr(model) == f"<model {model.path}: closed>"
    with pytest.raises(ServingError, match="it was closed"):
        model(x=[1.0])
    assert run(x=[1.0])["y"].shape == (1,)  # Whoever still holds a signature can call it.


def test_many_threads_and_a_free_interpreter(models: Path, load_model: Load) -> None:
    model = load_model(models / "slow")
    ticks = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    with ThreadPoolExecutor(4) as threads:
        started = time.monotonic()
        waited = list(threads.map(lambda _: float(model(seconds=[0.4])["waited"][0]), range(4)))
    stop.set()
    thread.join()
    assert all(one >= 0.4 for one in waited)
    assert sum(tick > started for tick in ticks) > 20


def test_many_threads_get_their_own_answers(half_plus_two: Model) -> None:
    first = float(half_plus_two(x=[0.0])["y"][0])
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda i: float(half_plus_two(x=np.full(1, i, np.float32))["y"][0]), range(2000)))
    assert found == [first + 0.5 * i for i in range(2000)]


@pytest.mark.parametrize("batching", [False, True])
def test_an_event_loop(models: Path, load_model: Load, batching: bool) -> None:
    model = load_model(models / "half_plus_two", version=1, batching=batching)

    async def ask() -> list[float]:
        with pytest.raises(ServingError, match="Expects arg"):
            await model.predict_async(x=np.zeros(1))
        cancelled = asyncio.ensure_future(model.predict_async(x=[0.0]))
        await asyncio.sleep(0)
        cancelled.cancel()
        found = await asyncio.gather(*[model.predict_async(x=[i]) for i in range(500)])
        return [float(one["y"][0]) for one in found]

    found = asyncio.run(ask())
    assert found == [found[0] + 0.5 * i for i in range(500)]


def test_calls_at_once_share_batches(models: Path, tmp_path: Path) -> None:
    parameters = tmp_path / "batching.pbtxt"
    parameters.write_text("max_batch_size { value: 4 } batch_timeout_micros { value: 10000000 }")
    model = tensorserve.load(models / "half_plus_two", version=1, batching=parameters)
    with model, ThreadPoolExecutor(4) as threads:  # Less than four would wait for ten seconds.
        started = time.monotonic()
        found = list(threads.map(lambda i: model(x=[float(i)])["y"].tolist(), range(4)))
    assert time.monotonic() - started < 8
    assert [one[0] - found[0][0] for one in found] == [0, 0.5, 1, 1.5]


def test_nothing_leaks(echo: Model) -> None:
    import gc

    import psutil

    x = np.ones(1000, np.float32)
    names = np.array([b"name"] * 10, object)

    def calls() -> float:
        for _ in range(3000):
            echo.signatures["float32"](x=x)
            echo.signatures["string"](x=names)
        gc.collect()
        return float(psutil.Process().memory_info().rss)

    calls()
    before = calls()
    references = sys.getrefcount(x), sys.getrefcount(names[0])
    assert calls() - before < 4e6
    assert (sys.getrefcount(x), sys.getrefcount(names[0])) == references


def test_a_request_that_would_end_the_process_is_refused(load_model: Load) -> None:
    model = load_model(cache.exported(cache.ODD) / "layers")
    with pytest.raises(ServingError) as caught:
        model(x=np.ones((2, 4), np.float32))
    assert caught.value.code == Code.INVALID_ARGUMENT
