# SPDX-License-Identifier: Apache-2.0
import socket
from pathlib import Path

from tensorserve.supervisor.service_manager import ServiceManager


def test_it_is_told_how_the_server_does(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.settimeout(5)
        manager = ServiceManager({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "4000000"})
        assert manager.watchdog_seconds == 2.0
        for say in (manager.ready, manager.alive, manager.stopping):
            say()
        assert [systemd.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_nobody_is_told_where_nobody_asks() -> None:
    manager = ServiceManager({"WATCHDOG_USEC": "4000000"})
    assert manager.watchdog_seconds is None
    manager.ready()
    assert (
        ServiceManager({"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}).watchdog_seconds
        is None
    )
