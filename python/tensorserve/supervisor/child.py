# SPDX-License-Identifier: Apache-2.0
"""The server as its parent sees it: a process with a channel, records of its log, and a stream of native lines."""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tensorserve.log import Journal, log_level
from tensorserve.supervisor.channel import HELD_SIGNALS, VARIABLE, Channel
from tensorserve.supervisor.inquest import Witness
from tensorserve.supervisor.output import Relay, ServerLog
from tensorserve.supervisor.watchdog import Watchdog


def command_line() -> list[str]:
    """The words that started this program."""
    return [sys.executable, *sys.orig_argv[1:]]


def _memory(facts: Mapping[str, Any]) -> int:
    """A descriptor of memory that holds facts as JSON."""
    number = os.memfd_create("tensorserve-supervised")
    with open(number, "w", closefd=False) as file:
        json.dump(facts, file)
    os.lseek(number, 0, os.SEEK_SET)
    return number


def _streams(write_end: int) -> list[tuple[int, int, int]]:
    """Standard error goes to the parent; so does standard output if both go the same way, which keeps their order."""
    same = os.path.sameopenfile(1, 2)
    return [(os.POSIX_SPAWN_DUP2, write_end, number) for number in ((1, 2) if same else (2,))]


class Child:
    """A running server.

    Args:
        words: The words of the command line, with the program first.
        sockets: The descriptors of its sockets, by name.
        witness: What is to be known of it.
        watchdog: Tells whether it hangs.
        journal: The log.

    Attributes:
        is_leaving: Whether it was told to stop, or has said that it stops.
    """

    def __init__(
        self,
        words: list[str],
        sockets: Mapping[str, int],
        witness: Witness,
        watchdog: Watchdog,
        journal: Journal,
    ) -> None:
        self.witness = witness
        self.watchdog = watchdog
        self.hung_at: float | None = None
        self.was_stopped = False
        self.is_leaving = False
        ours, theirs = socket.socketpair()
        read_end, write_end = os.pipe()
        records, records_write_end = os.pipe()
        os.set_blocking(records_write_end, False)
        facts = {
            "parent": os.getpid(),
            "channel": theirs.fileno(),
            "sockets": dict(sockets),
            "log": records_write_end,
            "log_level": log_level(),
            **witness.facts(),
        }
        told = _memory(facts)
        passed = [told, theirs.fileno(), records_write_end, witness.page.descriptor, *sockets.values()]
        try:
            for number in passed:
                os.set_inheritable(number, True)
            self.pid = os.posix_spawn(
                words[0],
                words,
                {**os.environ, VARIABLE: str(told)},
                file_actions=_streams(write_end),
                # Of its own, so that a key of the terminal signals the parent alone.
                setpgroup=0,
                setsigdef=[*HELD_SIGNALS, signal.SIGUSR2, signal.SIGCHLD],
                setsigmask=HELD_SIGNALS,
            )
        finally:
            for number in passed:
                os.set_inheritable(number, False)
            theirs.close()
            os.close(write_end)
            os.close(records_write_end)
            os.close(told)
        ours.setblocking(False)
        os.set_blocking(read_end, False)
        os.set_blocking(records, False)
        self.channel = Channel(ours)
        self.log = ServerLog(journal)
        self.relays = (Relay(records, self.log.take_records), Relay(read_end, self.log.take_native))
        self.started = time.monotonic()
        self.ready_since: float | None = None
        self.kill_at: float | None = None

    @property
    def is_ready(self) -> bool:
        """Whether its models have answered."""
        return self.ready_since is not None

    def seconds_of_service(self) -> float | None:
        """Since its models first answered; None if they never did."""
        return None if self.ready_since is None else time.monotonic() - self.ready_since

    def tell(self, kind: str, **facts: Any) -> None:
        """Says something to it."""
        self.channel.send({"kind": kind, **facts})

    def signal(self, number: int) -> None:
        """Sends it a signal, unless it is gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def stop_within(self, seconds: float) -> None:
        """It was told to stop, and is ended when it has not stopped by then."""
        self.is_leaving = True
        self.kill_at = time.monotonic() + seconds

    def close(self) -> None:
        """Gives its descriptors back; its log was closed before."""
        self.channel.close()
        self.witness.close()
