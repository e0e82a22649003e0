# SPDX-License-Identifier: Apache-2.0
"""How many CPUs this process may use: by its affinity and by the quota of its control group, as containers have one."""

import math
import os
from pathlib import Path

_GROUPS = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")


def schedulable_cpus() -> int:
    """How many CPUs this process may use, at least one."""
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = cpu_quota()
    return cpus if quota is None else max(1, min(cpus, math.floor(quota)))


def cpu_quota(groups: Path = _GROUPS, mount: Path = _MOUNT) -> float | None:
    """CPUs that the control groups of this process allow; None if they set no limit.

    Args:
        groups: The list of this process's groups.
        mount: Where the groups' files are.
    """
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return None
    limits = [limit for line in lines for limit in _limits(line, mount)]
    return min(limits, default=None)


def _limits(line: str, mount: Path) -> list[float]:
    """The limits of a group and of those above it; `line` is `number:controllers:/path`."""
    _, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    if controllers == "":
        root, read = mount, _limit_v2
    elif "cpu" in controllers.split(","):
        root, read = mount / "cpu", _limit_v1
    else:
        return []
    group = root / path.lstrip("/")
    folders = [group, *(folder for folder in group.parents if folder.is_relative_to(root))]
    return [limit for folder in folders if (limit := read(folder)) is not None]


def _limit_v2(folder: Path) -> float | None:
    """`cpu.max`: microseconds of each period, or `max`, and the period."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _limit_v1(folder: Path) -> float | None:
    """The same in two files; a negative quota is none."""
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        return quota / int((folder / "cpu.cfs_period_us").read_text()) if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
