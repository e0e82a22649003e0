# SPDX-License-Identifier: Apache-2.0
"""What a model costs when there are many: 10, 100 and 1,000 small ones from one configuration file."""

import itertools
import statistics
import time
from pathlib import Path
from typing import Any

import grpc
from tests.server_process import ServerProcess, model_config

from benchmarks.load import InvalidRunError
from benchmarks.process import TICKS_PER_SECOND, CpuReading, Memory
from benchmarks.scenarios import MODEL_STATUS, PREDICT, SCENARIOS

Result = dict[str, Any]

COUNTS = (10, 100, 1000)
MODEL = "half_plus_two"
# The longest start-up that is waited for.
PATIENCE_SECONDS = 300.0
CALLS = 500


def measure_many_models(models: Path, folder: Path, *flags: str) -> list[Result]:
    """Starts a server with each number of models.

    Raises:
        InvalidRunError: A model did not answer.
    """
    return [_measure(count, models / MODEL / "1", folder, flags) for count in COUNTS]


def _measure(count: int, version: Path, folder: Path, flags: tuple[str, ...]) -> Result:
    names = [f"{MODEL}_{number}" for number in range(count)]
    config = folder / f"{count}-models.config"
    config.write_text(model_config({name: _base_path(folder / f"of-{count}" / name, version) for name in names}))
    server = ServerProcess([f"--model_config_file={config}", *flags], folder / f"{count}-models-log")
    begin = time.monotonic()
    server.start()
    try:
        server.wait_ready(PATIENCE_SECONDS)
        start_seconds = time.monotonic() - begin
        cpu_ticks = CpuReading.of(server.pid).ticks
        memory = Memory.of(server.pid).rss_anon
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            predict_us = _median_us(channel, PREDICT, [_predict(name) for name in names])
            status_us = _median_us(channel, MODEL_STATUS, [_status(name) for name in names])
        after = Memory.of(server.pid).rss_anon
    finally:
        server.stop()
    return {
        "models": count,
        "start_seconds": round(start_seconds, 3),
        "start_cpu_seconds": round(cpu_ticks / TICKS_PER_SECOND, 3),
        "rss_anon_mb": round(memory, 1),
        "rss_anon_mb_after_requests": round(after, 1),
        "predict_us": round(predict_us, 1),
        "status_us": round(status_us, 1),
    }


def _base_path(path: Path, version: Path) -> Path:
    path.mkdir(parents=True)
    (path / "1").symlink_to(version)
    return path


def _predict(name: str) -> bytes:
    from tensorserve import protos

    scenario = next(scenario for scenario in SCENARIOS if scenario.model == MODEL and scenario.calls == "predict")
    request = protos.PredictRequest.FromString(scenario.grpc_message())
    request.model_spec.name = name
    return bytes(request.SerializeToString())


def _status(name: str) -> bytes:
    from tensorserve import protos

    return bytes(protos.GetModelStatusRequest(model_spec={"name": name}).SerializeToString())


def _median_us(channel: grpc.Channel, path: str, messages: list[bytes]) -> float:
    """Median time of a call as a Python client sees it; every model is called at least once."""
    call = channel.unary_unary(path)
    times = []
    for number in range(max(CALLS, len(messages))):
        begin = time.perf_counter()
        try:
            call(messages[number % len(messages)], timeout=30)
        except grpc.RpcError as error:
            raise InvalidRunError(f"{path} failed: {error}") from error
        times.append((time.perf_counter() - begin) * 1e6)
    return statistics.median(times)


def per_model(results: list[Result], key: str) -> list[float]:
    """What each further model adds, from each number of models to the next."""
    steps = itertools.pairwise(results)
    return [(after[key] - before[key]) / (after["models"] - before["models"]) for before, after in steps]
