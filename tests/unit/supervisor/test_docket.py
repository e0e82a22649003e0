# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json

import pytest

from tensorserve.supervisor.attribution import Run
from tensorserve.supervisor.docket import Docket, Version, Watched

VERSION = Version("m", 3, "/models/m/3", "/models/m/3", "abc")
SERVING = dataclasses.replace(VERSION, has_served=True)
LOAD = Run("/models/m/3", True)
SHAPE_A = Run("/models/m/3", False, "serving_default", (1, 4))
SHAPE_B = Run("/models/m/3", False, "serving_default", (1, 5))


def quarantined(docket: Docket) -> list[tuple[str, int]]:
    return [(model, version) for model, version, _path, _known, _reason in docket.quarantined()]


@pytest.mark.parametrize("run", [LOAD, SHAPE_A], ids=["load", "warm-up"])
def test_two_deaths_before_it_served_quarantine_a_version(run: Run) -> None:
    docket = Docket()
    assert "once more" in docket.convict(VERSION, run, "SIGABRT", 100.0)
    assert quarantined(docket) == []
    said = docket.convict(VERSION, run, "SIGABRT", 5000.0)
    assert said.startswith("Version 3 of model m is quarantined: it ended the server 2 times while it was loaded")
    assert docket.quarantined()[0][:4] == ("m", 3, "/models/m/3", "abc")


def test_three_deaths_within_five_minutes_quarantine_a_version_that_serves() -> None:
    docket = Docket()
    for at in (0.0, 200.0, 400.0):
        docket.convict(SERVING, Run("/models/m/3", False, "s", (1, int(at))), "SIGSEGV", at)
    assert quarantined(docket) == [], "never three within five minutes"
    docket.convict(SERVING, SHAPE_A, "SIGSEGV", 450.0)
    assert quarantined(docket) == [("m", 3)]


def test_a_shape_that_never_succeeds_is_refused_before_its_version_is() -> None:
    docket = Docket()
    docket.convict(SERVING, SHAPE_A, "SIGABRT", 0.0)
    assert docket.watched() == [Watched("/models/m/3", "serving_default", (1, 4), None, "abc")]
    docket.convict(SERVING, SHAPE_A, "SIGABRT", 10.0)
    (watched,) = docket.watched()
    assert watched.refusal is not None
    assert "ended the server 2 times (SIGABRT)" in watched.refusal
    assert "models release m 3" in watched.refusal
    assert quarantined(docket) == []
    docket.convict(SERVING, SHAPE_B, "SIGABRT", 20.0)
    assert quarantined(docket) == [("m", 3)]


def test_a_shape_that_succeeds_is_not_refused() -> None:
    docket = Docket()
    docket.convict(SERVING, SHAPE_A, "SIGABRT", 0.0)
    docket.succeeded(SHAPE_A, SERVING.key)
    assert docket.watched() == []
    docket.convict(SERVING, SHAPE_A, "SIGABRT", 10.0)
    assert docket.watched()[0].refusal is None


def test_several_suspects_run_alone_until_they_have_succeeded() -> None:
    docket = Docket()
    other = Run("/models/n/1", False, "s", ())
    docket.suspect([SHAPE_A, other, LOAD])
    assert [it.signature for it in docket.watched()] == ["serving_default", "s"]
    docket.succeeded(other, None)
    assert [it.signature for it in docket.watched()] == ["serving_default"]


def test_other_files_are_not_held_responsible() -> None:
    docket = Docket()
    docket.convict(VERSION, LOAD, "SIGABRT", 0.0)
    docket.convict(dataclasses.replace(VERSION, fingerprint="def"), LOAD, "SIGABRT", 1.0)
    assert quarantined(docket) == []


def test_it_is_stored_and_released() -> None:
    docket = Docket()
    for _ in range(2):
        docket.convict(VERSION, LOAD, "SIGABRT", 0.0)
    stored = json.loads(json.dumps({VERSION.key: docket.stored(VERSION.key)}))
    again = Docket(stored)
    assert quarantined(again) == [("m", 3)]
    assert again.release("m", 4) == []
    assert again.release("m", 3) == [VERSION.key]
    assert (quarantined(again), again.stored(VERSION.key)) == ([], None)
