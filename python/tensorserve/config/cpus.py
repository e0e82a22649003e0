# SPDX-License-Identifier: Apache-2.0
"""How many CPUs this process may use: by its affinity and by the quota of its control group, as containers have one."""

import math
import os
from collections.abc import Iterator

_GROUPS = "/proc/self/cgroup"
_MOUNT = "/sys/fs/cgroup"


def schedulable_cpus() -> int:
    """How many CPUs this process may use, at least one."""
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = cpu_quota()
    return cpus if quota is None else max(1, min(cpus, math.floor(quota)))


def cpu_quota(groups: str = _GROUPS, mount: str = _MOUNT) -> float | None:
    """CPUs that the control groups of this process allow; None if they set no limit.

    Args:
        groups: The list of this process's groups.
        mount: Where the groups' files are.
    """
    try:
        lines = _read(groups).splitlines()
    except OSError:
        return None
    limits = [limit for line in lines for limit in _limits(line, mount)]
    return min(limits, default=None)


def _limits(line: str, mount: str) -> list[float]:
    """The limits of a group and of those above it; `line` is `number:controllers:/path`."""
    _, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    if controllers == "":
        root, read = mount, _limit_v2
    elif "cpu" in controllers.split(","):
        root, read = os.path.join(mount, "cpu"), _limit_v1
    else:
        return []
    return [limit for folder in _upwards(root, path.strip("/")) if (limit := read(folder)) is not None]


def _upwards(root: str, path: str) -> Iterator[str]:
    while path:
        yield os.path.join(root, path)
        path = path.rpartition("/")[0]
    yield root


def _limit_v2(folder: str) -> float | None:
    """`cpu.max`: microseconds of each period, or `max`, and the period."""
    try:
        quota, period = _read(os.path.join(folder, "cpu.max")).split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _limit_v1(folder: str) -> float | None:
    """The same in two files; a negative quota is none."""
    try:
        quota = int(_read(os.path.join(folder, "cpu.cfs_quota_us")))
        return quota / int(_read(os.path.join(folder, "cpu.cfs_period_us"))) if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()
