# SPDX-License-Identifier: Apache-2.0
"""How much memory this process may use, by the machine and by its control group."""

import os

_MACHINE = "/proc/meminfo"
_GROUPS = "/proc/self/cgroup"
_MOUNT = "/sys/fs/cgroup"

_UNKNOWN = 4 << 30


def usable_memory(machine: str = _MACHINE, groups: str = _GROUPS, mount: str = _MOUNT) -> int:
    """Bytes that this process may use; 4 GiB where the system does not say.

    Args:
        machine: The kernel's figures of the machine's memory.
        groups: The list of this process's groups.
        mount: Where the groups' files are.
    """
    return min([*_machine(machine), *_limits(groups, mount)], default=_UNKNOWN)


def _machine(path: str) -> list[int]:
    totals = (line.split()[1] for line in _lines(path) if line.startswith("MemTotal:"))
    return [int(total) << 10 for total in totals]


def _limits(groups: str, mount: str) -> list[int]:
    """Limits of the groups of version 2 and of those above them, and that of version 1."""
    found = []
    for line in _lines(groups):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            names = [name for name in path.split("/") if name]
            folders = [os.path.join(mount, *names[:depth]) for depth in range(len(names) + 1)]
            found += [os.path.join(folder, "memory.max") for folder in folders]
        elif "memory" in controllers.split(","):
            found.append(os.path.join(mount, "memory", path.lstrip("/"), "memory.limit_in_bytes"))
    # "max" is no limit.
    return [int(text) for file in found for text in _lines(file) if text.isdigit()]


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().splitlines()
    except OSError:
        return []
