# SPDX-License-Identifier: Apache-2.0
import pytest

from tensorserve import protos
from tensorserve.config.batching import Batching, Mode
from tensorserve.config.model_settings import (
    BatchingMode,
    BatchingSettings,
    LoadingSettings,
    ModelSettings,
    Readiness,
    WarmupSettings,
    parse_model_settings,
)
from tensorserve.errors import Code, ServingError

ADVICE = "Correct it; docs/model-settings.md says what there is."


def test_everything_that_can_be_set() -> None:
    text = b"""
    model {
      name: "a"
      readiness: REQUIRED
      weight { value: 2.5 }
      batching { mode: AUTO latency_slo_ms { value: 20 } parameters { max_batch_size { value: 32 } } }
      warmup { enabled { value: false } num_request_iterations { value: 3 } synthesize { value: true } }
      loading { max_num_load_retries { value: 0 } load_retry_interval_micros { value: 1500000 } }
    }
    model { name: "b" readiness: OPTIONAL batching { mode: OFF } }
    model { name: "c" }
    """
    parameters = protos.BatchingParameters()
    parameters.max_batch_size.value = 32
    assert parse_model_settings("file", text) == {
        "a": ModelSettings(
            Readiness.REQUIRED,
            2.5,
            BatchingSettings(BatchingMode.AUTO, parameters.SerializeToString(), 20),
            WarmupSettings(False, 3, True),
            LoadingSettings(0, 1.5),
        ),
        "b": ModelSettings(Readiness.OPTIONAL, batching=BatchingSettings(BatchingMode.OFF)),
        "c": ModelSettings(),
    }


def test_parameters_alone_mean_fixed_batches() -> None:
    found = parse_model_settings("file", b'model { name: "a" batching { parameters { } } }')["a"]
    assert found.batching == BatchingSettings(BatchingMode.FIXED, b"")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('model {\n  name: "a"\n  wait: 3\n}', '3: Message type "tensorserve.ModelSettings" has no field named "wait"'),
        ('model { name: "a" }\nmodel { weight { value: 1 } }', "2: model : it has no name"),
        ('# {\nmodel { name: "{" }\n\nmodel: { name: "{" }', "4: model {: it is in the file more than once"),
        ('model [{ name: "a" },\n{ name: "b" readiness: 9 }]', "2: model b: readiness 9 is none of"),
        ('model { name: "a" weight { value: 0 } }', "1: model a: weight must be a number above 0; it is 0"),
        ('model { name: "a" weight { value: inf } }', "1: model a: weight must be a number above 0; it is inf"),
        ('model { name: "a" batching { mode: 7 } }', "1: model a: batching mode 7 is none of OFF, AUTO, FIXED"),
        ('model { name: "a" batching { mode: FIXED } }', "1: model a: mode: FIXED needs parameters"),
        ('model { name: "a" batching { mode: OFF parameters { } } }', "1: model a: mode: OFF has no use for"),
        ('model { name: "a" batching { latency_slo_ms { value: 5 } } }', "1: model a: latency_slo_ms needs mode: AUTO"),
        (
            'model { name: "a" warmup { num_request_iterations { value: 0 } } }',
            "1: model a: num_request_iterations must",
        ),
        ('model { name: "a" loading { max_num_load_retries { value: -1 } } }', "1: model a: max_num_load_retries must"),
        ("model {\n\xff", "2: it is no UTF-8 text"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(ServingError) as refused:
        parse_model_settings("settings.pbtxt", text.encode("latin-1"))
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert refused.value.message.startswith(f"settings.pbtxt:{reason}")
    assert refused.value.message.endswith(ADVICE)


SERVER = Batching(Mode.AUTO, b"server", per_model=True, latency_slo_ms=50, execution_threads=3)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (None, SERVER),
        (BatchingSettings(BatchingMode.OFF), Batching(Mode.OFF, execution_threads=3)),
        (BatchingSettings(BatchingMode.FIXED, b"own"), Batching(Mode.FIXED, b"own", execution_threads=3)),
        (
            BatchingSettings(BatchingMode.AUTO),
            Batching(Mode.AUTO, b"server", latency_slo_ms=50, execution_threads=3),
        ),
        (
            BatchingSettings(BatchingMode.AUTO, b"own", 7),
            Batching(Mode.AUTO, b"own", latency_slo_ms=7, execution_threads=3),
        ),
    ],
)
def test_batching_of_a_model(settings: BatchingSettings | None, expected: Batching) -> None:
    assert SERVER.of_model(settings) == expected
