# SPDX-License-Identifier: Apache-2.0
"""How much memory is thought to be there."""

from pathlib import Path

import pytest

from tensorserve.config.memory import usable_memory

MACHINE = "MemTotal:       24000000 kB\nMemFree:          100000 kB\n"


@pytest.fixture
def system(tmp_path: Path) -> Path:
    (tmp_path / "meminfo").write_text(MACHINE)
    (tmp_path / "cgroup").write_text("0::/pod/container\n")
    (tmp_path / "fs" / "pod" / "container").mkdir(parents=True)
    return tmp_path


def usable(system: Path) -> int:
    return usable_memory(str(system / "meminfo"), str(system / "cgroup"), str(system / "fs"))


def test_without_limits_it_is_the_machine(system: Path) -> None:
    assert usable(system) == 24000000 << 10
    (system / "fs" / "pod" / "memory.max").write_text("max\n")
    assert usable(system) == 24000000 << 10


def test_the_smallest_limit_of_the_groups_above_counts(system: Path) -> None:
    (system / "fs" / "pod" / "container" / "memory.max").write_text("2000000000\n")
    assert usable(system) == 2_000_000_000
    (system / "fs" / "pod" / "memory.max").write_text("1000000000\n")
    assert usable(system) == 1_000_000_000


def test_groups_of_version_1(system: Path) -> None:
    (system / "cgroup").write_text("5:cpu,cpuacct:/x\n4:memory:/docker/y\n")
    folder = system / "fs" / "memory" / "docker" / "y"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text("3000000000\n")
    assert usable(system) == 3_000_000_000


def test_a_system_that_says_nothing(tmp_path: Path) -> None:
    assert usable(tmp_path) == 4 << 30


def test_the_real_system_has_some() -> None:
    assert usable_memory() > 1 << 28
