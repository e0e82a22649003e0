# SPDX-License-Identifier: Apache-2.0
"""What the client promises that takes long to see, or that needs a quiet machine: `make accept AREA=client`."""

import gc
import json
import re
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest

import tensorserve
from tensorserve.client import Client
from tensorserve.runtimes import tensorflow_library
from tests.meta.repository import ROOT
from tests.server_process import ServerProcess

MODEL = "half_plus_two"
X = np.array([1, 2, 5], np.float32)


def python(code: str, interpreter: str = sys.executable) -> Any:
    """What a program prints as JSON."""
    done = subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_it_takes_less_than_300_ms() -> None:
    code = "import time; t = time.perf_counter(); import tensorserve.client, sys\n"
    code += "print(f'[{time.perf_counter() - t}, {int(\"tensorflow\" in sys.modules)}]')"
    seconds, with_tensorflow = min(python(code) for _ in range(5))
    print(f"{seconds:.3f} s")
    assert seconds < 0.3
    assert not with_tensorflow


def test_it_installs_alone(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    interpreter = str(tmp_path / "venv" / "bin" / "python")
    install = [interpreter, "-m", "pip", "install", "--quiet", str(ROOT / "packages" / "tensorserve-client")]
    subprocess.run(install, check=True)
    assert python("import tensorserve_client, json; print(json.dumps(tensorserve_client.Client.__name__))", interpreter)
    listing = "import importlib.metadata as m, json; print(json.dumps([d.name for d in m.distributions()]))"
    listed = python(listing, interpreter)
    assert {"grpcio", "numpy", "protobuf", "tensorserve-client"} <= set(listed)
    assert "tensorflow" not in " ".join(listed)


def seconds_each(call: Callable[[], Any], count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - started) / count


@pytest.mark.parametrize("size", [3, 100_000])
def test_a_call_costs_at_most_1_3_times_the_raw_stubs(server: ServerProcess, size: int) -> None:
    from tests.clients import predict_pb2, prediction_service_pb2_grpc, tf

    x = np.ones(size, np.float32)
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with (
        Client(f"grpc://{server.grpc_target}") as client,
        grpc.insecure_channel(server.grpc_target, options) as channel,
    ):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

        def raw() -> Any:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = MODEL
            request.inputs["x"].CopyFrom(tf.make_tensor_proto(x))
            return tf.make_ndarray(stub.Predict(request, timeout=60).outputs["y"])

        def ours() -> Any:
            return client.predict(MODEL, {"x": x})["y"]

        assert np.array_equal(raw(), ours())
        rounds = [(seconds_each(raw, 100), seconds_each(ours, 100)) for _ in range(20)]
    ratio = float(np.median([mine / theirs for theirs, mine in rounds]))
    theirs, mine = np.median(rounds, axis=0) * 1e6
    print(f"{size} values: raw {theirs:.0f} us, ours {mine:.0f} us, {ratio:.2f}")
    assert ratio <= 1.3


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_10000_calls_leak_nothing(server: ServerProcess, protocol: str) -> None:
    url = f"grpc://{server.grpc_target}" if protocol == "grpc" else server.rest_url
    me = psutil.Process()
    big = np.ones(10_000, np.float32)

    def calls(count: int) -> tuple[float, int, int]:
        for number in range(count):
            client.predict(MODEL, {"x": big if number % 10 == 0 else X})
        gc.collect()
        return me.memory_info().rss / 1e6, me.num_fds(), me.num_threads()

    with Client(url) as client:
        before = calls(2000)
        after = calls(10_000)
    print(before, after)
    assert after[0] - before[0] < 8
    assert after[1:] == before[1:]


def test_loading_and_the_first_answer_take_less_than_a_second(models: Path) -> None:
    path = str(models / MODEL / "1")
    ours = "import time; t = time.perf_counter(); import tensorserve\n"
    ours += f"tensorserve.load({path!r})(x=[1.0]); print(time.perf_counter() - t)"
    theirs = "import time; t = time.perf_counter(); import tensorflow as tf\n"
    theirs += f"tf.saved_model.load({path!r}).signatures['serving_default'](x=tf.constant([1.0]))\n"
    theirs += "print(time.perf_counter() - t)"
    mine, other = min(python(ours) for _ in range(3)), min(python(theirs) for _ in range(2))
    print(f"tensorserve.load {mine:.2f} s, tf.saved_model.load {other:.2f} s")
    assert mine < 1


def test_a_call_costs_at_most_10_us_more_than_a_bare_run(models: Path) -> None:
    """Both in the same seconds, in turns: a bare TF_SessionRun, and a call of Python's."""
    path, library = str(models / MODEL / "1"), tensorflow_library.find_library()
    floor = [
        "cargo",
        "run",
        "--quiet",
        "--profile",
        "ci",
        "--package",
        "tensorserve-runtimes",
        "--example",
        "run_floor",
    ]
    floor += ["--", library, path, "serving_default", "20000", "3"]
    model = tensorserve.load(path)

    def call() -> float:
        times = []
        for _ in range(20_000):
            started = time.perf_counter_ns()
            model(x=X)
            times.append(time.perf_counter_ns() - started)
        return float(np.median(times)) / 1e3

    call()
    pairs = []
    for _ in range(3):
        done = subprocess.run(floor, cwd=ROOT, capture_output=True, text=True, check=True)
        pairs.append((json.loads(done.stdout)["p50_us"], call()))
    more = float(np.median([mine - bare for bare, mine in pairs]))
    print(f"bare run and call, us: {pairs}; {more:.1f} more")
    assert more <= 10


def test_bench_reaches_0_6_of_h2loads_rate(server: ServerProcess, tmp_path: Path) -> None:
    from tensorserve.bench import requests
    from tensorserve.bench.measuring import Load, measure
    from tensorserve_client.verbs import Spec

    made = requests.predict(f"grpc://{server.grpc_target}", Spec(MODEL), [{"x": X}])
    body = tmp_path / "body"
    body.write_bytes(b"\0" + len(made.bodies[0]).to_bytes(4, "big") + made.bodies[0])
    h2load = ["h2load", "-t1", "-c4", "-m16", "-D3", "--warm-up-time=1", f"--data={body}"]
    h2load += ["-Hcontent-type: application/grpc", "-Hte: trailers", f"http://{server.grpc_target}{made.path}"]
    pairs = []
    for _ in range(3):
        done = subprocess.run(h2load, capture_output=True, text=True, check=True)
        found = re.search(r"finished in .*?, ([0-9.]+) req/s", done.stdout)
        assert found is not None, done.stdout
        mine = measure(made, Load(concurrency=64, connections=4, seconds=3))
        assert not mine.errors
        pairs.append((float(found[1]), mine.rate))
    share = float(np.median([mine / theirs for theirs, mine in pairs]))
    print(f"h2load and bench, requests/s: {pairs}; {share:.2f}")
    assert share >= 0.6


def test_percentiles_are_those_of_drawn_times() -> None:
    command = ["cargo", "test", "--quiet", "--profile", "ci", "--package", "tensorserve-loadgen", "--", "--ignored"]
    done = subprocess.run([*command, "--nocapture"], cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
