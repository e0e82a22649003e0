# SPDX-License-Identifier: Apache-2.0
"""What a process and those it has started have used, from the kernel's own accounting in `/proc`.

A server may be several processes (one that watches, one that serves), so every reading is of the whole tree.
"""

import os
import resource
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

KIB = 1024
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """A process and its descendants that live; the process itself comes first.

    Raises:
        psutil.NoSuchProcess: There is no such process.
    """
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


@dataclass(frozen=True)
class CpuReading:
    """Processor time of a tree of processes at one moment.

    Attributes:
        by_thread: Nanoseconds on a processor of each thread that lives.
        ticks: User and system time of all threads and processes, also of those that ended; a tick is usually 10 ms.
    """

    by_thread: dict[str, int]
    ticks: int

    @classmethod
    def of(cls, pid: int) -> "CpuReading":
        """A reading of a process and its descendants.

        Raises:
            psutil.NoSuchProcess: There is no such process.
        """
        return cls.over(tree(pid))

    @classmethod
    def over(cls, pids: Iterable[int]) -> "CpuReading":
        """A reading of these processes; one that has just ended counts with its parent."""
        by_thread: dict[str, int] = {}
        ticks = 0
        for pid in pids:
            try:
                # The name of the program, which may hold spaces, stands in parentheses before the other fields.
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                by_thread |= dict(_threads(pid))
            except (FileNotFoundError, ProcessLookupError):
                continue
            # User and system time: its own, and that of the children that it has waited for.
            ticks += sum(map(int, fields[11:15]))
        return cls(by_thread, ticks)

    def seconds_since(self, before: "CpuReading") -> float:
        """Processor time between two readings.

        The threads' own figures are exact but miss threads that ended in between; then the coarse total counts.
        """
        exact = sum(spent - before.by_thread.get(thread, 0) for thread, spent in self.by_thread.items()) / 1e9
        coarse = (self.ticks - before.ticks) / TICKS_PER_SECOND
        return max(exact, coarse - 2 / TICKS_PER_SECOND)


def _threads(pid: int) -> Iterable[tuple[str, int]]:
    """The number of each thread, and its nanoseconds on a processor."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            yield task.name, int((task / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):  # The thread has just ended.
            continue


@dataclass(frozen=True)
class Memory:
    """Memory of a tree of processes, in megabytes (10^6 bytes).

    Attributes:
        peak_rss: The most that was resident at once, pages of files included: the sum of each process's own peak.
        rss_anon: What is resident now and belongs to the processes alone.
    """

    peak_rss: float
    rss_anon: float

    @classmethod
    def of(cls, pid: int) -> "Memory":
        """A reading of a process and its descendants.

        Raises:
            psutil.NoSuchProcess: There is no such process.
        """
        totals = dict.fromkeys(("VmHWM", "RssAnon"), 0.0)
        for each in tree(pid):
            try:
                lines = Path(f"/proc/{each}/status").read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                continue
            values = dict(line.split(":", 1) for line in lines)
            for name in totals.keys() & values.keys():  # A process that has ended but was not waited for has none.
                totals[name] += int(values[name].split()[0]) * KIB / 1e6
        return cls(totals["VmHWM"], totals["RssAnon"])


def machine_busy_seconds() -> float:
    """Processor time that the whole machine has been busy since it started; stolen time included."""
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    ticks = [int(word) for word in Path("/proc/stat").read_text().split(maxsplit=len(names) + 1)[1 : len(names) + 1]]
    by_name = dict(zip(names, ticks, strict=True))
    return (sum(ticks) - by_name["idle"] - by_name["iowait"]) / TICKS_PER_SECOND


def children_cpu_seconds() -> float:
    """Processor time of all processes that this one has started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
