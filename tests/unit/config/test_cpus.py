# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from tensorserve.config.cpus import cpu_quota, schedulable_cpus


def quota(folder: Path, groups: str, files: dict[str, str]) -> float | None:
    for name, text in files.items():
        path = folder / "mount" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "groups").write_text(groups)
    return cpu_quota(str(folder / "groups"), str(folder / "mount"))


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"cpu.max": "max 100000", "a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000"}, 2.0),
        ("0::/a\n", {"a/cpu.max": "max 100000\n"}, None),
        (
            "5:memory:/a\n4:cpu,cpuacct:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "300000", "cpu/a/cpu.cfs_period_us": "100000"},
            3.0,
        ),
        ("4:cpu,cpuacct:/a\n", {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, None),
        ("0::/gone\nnonsense", {"cpu.max": "what is this"}, None),
    ],
)
def test_quotas(tmp_path: Path, groups: str, files: dict[str, str], expected: float | None) -> None:
    assert quota(tmp_path, groups, files) == expected


def test_a_system_without_groups(tmp_path: Path) -> None:
    assert cpu_quota(str(tmp_path / "none"), str(tmp_path)) is None
    assert schedulable_cpus() >= 1
