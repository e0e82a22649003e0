# SPDX-License-Identifier: Apache-2.0
import socket

from tensorserve.supervisor.channel import Channel


def pair() -> tuple[Channel, Channel, socket.socket]:
    one, other = socket.socketpair()
    other.setblocking(False)
    return Channel(one), Channel(other), one


def test_messages_arrive_whole() -> None:
    ours, theirs, raw = pair()
    ours.send({"kind": "a", "text": "x\ny"})
    raw.sendall(b'{"kind":')
    assert list(theirs.receive()) == [{"kind": "a", "text": "x\ny"}]
    raw.sendall(b'"b"}\n')
    assert list(theirs.receive()) == [{"kind": "b"}]
    assert list(theirs.receive()) == []
    assert theirs.is_open


def test_what_is_no_message_is_left_out() -> None:
    _ours, theirs, raw = pair()
    raw.sendall(b'nonsense\n[1]\n{"kind": "a"}\n')
    assert list(theirs.receive()) == [{"kind": "a"}]


def test_the_end_is_noticed() -> None:
    ours, theirs, _raw = pair()
    ours.close()
    assert list(theirs.receive()) == []
    assert not theirs.is_open
    assert theirs.send({"kind": "a"}) in (True, False)
    assert not theirs.send({"kind": "a"})
