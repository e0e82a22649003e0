# SPDX-License-Identifier: Apache-2.0
"""How a server ended, and how that is told."""

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TextIO

from tensorserve.errors import ServingError
from tensorserve.log import flush_log, printable

_NOT_STARTED = "Failed to start server. Error: "

_GROUPS = "/proc/self/cgroup"
_MOUNT = "/sys/fs/cgroup"

# Those whose sender the server notes. Of any other nobody knows whether it came from the server itself.
_SIGNALS_OF_FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT)


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a server.

    Attributes:
        status: The exit status; None if a signal ended it.
        signal: The signal; None if it ended by itself.
        hung: Whether the parent ended it because it did not answer.
        stopped: Whether it did not answer because somebody had stopped it.
        out_of_memory: Whether the system killed a process of its control group meanwhile.
        sender: The process that sent the signal; None if it came from what the server did.
        unasked: Whether it ended by itself although it served and nobody had told it to stop.
    """

    status: int | None = None
    signal: int | None = None
    hung: bool = False
    stopped: bool = False
    out_of_memory: bool = False
    sender: int | None = None
    unasked: bool = False

    @classmethod
    def of(
        cls,
        wait_status: int,
        *,
        hung: bool = False,
        stopped: bool = False,
        out_of_memory: bool = False,
        sender: int | None = None,
        unasked: bool = False,
    ) -> "Death":
        """From what `waitpid` says, and what else is known."""
        if os.WIFSIGNALED(wait_status):
            number = os.WTERMSIG(wait_status)
            killed = out_of_memory and number == signal.SIGKILL
            return cls(signal=number, hung=hung, stopped=stopped, out_of_memory=killed, sender=sender)
        return cls(status=os.WEXITSTATUS(wait_status), unasked=unasked)

    @property
    def is_own_doing(self) -> bool:
        """Whether the server did something that ended it, rather than somebody else ended it."""
        if self.hung or self.out_of_memory:
            return not self.stopped
        return self.unasked or (self.signal in _SIGNALS_OF_FAULTS and self.sender is None)

    def __str__(self) -> str:
        if self.stopped:
            return "somebody had stopped it, and it was ended (hang)"
        if self.hung:
            return "it did not answer any more and was ended (hang)"
        if self.signal is None:
            return f"it ended with status {self.status}"
        name = signal_name(self.signal)
        if self.out_of_memory:
            return f"the system killed it for memory ({name}, oom_kill)"
        return f"{name}, sent by process {self.sender}" if self.sender is not None else name


def signal_name(number: int) -> str:
    """Such as SIGKILL."""
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def say_not_started(error: ServingError, errors: TextIO) -> None:
    """The last line of a server that cannot start, behind what the log has to say."""
    flush_log()
    with suppress(OSError):
        print(printable(f"{_NOT_STARTED}{error}"), file=errors, flush=True)


def why_not_started(last_words: Sequence[str]) -> str:
    """What a server has said of why it cannot start, behind a colon; empty if it has said nothing."""
    return next((f": {line}" for line in reversed(last_words) if line.startswith(_NOT_STARTED)), "")


def report(pid: int, death: Death, seconds: float, suspects: Sequence[str], last_words: Sequence[str]) -> str:
    """A death in one readable block."""
    lines = [f"The server (process {pid}) died after {seconds:.1f} s: {death}."]
    if suspects:
        lines += ["  It was busy with:", *(f"    {printable(suspect)}" for suspect in suspects)]
    if last_words:
        lines += ["  Its last words:", *(f"    {printable(line)}" for line in last_words)]
    return "\n".join(lines)


def oom_kills(groups: str = _GROUPS, mount: str = _MOUNT) -> int:
    """How many processes of this one's control group the system has killed for memory; 0 if it does not tell."""
    for path in _event_files(groups, mount):
        with suppress(OSError, ValueError), open(path) as file:
            counts = dict(line.split() for line in file)
            return int(counts.get("oom_kill", 0))
    return 0


def _event_files(groups: str, mount: str) -> list[str]:
    found = []
    with suppress(OSError), open(groups) as file:
        for line in file:
            _, _, rest = line.rstrip("\n").partition(":")
            controllers, _, path = rest.partition(":")
            path = path.strip("/")
            if not controllers:
                found += [os.path.join(mount, path, "memory.events"), os.path.join(mount, "memory.events")]
            elif "memory" in controllers.split(","):
                found.append(os.path.join(mount, "memory", path, "memory.oom_control"))
    return found
