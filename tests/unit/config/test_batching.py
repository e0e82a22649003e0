# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from typing import Any

import pytest

from tensorserve import protos
from tensorserve.config.batching import PER_MODEL_FILE, Batching, BatchThreads, Mode, VersionBatching, model_weights
from tensorserve.config.cpus import schedulable_cpus
from tensorserve.config.flags import ServerOptions
from tensorserve.errors import Code, ServingError

TUTORIAL = """max_batch_size { value: 128 }
batch_timeout_micros { value: 1000 }
num_batch_threads { value: 4 }
max_enqueued_batches { value: 1000 }
"""


def parsed(serialized: bytes) -> Any:
    return protos.BatchingParameters.FromString(serialized)


def file(folder: Path, text: str, name: str = "batching.config") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("flags", "mode"),
    [
        ({}, Mode.OFF),
        ({"enable_batching": True}, Mode.AUTO),
        ({"enable_batching": True, "enable_per_model_batching_parameters": True}, Mode.FIXED),
        ({"batching": "auto"}, Mode.AUTO),
        ({"batching": "fixed"}, Mode.FIXED),
        ({"enable_batching": True, "batching": "off"}, Mode.OFF),
    ],
)
def test_modes(flags: dict[str, Any], mode: Mode) -> None:
    assert Batching.of(ServerOptions(**flags)).mode is mode


def test_the_file_of_the_tutorial(tmp_path: Path) -> None:
    found = Batching.of(ServerOptions(enable_batching=True, batching_parameters_file=file(tmp_path, TUTORIAL)))
    assert found.mode is Mode.FIXED
    assert found.threads == BatchThreads(4, "batch_threads")
    version = found.version("any/1")
    assert version is not None
    assert not version.auto
    message = parsed(version.parameters)
    assert (message.max_batch_size.value, message.batch_timeout_micros.value) == (128, 1000)


def test_threads_without_a_file_have_the_name_and_number_of_the_original() -> None:
    assert Batching.of(ServerOptions(batching="fixed")).threads == BatchThreads(
        schedulable_cpus(), "model_server_batch_threads"
    )
    assert Batching.of(ServerOptions(batching="auto")).threads is None


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({"batching": "fixed", "latency_slo_ms": 5}, "latency_slo_ms needs --batching=auto."),
        (
            {"batching": "fixed", "batching_pad_values": "x"},
            "batching_pad_values must be alias=value, separated by commas; x is not.",
        ),
    ],
)
def test_flags_that_do_not_fit(flags: dict[str, Any], text: str) -> None:
    with pytest.raises(ServingError) as caught:
        Batching.of(ServerOptions(**flags))
    assert (caught.value.code, caught.value.message) == (Code.INVALID_ARGUMENT, text)


def test_no_threads_are_an_error_with_the_text_of_the_original(tmp_path: Path) -> None:
    path = file(tmp_path, "num_batch_threads { value: 0 }")
    with pytest.raises(ServingError) as caught:
        Batching.of(ServerOptions(enable_batching=True, batching_parameters_file=path))
    assert caught.value.message == "num_batch_threads must be positive; was 0"


def test_versions_bring_parameters_of_their_own(tmp_path: Path) -> None:
    found = Batching.of(ServerOptions(enable_batching=True, enable_per_model_batching_parameters=True))
    assert found.version(str(tmp_path)) is None
    file(tmp_path, "max_batch_size { value: 3 }", PER_MODEL_FILE)
    version = found.version(str(tmp_path))
    assert version is not None
    assert parsed(version.parameters).max_batch_size.value == 3
    path = file(tmp_path, "max_batch_size: nonsense", PER_MODEL_FILE)
    with pytest.raises(ServingError) as caught:
        found.version(str(tmp_path))
    assert (caught.value.code, caught.value.message) == (Code.INVALID_ARGUMENT, f"Invalid protobuf file: '{path}'")


def test_nothing_is_batched_by_default() -> None:
    assert Batching.of(ServerOptions()) == Batching()
    assert Batching().version("any/1") is None


def test_an_objective_is_for_batches_that_size_themselves() -> None:
    auto = Batching.of(ServerOptions(batching="auto", latency_slo_ms=5, execution_threads=3))
    assert auto.version("any/1") == VersionBatching(b"", {}, auto=True, latency_slo_ms=5, execution_threads=3)


def test_pad_values_and_weights() -> None:
    found = Batching.of(ServerOptions(batching="fixed", batching_pad_values="x=0,text=<pad>,y="))
    assert found.pad_values == {"x": "0", "text": "<pad>", "y": ""}
    assert model_weights("a=2,b=0.5") == {"a": 2.0, "b": 0.5}
    assert model_weights("") == {}


@pytest.mark.parametrize("text", ["a", "a=", "=1", "a=0", "a=-1", "a=nan", "a=inf", "a=x"])
def test_weights_that_are_none(text: str) -> None:
    with pytest.raises(ServingError, match="model_weights must be model=number"):
        model_weights(text)
