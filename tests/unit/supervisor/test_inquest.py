# SPDX-License-Identifier: Apache-2.0
"""Deaths of processes whose pages are made up."""

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from tensorserve.supervisor.attribution import Crash, Page, Run
from tensorserve.supervisor.deaths import Death
from tensorserve.supervisor.inquest import Inquests, Witness
from tensorserve.supervisor.state_store import StateStore

LOADING = {"kind": "loading", "model": "m", "version": 3, "path": "/m/3", "local_path": "/m/3", "fingerprint": "abc"}
OTHER = {**LOADING, "model": "n", "version": 1, "path": "/n/1", "local_path": "/n/1"}
GUILTY = Run("/m/3", False, "s", (1, 7))
INNOCENT = Run("/n/1", False, "s", (1, 7))
ABORT = Death(signal=6)


def witness(
    inquests: Inquests, monkeypatch: pytest.MonkeyPatch, busy: Mapping[int, Run], crash: Crash | None = None
) -> Witness:
    made = inquests.witness()
    for message in (LOADING, OTHER):
        made.take_in(message)
        made.take_in({**message, "kind": "available"})
    monkeypatch.setattr(Page, "busy", lambda self: dict(busy))
    monkeypatch.setattr(Page, "crash", lambda self: crash)
    return made


@pytest.fixture
def inquests(tmp_path: Path) -> Inquests:
    return Inquests(StateStore(str(tmp_path)))


def test_the_only_suspect_is_guilty(
    inquests: Inquests, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with caplog.at_level(logging.INFO, "tensorserve"):
        for _ in range(2):
            inquests.hold(1, ABORT, witness(inquests, monkeypatch, {5: GUILTY}), 1.0, ["last"])
    assert "model m version 3: a run of signature s, inputs [7]" in caplog.text
    watched = Inquests(StateStore(str(tmp_path))).witness().facts()["watched"]
    ((path, signature, words, refusal, known),) = watched
    assert (path, signature, words, known) == ("/m/3", "s", (1, 7), "abc")
    assert "ended the server 2 times (SIGABRT)" in refusal


def test_an_exit_that_nobody_asked_for_convicts(inquests: Inquests, monkeypatch: pytest.MonkeyPatch) -> None:
    inquests.hold(1, Death(status=2, unasked=True), witness(inquests, monkeypatch, {5: GUILTY}), 1.0, [])
    assert [row[0] for row in inquests.witness().facts()["watched"]] == ["/m/3"]


def test_of_several_the_thread_that_got_the_signal_is_guilty(
    inquests: Inquests, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash = Crash(6, 0, 5)
    inquests.hold(1, ABORT, witness(inquests, monkeypatch, {5: GUILTY, 6: INNOCENT}, crash), 1.0, [])
    assert [row[0] for row in inquests.witness().facts()["watched"]] == ["/m/3"]


def test_of_several_each_runs_alone(inquests: Inquests, monkeypatch: pytest.MonkeyPatch) -> None:
    inquests.hold(1, ABORT, witness(inquests, monkeypatch, {5: GUILTY, 6: INNOCENT}), 1.0, [])
    watched = inquests.witness().facts()["watched"]
    assert [(row[0], row[3]) for row in watched] == [("/m/3", None), ("/n/1", None)]


@pytest.mark.parametrize(
    "death", [Death(signal=9), Death(signal=11, sender=4), Death(status=1), Death(signal=9, hung=True, stopped=True)]
)
def test_what_others_did_convicts_nobody(inquests: Inquests, monkeypatch: pytest.MonkeyPatch, death: Death) -> None:
    for _ in range(3):
        inquests.hold(1, death, witness(inquests, monkeypatch, {5: GUILTY}), 1.0, [])
    assert inquests.witness().facts()["watched"] == []
    assert inquests.witness().facts()["quarantined"] == []


def test_the_sender_of_a_signal_is_told(inquests: Inquests, monkeypatch: pytest.MonkeyPatch) -> None:
    for sender, expected in ((0, None), (1, None), (77, 77)):
        assert witness(inquests, monkeypatch, {}, Crash(11, sender, 5)).sender(1, 11) == expected
    assert witness(inquests, monkeypatch, {}, Crash(6, 77, 5)).sender(1, 11) is None


def test_records_that_make_no_sense_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = StateStore(str(tmp_path))
    store.change("docket", {"a": {"foo": 1}, "b": 5})
    with caplog.at_level(logging.WARNING, "tensorserve"):
        Inquests(store)
    assert f"What {tmp_path / 'state.json'} holds against 2 versions makes no sense" in caplog.text
