# SPDX-License-Identifier: Apache-2.0
"""A population of hostile connections, kept alive by one thread that spends little processor time."""

import errno
import json
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

# Connections that are opened in a second, so that opening is no flood of its own.
OPENED_PER_SECOND = 2000
REOPENED_PER_SECOND = 50
READ_BYTES = 1 << 18
REST_IS_SHORT = 0.001


@dataclass(frozen=True)
class Habit:
    """What a client does.

    Attributes:
        opening: Gives what a new client sends first, by its number.
        more: Gives what it sends at each interval, by its number and by how often it has sent more; None: nothing.
        interval: Seconds.
        reads: Whether it takes what the server sends.
        receive_buffer: Bytes that the kernel keeps for it; 0 is the system's choice.
    """

    opening: Callable[[int], bytes]
    more: Callable[[int, int], bytes] | None = None
    interval: float = 1.0
    reads: bool = True
    receive_buffer: int = 0


@dataclass
class Counts:
    """What happened."""

    opened: int = 0
    refused: int = 0
    closed_by_server: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0


@dataclass(eq=False)
class Client:
    """One connection, what it has yet to send, and how many times it sent more."""

    number: int
    port: int
    habit: Habit
    socket: socket.socket
    pending: memoryview = field(default_factory=lambda: memoryview(b""))
    turns: int = 0
    alive: bool = True


@dataclass(frozen=True)
class Group:
    """Clients of one habit at one port."""

    port: int
    count: int
    habit: Habit


class Attack:
    """Runs groups of clients for some seconds."""

    def __init__(self, groups: list[Group]) -> None:
        self.counts = Counts()
        self._poll = select.epoll()
        self._clients: dict[int, Client] = {}
        self._due: deque[tuple[float, Client]] = deque()
        self._missing: deque[tuple[int, Group]] = deque()
        # Groups in turns, so that none has to wait for the others.
        for number in range(max(group.count for group in groups)):
            self._missing += [(number, group) for group in groups if number < group.count]
        self._groups = {(group.port, id(group.habit)): group for group in groups}
        self._first = len(self._missing)
        self._allowance, self._refilled = 0.0, time.monotonic()

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            self._open(now)
            self._send_due(now)
            for descriptor, event in self._poll.poll(REST_IS_SHORT if self._missing or self._due else 0.05, 512):
                if client := self._clients.get(descriptor):
                    self._react(client, event)

    def close(self) -> str:
        """Ends all connections; what happened, as JSON."""
        for client in list(self._clients.values()):
            self._forget(client)
        return json.dumps(asdict(self.counts))

    def _open(self, now: float) -> None:
        rate = OPENED_PER_SECOND if self._first else REOPENED_PER_SECOND
        self._allowance = min(self._allowance + rate * (now - self._refilled), rate * 0.1)
        self._refilled = now
        while self._missing and self._allowance >= 1:
            self._allowance -= 1
            self._first = max(self._first - 1, 0)
            self._connect(*self._missing.popleft())

    def _connect(self, number: int, group: Group) -> None:
        connection = socket.socket()
        if group.habit.receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, group.habit.receive_buffer)
        connection.setblocking(False)
        code = connection.connect_ex(("127.0.0.1", group.port))
        if code not in (0, errno.EINPROGRESS):
            self.counts.refused += 1
            connection.close()
            self._missing.append((number, group))
            return
        self.counts.opened += 1
        client = Client(number, group.port, group.habit, connection)
        client.pending = memoryview(group.habit.opening(number))
        self._clients[connection.fileno()] = client
        self._poll.register(connection.fileno(), self._interest(client) | select.EPOLLOUT)
        if group.habit.more is not None:
            self._due.append((time.monotonic() + group.habit.interval, client))

    @staticmethod
    def _interest(client: Client) -> int:
        return select.EPOLLRDHUP | (select.EPOLLIN if client.habit.reads else 0)

    def _send_due(self, now: float) -> None:
        """Gives each client whose interval is over more to send, if it has sent all before."""
        waiting = len(self._due)
        while waiting and self._due[0][0] <= now:
            waiting -= 1
            _, client = self._due.popleft()
            if not client.alive:
                continue
            if not client.pending and client.habit.more is not None:
                client.pending = memoryview(client.habit.more(client.number, client.turns))
                client.turns += 1
                self._send(client)
            self._due.append((now + client.habit.interval, client))

    def _react(self, client: Client, event: int) -> None:
        if event & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP):
            return self._lost(client)
        if event & select.EPOLLIN and not self._receive(client):
            return self._lost(client)
        if event & select.EPOLLOUT:
            self._send(client)
        return None

    def _receive(self, client: Client) -> bool:
        """Takes what there is; whether the connection stays."""
        try:
            received = len(client.socket.recv(READ_BYTES))
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.counts.received_bytes += received
        return received > 0

    def _send(self, client: Client) -> None:
        try:
            sent = client.socket.send(client.pending) if client.pending else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            return self._lost(client)
        self.counts.sent_bytes += sent
        client.pending = client.pending[sent:]
        wanted = self._interest(client) | (select.EPOLLOUT if client.pending else 0)
        self._poll.modify(client.socket.fileno(), wanted)
        return None

    def _lost(self, client: Client) -> None:
        self.counts.closed_by_server += 1
        self._forget(client)
        self._missing.append((client.number, self._groups[client.port, id(client.habit)]))

    def _forget(self, client: Client) -> None:
        client.alive = False
        self._clients.pop(client.socket.fileno(), None)
        client.socket.close()
