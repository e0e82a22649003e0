# SPDX-License-Identifier: Apache-2.0
"""Floods of HTTP/2 frames that cost a client little: nobody else notices, and nothing is kept for them."""

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from benchmarks.process import Memory, tree

from tests.clients import GrpcClient, RestClient
from tests.conftest import ServeModels
from tests.server_process import ServerProcess
from tests.soak.attackers import frames

PREDICT = "/tensorflow.serving.PredictionService/Predict"
REST = "/v1/models/half_plus_two:predict"
SENT_BYTES = 2_000_000
"""What each flood sends, unless the server hangs up."""

PATIENCE_SECONDS = 1.0
"""How long the server may take nothing more of a flood."""

MEMORY_MB = 100.0
"""4,096 open calls take about 70."""

BLOCK = frames.header_block(PREDICT)
LONG_FIELD = b"\x10\x04name\x7f\x80\x1f" + b"v" * (127 + 31 * 128)


def rapid_resets(block: bytes) -> bytes:
    return b"".join(
        frames.headers(block, stream) + frames.reset(stream) for stream in range(1, 2 * SENT_BYTES // 250, 2)
    )


def opened(*, block: bytes = BLOCK) -> bytes:
    return frames.hello() + frames.headers(block, 1)


def endless_headers(*continuation: bytes) -> bytes:
    start = frames.hello() + frames.frame(frames.HEADERS, BLOCK, stream=1)
    return start + frames.repeated(continuation, SENT_BYTES)


FLOODS = {
    "requests that are cancelled at once": frames.hello() + rapid_resets(BLOCK),
    "requests over REST that are cancelled at once": frames.hello()
    + rapid_resets(frames.header_block(REST, content_type="application/json")),
    "requests that are updated to death": frames.hello()
    + b"".join(
        frames.headers(BLOCK, stream) + frames.window_update(0, stream) for stream in range(1, SENT_BYTES // 100, 2)
    ),
    "resets of one stream": opened() + frames.repeated([frames.reset(1)], SENT_BYTES),
    "settings": frames.hello() + frames.repeated([frames.settings({frames.INITIAL_WINDOW_SIZE: 65535})], SENT_BYTES),
    "changing settings": frames.hello()
    + frames.repeated(
        [frames.settings({frames.INITIAL_WINDOW_SIZE: size}) for size in (0, 65535, (1 << 31) - 1)], SENT_BYTES
    ),
    "empty settings": frames.hello() + frames.repeated([frames.settings()], SENT_BYTES),
    "pings": frames.hello() + frames.repeated([frames.frame(frames.PING, b"8 bytes.")], SENT_BYTES),
    "empty data": opened() + frames.repeated([frames.frame(frames.DATA, stream=1)], SENT_BYTES),
    "data of one byte": opened() + frames.repeated([frames.frame(frames.DATA, b"x", stream=1)], SENT_BYTES),
    "padding": opened()
    + frames.repeated([frames.frame(frames.DATA, b"\xff" + bytes(255), flags=8, stream=1)], SENT_BYTES),
    "empty continuations": endless_headers(frames.frame(frames.CONTINUATION, stream=1)),
    "full continuations": endless_headers(frames.frame(frames.CONTINUATION, LONG_FIELD * 3, stream=1)),
    "continuations of a byte": endless_headers(frames.frame(frames.CONTINUATION, b"\x82", stream=1)),
    "window updates": opened() + frames.repeated([frames.window_update(1), frames.window_update(1, 1)], SENT_BYTES),
    "priorities": opened() + frames.repeated([frames.frame(2, bytes(5), stream=1)], SENT_BYTES),
    "unknown frames": opened() + frames.repeated([frames.frame(77, bytes(100), stream=1)], SENT_BYTES),
    "open requests": frames.hello()
    + b"".join(frames.headers(BLOCK, stream) for stream in range(1, SENT_BYTES // 50, 2)),
}


@pytest.fixture(scope="module")
def server(serve_models: ServeModels, models: Path) -> ServerProcess:
    return serve_models({"half_plus_two": models / "half_plus_two"})


@contextmanager
def others(server: ServerProcess) -> Iterator[None]:
    """Asks over both protocols all the while; every answer is right."""
    stop, wrong, asked = threading.Event(), [], [0, 0]

    def ask() -> None:
        client, rest = GrpcClient(server.grpc_target), RestClient(server.rest_url)
        while not stop.is_set():
            try:
                found = list(client.predict("half_plus_two", {"x": [2.0]}).outputs["y"].float_val)
                asked[0] += found == [6.0]
                answer = rest.predict("half_plus_two", {"instances": [2.0]}).json()
                asked[1] += answer == {"predictions": [6.0]}
            except Exception as error:
                wrong.append(error)
                return
        client.close()
        rest.close()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not wrong
    assert min(asked) > 0


UNREAD = ("settings", "changing settings", "pings", "requests that are cancelled at once")


@pytest.mark.parametrize(("name", "reads"), [*((name, True) for name in FLOODS), *((name, False) for name in UNREAD)])
def test_a_flood(server: ServerProcess, name: str, reads: bool) -> None:
    before, processes = Memory.of(server.pid).rss_anon, tree(server.pid)
    with others(server):
        most = max(flood(server, port, FLOODS[name], reads) for port in (server.grpc_port, server.rest_port))
    assert most < before + MEMORY_MB, f"{before:.0f} MB before, {most:.0f} MB in the flood"
    assert tree(server.pid) == processes, server.log[-3000:]


def flood(server: ServerProcess, port: int, sent: bytes, reads: bool) -> float:
    """Sends what the server takes within some time; the most memory in megabytes that it had meanwhile."""
    most, rest, end = 0.0, memoryview(sent), time.monotonic() + PATIENCE_SECONDS
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection, suppress(ConnectionError):
        while rest and time.monotonic() < end:
            readable, writable, _ = select.select([connection] if reads else [], [connection], [], 0.1)
            if readable and not connection.recv(1 << 20):
                break
            if writable:
                rest = rest[connection.send(rest[:100_000]) :]
            most = max(most, Memory.of(server.pid).rss_anon)
    return max(most, Memory.of(server.pid).rss_anon)
