# SPDX-License-Identifier: Apache-2.0
"""Clients that are silent, slow, or never read: each is let go, and nobody else notices."""

import contextlib
import json
import re
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.settings
import psutil
import pytest
import tensorflow as tf

from tests.clients import GrpcClient, RestClient, predict_request, wait_until
from tests.conftest import ServeModels
from tests.e2e.http2_frames import Http2Connection
from tests.server_process import ServerProcess

PREDICT = "/tensorflow.serving.PredictionService/Predict"
POST = b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: x\r\n"
MEGABYTE = 1_000_000
BUFFERED = 20 * MEGABYTE


@pytest.fixture(scope="module")
def server(serve_models: ServeModels, models: Path) -> ServerProcess:
    return serve_models(
        {name: models / name for name in ("half_plus_two", "echo")},
        "--client_header_timeout_seconds=1",
        "--client_body_timeout_seconds=1.5",
        f"--max_buffered_bytes={BUFFERED}",
    )


@pytest.fixture(autouse=True)
def others_are_answered(server: ServerProcess) -> Iterator[None]:
    yield
    assert server.is_running, server.log
    client = GrpcClient(server.grpc_target)
    assert list(client.predict("half_plus_two", {"x": [2.0]}).outputs["y"].float_val) == [6.0]
    client.close()
    reply = RestClient(server.rest_url).predict("half_plus_two", {"instances": [2.0]})
    assert reply.json() == {"predictions": [6.0]}


