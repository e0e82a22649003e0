# SPDX-License-Identifier: Apache-2.0
"""Hostile clients, one kind after another, while a prober on both protocols is answered as if they were not there.

`make soak SUITE=hostile SOAK_SECONDS=900`; with `SOAK_SECONDS=60` it is a short look.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from benchmarks.process import CpuReading, Memory, tree

from tests.server_process import ServerProcess, model_config
from tests.soak.attackers.kinds import KINDS
from tests.soak.bystander import Stall
from tests.soak.prober import Probe

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
ATTACK_SECONDS = max(SECONDS / len(KINDS), 5.0)
RECOVERY_SECONDS = 30.0
MEMORY_MB = 64.0
SLOW_SECONDS, SLOW_SHARE, SLOWEST_SECONDS = 1.0, 0.001, 3.0
FEWEST_PER_SECOND = 5


def raised_limit() -> None:
    """Takes all file descriptors that this process may have; those it starts have them too."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@dataclass(frozen=True)
class Field:
    """A server under attack, those who watch it, and the memory that it had before the first attack."""

    server: ServerProcess
    probes: Path
    stalls: Path
    memory_before: float = 0.0

    def seen_since(self, begin: float) -> list[Probe]:
        """The answers to what was asked since then, each without the time that the bystander was stalled too."""
        stalls = [stall for stall in Stall.read(self.stalls) if stall.end > begin]
        found = []
        for probe in Probe.read(self.probes):
            if probe.at >= begin:
                stalled = sum(stall.within(probe.at, probe.at + probe.seconds) for stall in stalls)
                found.append(Probe(probe.at, probe.seconds - stalled, probe.protocol, probe.wrong))
        return found

    @property
    def serving(self) -> list[int]:
        """The processes of the server; what serves is a child of the first, and another one after it has died."""
        return tree(self.server.pid)

    @property
    def memory(self) -> float:
        """Megabytes that belong to the server's processes alone."""
        return Memory.of(self.server.pid).rss_anon


@pytest.fixture(scope="module")
def field(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    raised_limit()
    folder = tmp_path_factory.mktemp("hostile")
    config = folder / "models.config"
    config.write_text(model_config({name: models / name for name in ("half_plus_two", "echo")}, ONLY_FIRST))
    with ExitStack() as stack:
        server = stack.enter_context(ServerProcess([f"--model_config_file={config}"], folder / "log"))
        found = Field(server, folder / "probes", folder / "stalls")
        ports = (str(server.grpc_port), str(server.rest_port))
        for words in (("prober", *ports, str(found.probes)), ("bystander", str(found.stalls))):
            watcher = subprocess.Popen([sys.executable, "-m", f"tests.soak.{words[0]}", *words[1:]])
            stack.callback(watcher.wait)
            stack.callback(watcher.kill)
        begin = time.monotonic()
        while not (found.probes.exists() and found.stalls.exists()) or len(found.seen_since(begin)) < 100:
            assert time.monotonic() < begin + 30, "the prober does not ask"
            time.sleep(0.1)
        yield replace(found, memory_before=found.memory)


ONLY_FIRST = {"half_plus_two": "model_version_policy { specific { versions: 1 } }"}


@pytest.mark.parametrize("kind", KINDS)
def test_others_are_answered_and_memory_returns(field: Field, kind: str) -> None:
    server, before, begin, processes = field.server, field.memory_before, time.monotonic(), field.serving
    cpu = CpuReading.of(server.pid)
    most, counts = attack(field, kind)
    spent = CpuReading.of(server.pid).seconds_since(cpu) / (time.monotonic() - begin)
    recovered = time_to_recover(field, before + MEMORY_MB)
    probes = field.seen_since(begin)
    slow = sorted(probe.seconds for probe in probes)
    shown = f"p50 {slow[len(slow) // 2] * 1e3:.1f} ms, longest {slow[-1]:.2f} s"
    print(
        f"\n{kind}: {len(probes)} answers, {shown}; server {spent:.0%} of a processor; memory MB before, most, after:"
    )
    print(f"  {before:.0f}, {most:.0f}, {field.memory:.0f} ({recovered:.0f} s); clients {counts}", flush=True)
    assert server.is_running, server.log[-5000:]
    assert field.serving == processes, f"the process that serves has died: {server.log[-5000:]}"
    wrong = [probe for probe in probes if probe.wrong]
    assert not wrong, f"{len(wrong)} of {len(probes)} answers were wrong, the first {wrong[0]}"
    assert len(probes) > FEWEST_PER_SECOND * ATTACK_SECONDS, "the prober was hardly answered"
    late = [probe for probe in probes if probe.seconds > SLOW_SECONDS]
    assert len(late) <= SLOW_SHARE * len(probes), f"{len(late)} of {len(probes)} answers took more than 1 s: {late[:5]}"
    assert slow[-1] <= SLOWEST_SECONDS
    assert recovered <= RECOVERY_SECONDS, f"{before:.0f} MB before, {field.memory:.0f} MB 30 s after"


def attack(field: Field, kind: str) -> tuple[float, dict[str, int]]:
    """Runs an attack; the most memory the server had meanwhile, and what happened to the clients."""
    ports = (str(field.server.grpc_port), str(field.server.rest_port))
    words = [sys.executable, "-m", "tests.soak.attackers", kind, *ports, str(ATTACK_SECONDS)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        most = field.memory
        while process.poll() is None and field.server.is_running:
            time.sleep(0.2)
            most = max(most, field.memory)
        assert process.stdout
        counts: dict[str, int] = json.loads(process.stdout.read())
    assert process.returncode == 0
    assert counts["opened"] > 0
    return most, counts


def time_to_recover(field: Field, at_most: float) -> float:
    """Seconds until the server has no more memory than that; more than `RECOVERY_SECONDS` if it has not by then."""
    begin = time.monotonic()
    while field.memory > at_most:
        if time.monotonic() > begin + RECOVERY_SECONDS:
            return float("inf")
        time.sleep(0.2)
    return time.monotonic() - begin
