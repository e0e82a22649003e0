# SPDX-License-Identifier: Apache-2.0
import logging
import queue
from collections.abc import Sequence

import pytest

from tensorserve.config.flags import ServerOptions
from tensorserve.errors import Code, ServingError
from tensorserve.request_log.collector import find_factory
from tensorserve.request_log.request_logs import RequestLogs
from tensorserve.types import LoggingConfig, ModelConfig
from tests.unit.fakes import eventually


class FakeLog:
    """A queue of batches; notes which models are logged."""

    def __init__(self) -> None:
        self.loggers: dict[str, tuple[int, float, list[str]]] = {}
        self.batches: queue.Queue[tuple[int, list[bytes]]] = queue.Queue()
        self.dropped = 0
        self.max_bytes = 0

    def set_loggers(self, loggers: dict[str, tuple[int, float, list[str]]]) -> None:
        self.loggers = loggers

    def set_max_bytes(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes

    def take(self, timeout_seconds: float, max_bytes: int) -> list[tuple[int, list[bytes]]]:
        try:
            return [self.batches.get(timeout=timeout_seconds or 0.001)]
        except queue.Empty:
            return []

    def send(self, model: str, *records: bytes) -> None:
        self.batches.put((self.loggers[model][0], list(records)))


class FakeCollector:
    def __init__(self, config: LoggingConfig) -> None:
        self.config = config
        self.records: list[bytes] = []
        self.closed = False

    def collect(self, records: Sequence[bytes]) -> None:
        if b"bad" in records:
            raise ValueError("bad")
        self.records.extend(records)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class Factory:
    """Makes collectors of type `fake`, and keeps those that are used."""

    def __init__(self) -> None:
        self.made: list[FakeCollector] = []

    def find(self, collector_type: str):
        if collector_type != "fake":
            return find_factory(collector_type)
        return self.make

    def make(self, config: LoggingConfig, options: ServerOptions) -> FakeCollector:
        self.made.append(FakeCollector(config))
        return self.made[-1]


def model(name: str, prefix: str = "p", rate: float = 1.0, collector_type: str = "fake") -> ModelConfig:
    return ModelConfig(name, "/models", logging_config=LoggingConfig(collector_type, prefix, rate))


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture
def factory() -> Factory:
    return Factory()


@pytest.fixture
def logs(log: FakeLog, factory: Factory):
    options = ServerOptions(saved_model_tags="serve,gpu", request_log_buffer_mb=3)
    found = RequestLogs(log, options, factory.find)  # type: ignore[arg-type]
    yield found
    found.stop()


def test_models_of_one_prefix_share_a_collector(logs: RequestLogs, log: FakeLog, factory: Factory) -> None:
    logs.update([model("a"), model("b", rate=0.5), model("c", prefix="q"), ModelConfig("d", "/models")])
    tags = ["serve", "gpu"]
    assert log.loggers == {"a": (1, 1.0, tags), "b": (1, 0.5, tags), "c": (2, 1.0, tags)}
    assert log.max_bytes == 3 << 20
    log.send("a", b"1")
    log.send("c", b"2", b"3")
    assert eventually(lambda: [made.records for made in factory.made] == [[b"1"], [b"2", b"3"]])


def test_without_logged_models_there_is_no_thread(log: FakeLog) -> None:
    logs = RequestLogs(None, ServerOptions())  # type: ignore[arg-type]
    logs.check([ModelConfig("a", "/models")])
    logs.update([ModelConfig("a", "/models")])
    logs.stop()


def test_a_new_configuration_keeps_what_stays(logs: RequestLogs, log: FakeLog, factory: Factory) -> None:
    logs.update([model("a"), model("b", prefix="q")])
    log.send("b", b"late")
    logs.update([model("a", rate=0.1), model("c", prefix="r")])
    assert eventually(lambda: factory.made[1].closed)
    assert factory.made[1].records == [b"late"]
    assert [made.closed for made in factory.made] == [False, True, False]
    assert {name: logger[:2] for name, logger in log.loggers.items()} == {"a": (1, 0.1), "c": (3, 1.0)}
    logs.update([])
    assert log.loggers == {}
    assert eventually(lambda: all(made.closed for made in factory.made))


def test_a_wrong_configuration_changes_nothing(logs: RequestLogs, log: FakeLog) -> None:
    logs.update([model("a")])
    before = log.loggers
    for wrong, code in (
        (model("b", collector_type="none"), Code.NOT_FOUND),
        (model("b", "", 1.0, "file"), Code.INVALID_ARGUMENT),
    ):
        for apply in (logs.check, logs.update):
            with pytest.raises(ServingError) as failure:
                apply([model("a", rate=0.0), wrong])
            assert failure.value.code is code
    assert log.loggers == before


def test_an_unknown_type_has_the_text_of_the_original() -> None:
    with pytest.raises(ServingError) as failure:
        find_factory("carrier_pigeon")
    assert failure.value.message == "Cannot find LogCollector::Factory for type: carrier_pigeon"


def test_a_collector_that_fails_gets_the_next_records(
    logs: RequestLogs, log: FakeLog, factory: Factory, caplog
) -> None:
    logs.update([model("a")])
    log.send("a", b"bad")
    log.send("a", b"good")
    assert eventually(lambda: factory.made[0].records == [b"good"])
    assert "A request log collector failed" in caplog.messages


def test_stopping_keeps_what_waits(logs: RequestLogs, log: FakeLog, factory: Factory) -> None:
    logs.update([model("a")])
    for _ in range(20):
        log.send("a", b"x")
    logs.stop()
    assert (len(factory.made[0].records), factory.made[0].closed) == (20, True)


def test_drops_are_told(logs: RequestLogs, log: FakeLog, caplog) -> None:
    caplog.set_level(logging.WARNING)
    logs.update([model("a")])
    log.dropped = 7
    logs.stop()
    assert any(message.startswith("7 request log records were dropped") for message in caplog.messages)


def test_plug_ins_are_found(monkeypatch: pytest.MonkeyPatch, factory: Factory) -> None:
    class EntryPoint:
        def load(self):
            return factory.make

    def entry_points(group: str, name: str) -> list[EntryPoint]:
        return [EntryPoint()] if (group, name) == ("tensorserve.log_collectors", "kafka") else []

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    assert find_factory("kafka") == factory.make
