# SPDX-License-Identifier: Apache-2.0
import os
import socket
from pathlib import Path

import pytest

from tensorserve.errors import Code, ServingError
from tensorserve.supervisor.channel import Channel
from tensorserve.supervisor.supervised import Supervised


def test_a_restart_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # This process shall outlive whatever has started it.
    monkeypatch.setattr("tensorserve.supervisor.supervised._end_with_parent", lambda parent: None)
    ours, parents = socket.socketpair()
    parent = Channel(parents)
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    facts = {"sockets": {}, "page": -1, "watched": [], "quarantined": [], "log_level": "info"}
    server = Supervised({**facts, "channel": ours.detach(), "log": log, "parent": os.getppid()})
    with pytest.raises(ServingError, match=r"not ready after 0.01 seconds. It goes on, and takes over") as refused:
        server.restart(0.01)
    os.close(log)
    assert refused.value.code is Code.DEADLINE_EXCEEDED
    assert [message["kind"] for message in parent.receive()] == ["restart"]
