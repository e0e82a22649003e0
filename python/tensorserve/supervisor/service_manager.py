# SPDX-License-Identifier: Apache-2.0
"""Tells systemd how the server does (`Type=notify`, `WatchdogSec`); nobody, where there is no systemd."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class ServiceManager:
    """Whoever has started this process and wants to know how it does.

    Args:
        environment: Where it says so: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        told = os.environ if environment is None else environment
        self._address = told.get("NOTIFY_SOCKET", "")
        is_for_us = told.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = told.get("WATCHDOG_USEC", "")
        wanted = bool(self._address) and is_for_us and microseconds.isdigit() and int(microseconds) > 0
        self.watchdog_seconds = int(microseconds) / 2e6 if wanted else None
        """How often `alive` is expected; None if it is not."""

    def ready(self) -> None:
        """Models answer."""
        self._say("READY=1")

    def stopping(self) -> None:
        """The server finishes what it has begun."""
        self._say("STOPPING=1")

    def alive(self) -> None:
        """The supervisor is not stuck."""
        self._say("WATCHDOG=1")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as end:
            end.sendto(text.encode(), address)