def is_closed_within(connection: socket.socket, seconds: float) -> bool:
    """Whether the server ends the connection; what it says before that is thrown away."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            if not connection.recv(65536):
                return True
        except ConnectionError:
            return True
        except TimeoutError:
            return False
    return False


SILENT = {
    "nothing over HTTP": ("rest_port", b""),
    "a byte": ("rest_port", b"P"),
    "half a request line": ("rest_port", b"POST /v1/mo"),
    "half a header": ("rest_port", POST + b"Content-Le"),
    "headers without an end": ("rest_port", POST + b"Content-Length: 10\r\n"),
    "half a preface over HTTP": ("rest_port", b"PRI * HTTP/2.0\r\n"),
    "a body that does not begin": ("rest_port", POST + b"Content-Length: 10000\r\n\r\n"),
    "half a body": ("rest_port", POST + b"Content-Length: 10000\r\n\r\n{"),
    "half a chunk": ("rest_port", POST + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{"),
    "nothing over gRPC": ("grpc_port", b""),
    "half a preface": ("grpc_port", b"PRI * HT"),
}


@pytest.mark.parametrize("name", SILENT)
def test_silent_clients_are_let_go(server: ServerProcess, name: str) -> None:
    port, said = SILENT[name]
    with socket.create_connection(("127.0.0.1", getattr(server, port)), timeout=10) as connection:
        connection.sendall(said)
        assert is_closed_within(connection, 15)


def test_a_head_that_trickles(server: ServerProcess) -> None:
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=10) as connection:
        assert any(is_gone(connection) for _ in range(150))
    assert server.says("A client that did not send the head of its request in time is disconnected."), server.log


def is_gone(connection: socket.socket) -> bool:
    """Whether a further byte finds nobody; waits a little."""
    time.sleep(0.1)
    try:
        connection.sendall(b"x")
    except ConnectionError:
        return True
    return False


def test_slow_bodies_are_408(server: ServerProcess) -> None:
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=15) as connection:
        connection.sendall(POST + b"Content-Length: 100\r\n\r\n{")
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408"), answer
    assert b"--client_body_timeout_seconds" in answer


@pytest.mark.parametrize("sent", [b"", b"\0", struct.pack(">BI", 0, 1000), struct.pack(">BI", 0, 1000) + b"x"])
def test_bodies_that_never_end(server: ServerProcess, sent: bytes) -> None:
    with Http2Connection("127.0.0.1", server.grpc_port) as connection:
        connection.send_headers(PREDICT)
        connection.send_data(sent, end=False)
        headers = connection.reply()
        assert headers["grpc-status"] == "4"
        assert "too slowly" in headers["grpc-message"]


def test_a_deadline_ends_a_body_as_well(server: ServerProcess) -> None:
    client = GrpcClient(server.grpc_target)
    with Http2Connection("127.0.0.1", server.grpc_port) as connection:
        connection.send_headers(PREDICT, ("grpc-timeout", "200m"))
        headers = connection.reply()
    assert headers["grpc-status"] == "4"
    assert "too slowly" not in headers["grpc-message"]
    client.close()


def test_slow_but_steady_clients_are_served(server: ServerProcess) -> None:
    body = json.dumps({"instances": [2.0] * 1000}).encode()
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=15) as connection:
        connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 500):
            connection.sendall(body[at : at + 500])
            time.sleep(0.25)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_kept_alive_connection_may_be_idle(server: ServerProcess) -> None:
    client, rest = GrpcClient(server.grpc_target), RestClient(server.rest_url)
    request = POST + b"Content-Length: 20\r\n\r\n" + b'{"instances": [2.0]}'
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=10) as connection:
        for _ in range(2):
            connection.sendall(request)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            assert client.predict("half_plus_two", {"x": [1.0]})
            time.sleep(3)
        connection.sendall(request)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    client.close()
    rest.close()


HEAD_PATHS = (
    "/nowhere/" + "x" * 2000,
    "/v1/models/half_plus_two",
    "/v1/models/none",
    "/metrics",
    "/",
    "/v1/models/m:predict",
)


def test_the_body_that_head_leaves_out_is_not_waited_for(server: ServerProcess) -> None:
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.rest_port), timeout=10))
            for _ in HEAD_PATHS
        ]
        for connection, path in zip(connections, HEAD_PATHS, strict=True):
            for _ in range(10):
                connection.sendall(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                received = b""
                while not received.endswith(b"\r\n\r\n"):
                    piece = connection.recv(4096)
                    assert piece, received
                    received += piece
        assert not is_closed_within(connections[0], 3.5)
        assert [path for each, path in zip(connections, HEAD_PATHS, strict=True) if is_closed_within(each, 0.01)] == []


def buffered(server: ServerProcess) -> int:
    page = RestClient(server.rest_url).get("/metrics").text
    found = re.search(r"^tensorserve_client_buffered_bytes (\d+)$", page, re.MULTILINE)
    assert found, page
    return int(found[1])


def refused(connection: socket.socket, sent: bytes) -> bool:
    """Whether the server answers at once that it has no memory for this, or hangs up before it has everything."""
    connection.settimeout(0.5)
    try:
        connection.sendall(sent)
        return connection.recv(4096).startswith(b"HTTP/1.1 429")
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_unfinished_bodies_share_a_budget(server: ServerProcess) -> None:
    part = POST + b"Content-Length: 10000000\r\n\r\n" + b" " * 4 * MEGABYTE
    clients = [socket.create_connection(("127.0.0.1", server.rest_port), timeout=10) for _ in range(8)]
    answers = [refused(client, part) for client in clients]
    assert not all(answers)
    assert any(answers)
    assert buffered(server) <= BUFFERED
    for client in clients:
        client.close()
    wait_until(lambda: buffered(server) == 0)


def test_filled_values_share_the_budget(server: ServerProcess) -> None:
    """Each of these is small, and asks for a third of what all clients may take together."""
    client = GrpcClient(server.grpc_target)
    tensor = tf.make_tensor_proto(1.0)
    tensor.tensor_shape.dim.add(size=1_800_000)
    before = psutil.Process(server.serving_pid).memory_info().rss
    request = predict_request("half_plus_two", {"x": tensor})
    futures = [client.prediction.Predict.future(request, 60) for _ in range(30)]
    codes = [future.code().name for future in futures]
    assert set(codes) <= {"OK", "RESOURCE_EXHAUSTED"}
    assert "OK" in codes
    assert psutil.Process(server.serving_pid).memory_info().rss - before < 300 * MEGABYTE
    client.close()


class Deaf:
    """A gRPC client that asks for large replies and never reads them, with these settings."""

    def __init__(self, server: ServerProcess, calls: int, window: int, timeout: str | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.grpc_port), timeout=10)
        http2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        http2.initiate_connection()
        http2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        message = predict_request("half_plus_two", {"x": [1.0] * 25_000}).SerializeToString()
        frame = struct.pack(">BI", 0, len(message)) + message
        extra = [] if timeout is None else [("grpc-timeout", timeout)]
        fields = [(":method", "POST"), (":scheme", "http"), (":path", PREDICT), (":authority", "x")]
        fields += [("content-type", "application/grpc"), *extra]
        self.socket.sendall(http2.data_to_send())
        # The server's windows are larger than that; h2 learns of them when it reads, which this client does not.
        http2.remote_settings[h2.settings.SettingCodes.INITIAL_WINDOW_SIZE] = 4 << 20
        http2.remote_settings.acknowledge()
        http2.outbound_flow_control_window = 1 << 30
        for _ in range(calls):
            stream = http2.get_next_available_stream_id()
            http2.send_headers(stream, fields)
            for at in range(0, len(frame), 16_000):
                http2.send_data(stream, frame[at : at + 16_000], end_stream=at + 16_000 >= len(frame))
        # It may be found out, and cut off, while it still asks.
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(http2.data_to_send())


@pytest.mark.parametrize("window", [0, 1, 65_535, 2**31 - 1])
def test_clients_that_never_read(server: ServerProcess, window: int) -> None:
    before = psutil.Process(server.serving_pid).memory_info().rss
    deaf = [Deaf(server, 30, window) for _ in range(10)]
    time.sleep(1)
    assert buffered(server) <= BUFFERED
    assert psutil.Process(server.serving_pid).memory_info().rss - before < 150 * MEGABYTE
    wait_until(lambda: buffered(server) == 0)
    for client in deaf:
        client.socket.close()


def test_a_deadline_ends_the_sending_of_a_reply(server: ServerProcess) -> None:
    deaf = Deaf(server, 20, 0, timeout="300m")
    wait_until(lambda: buffered(server) == 0, 10)
    deaf.socket.close()


def test_idle_clients_make_room(serve_models: ServeModels, models: Path) -> None:
    import resource

    few = 160
    server = serve_models({"half_plus_two": models / "half_plus_two"})
    process = psutil.Process(server.serving_pid)
    process.rlimit(resource.RLIMIT_NOFILE, (few, few))
    request = POST + b"Content-Length: 20\r\n\r\n" + b'{"instances": [2.0]}'
    idle = []
    refused = 0
    for _ in range(2 * few):
        connection = socket.create_connection(("127.0.0.1", server.rest_port), timeout=10)
        idle.append(connection)
        try:
            connection.sendall(request)
            refused += not connection.recv(4096).startswith(b"HTTP/1.1 200")
        except ConnectionError:
            refused += 1
    assert refused
    # The idle ones are let go within seconds, though they may be idle for an hour where there is room.
    wait_until(lambda: is_answered(server), 20)
    assert server.says("A REST connection could not be accepted: "), server.log
    assert server.says("is disconnected."), server.log
    page = RestClient(server.rest_url).get("/metrics").text
    assert re.search(r"^tensorserve_client_accept_failures_total [1-9]", page, re.MULTILINE)
    for connection in idle:
        connection.close()


def is_answered(server: ServerProcess) -> bool:
    try:
        return RestClient(server.rest_url).predict("half_plus_two", {"instances": [2.0]}).status_code == 200
    except OSError:
        return False
