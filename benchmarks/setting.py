# SPDX-License-Identifier: Apache-2.0
"""Where and with what the measurements are taken."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from tests.models.cache import tensorflow_version


def stamp(root: Path) -> dict[str, str]:
    """The date and the commit."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _output(["git", "describe", "--always", "--dirty"], root),
    }


def describe(root: Path) -> dict[str, object]:
    """Machine, date and versions."""
    return {
        **stamp(root),
        "processor": _processor(),
        "processors_available": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "tensorserve": importlib.metadata.version("tensorserve"),
        "tensorflow": tensorflow_version(),
        "python": platform.python_version(),
        "rustc": _output(["rustc", "--version"], root),
        "h2load": _output(["h2load", "--version"], root),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.processor() or platform.machine()


def _output(command: list[str], root: Path) -> str:
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"
