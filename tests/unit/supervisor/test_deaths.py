# SPDX-License-Identifier: Apache-2.0
import signal
from pathlib import Path

import pytest

from tensorserve.supervisor.deaths import Death, oom_kills, report, why_not_started


@pytest.mark.parametrize(
    ("death", "own_doing", "text"),
    [
        (Death.of(256), False, "it ended with status 1"),
        (Death.of(512, unasked=True), True, "it ended with status 2"),
        (Death.of(int(signal.SIGABRT)), True, "SIGABRT"),
        (Death.of(int(signal.SIGSEGV), sender=77), False, "SIGSEGV, sent by process 77"),
        (Death.of(int(signal.SIGKILL)), False, "SIGKILL"),
        (Death.of(int(signal.SIGUSR2)), False, "SIGUSR2"),
        (Death.of(int(signal.SIGALRM)), False, "SIGALRM"),
        (Death.of(int(signal.SIGBUS)), True, "SIGBUS"),
        (
            Death.of(int(signal.SIGKILL), out_of_memory=True),
            True,
            "the system killed it for memory (SIGKILL, oom_kill)",
        ),
        (Death.of(int(signal.SIGTERM), out_of_memory=True, sender=1), False, "SIGTERM, sent by process 1"),
        (
            Death.of(int(signal.SIGKILL), hung=True, stopped=True),
            False,
            "somebody had stopped it, and it was ended (hang)",
        ),
        (Death.of(int(signal.SIGKILL), hung=True), True, "it did not answer any more and was ended (hang)"),
    ],
)
def test_who_is_to_blame(death: Death, own_doing: bool, text: str) -> None:
    assert (death.is_own_doing, str(death)) == (own_doing, text)


def test_the_report_is_one_block() -> None:
    text = report(12, Death(signal=6), 3.25, ["model m version 1: a load"], ["Check failed: x", "frame"])
    assert text == (
        "The server (process 12) died after 3.2 s: SIGABRT.\n"
        "  It was busy with:\n    model m version 1: a load\n"
        "  Its last words:\n    Check failed: x\n    frame"
    )


def test_kills_for_memory_are_counted(tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_text("0::/pod/c\n")
    folder = tmp_path / "fs" / "pod" / "c"
    folder.mkdir(parents=True)
    assert oom_kills(str(tmp_path / "cgroup"), str(tmp_path / "fs")) == 0
    (folder / "memory.events").write_text("low 0\noom 2\noom_kill 2\n")
    assert oom_kills(str(tmp_path / "cgroup"), str(tmp_path / "fs")) == 2
    (tmp_path / "cgroup").write_text("3:memory:/pod\n")
    old = tmp_path / "fs" / "memory" / "pod"
    old.mkdir(parents=True)
    (old / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n")
    assert oom_kills(str(tmp_path / "cgroup"), str(tmp_path / "fs")) == 5


def test_why_a_server_did_not_start() -> None:
    words = ["2026 I Loading", "Failed to start server. Error: NOT_FOUND: nothing", "2026 I Stopped."]
    assert why_not_started(words) == ": Failed to start server. Error: NOT_FOUND: nothing"
    assert why_not_started(words[:1]) == ""
