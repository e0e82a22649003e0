# SPDX-License-Identifier: Apache-2.0
"""HTTP itself: versions, keep-alive, 100-continue, compressed requests and replies."""

import gzip
import json
import socket
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest
import zstandard

from tests.clients import RestClient
from tests.conftest import StartServer
from tests.server_process import ServerProcess

PREDICT = "/v1/models/half_plus_two:predict"
SMALL = json.dumps({"instances": [1.0, 2.0, 5.0]}).encode()
LARGE = json.dumps({"instances": [1.0] * 5000}).encode()


@pytest.fixture
def connection(server: ServerProcess) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", server.rest_port), timeout=10)) as opened:
        yield opened


def read_reply(connection: socket.socket) -> tuple[bytes, bytes]:
    """One HTTP/1.1 reply with a Content-Length: head and body."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        assert piece, received
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while lengths and len(body) < int(lengths[0]):
        body += connection.recv(65536)
    return head, body


def post(body: bytes, *headers: str) -> bytes:
    lines = [f"POST {PREDICT} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_a_connection_carries_many_requests(connection: socket.socket) -> None:
    for _ in range(3):
        connection.sendall(post(SMALL))
        head, body = read_reply(connection)
        assert head.startswith(b"HTTP/1.1 200")
        assert json.loads(body) == {"predictions": [4.5, 5.0, 6.5]}


def test_requests_that_come_byte_by_byte(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in post(SMALL):
        connection.send(bytes([byte]))
    assert read_reply(connection)[0].startswith(b"HTTP/1.1 200")


def test_close_is_done_when_asked(connection: socket.socket) -> None:
    connection.sendall(post(SMALL, "Connection: close"))
    assert b"connection: close" in read_reply(connection)[0].lower()
    assert connection.recv(1) == b""


def test_http_1_0(connection: socket.socket) -> None:
    connection.sendall(post(SMALL).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert b" 200" in read_reply(connection)[0]
    assert connection.recv(1) == b""


def test_expect_100_continue(connection: socket.socket) -> None:
    whole = post(SMALL, "Expect: 100-continue")
    connection.sendall(whole[: -len(SMALL)])
    assert read_reply(connection) == (b"HTTP/1.1 100 Continue", b"")
    connection.sendall(SMALL)
    assert read_reply(connection)[0].startswith(b"HTTP/1.1 200")


def test_chunked_bodies(connection: socket.socket) -> None:
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    pieces = [SMALL[:7], SMALL[7:]]
    connection.sendall(head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n")
    assert read_reply(connection)[0].startswith(b"HTTP/1.1 200")


def http2(connection: socket.socket, bodies: list[bytes], *headers: tuple[str, str]) -> dict[int, tuple[str, bytes]]:
    """Posts all bodies at once over HTTP/2 with prior knowledge; status and body of each reply by stream."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    client.initiate_connection()
    connection.sendall(client.data_to_send())
    status: dict[int, str] = {}
    received: dict[int, bytes] = {}
    for body in bodies:
        stream = client.get_next_available_stream_id()
        fields = [(":method", "POST"), (":path", PREDICT), (":scheme", "http"), (":authority", "x"), *headers]
        client.send_headers(stream, fields)
        client.send_data(stream, body, end_stream=True)
        received[stream] = b""
    done: set[int] = set()
    connection.sendall(client.data_to_send())
    while len(done) < len(bodies):
        piece = connection.recv(65536)
        assert piece, "the server closed the connection"
        for event in client.receive_data(piece):
            if isinstance(event, h2.events.ResponseReceived):
                status[event.stream_id] = next(str(value) for name, value in event.headers if name == ":status")
            elif isinstance(event, h2.events.DataReceived):
                received[event.stream_id] += event.data
                client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                done.add(event.stream_id)
        connection.sendall(client.data_to_send())
    return {stream: (status[stream], received[stream]) for stream in received}


def test_http2_with_prior_knowledge(connection: socket.socket) -> None:
    replies = http2(connection, [SMALL, b"{}", SMALL])
    assert [status for status, _ in replies.values()].count("200") == 2
    assert replies[3][0] == "400"
    assert b"Missing 'inputs' or 'instances' key" in replies[3][1]
    assert json.loads(replies[5][1]) == {"predictions": [4.5, 5.0, 6.5]}


def test_http2_compresses_too(connection: socket.socket) -> None:
    body = json.dumps({"instances": [1.0] * 3000}).encode()
    ((status, small),) = http2(connection, [body], ("accept-encoding", "gzip")).values()
    assert status == "200"
    assert len(json.loads(gzip.decompress(small))["predictions"]) == 3000


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_large_replies_are_compressed_when_asked(rest_client: RestClient, encoding: str) -> None:
    plain = rest_client.post(PREDICT, LARGE, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    reply = rest_client.post(PREDICT, LARGE, headers={"Accept-Encoding": encoding}, stream=True)
    raw = reply.raw.read(decode_content=False)
    assert (reply.status_code, reply.headers["Content-Encoding"]) == (200, encoding)
    assert "accept-encoding" in reply.headers["Vary"]
    assert len(raw) < len(plain.content) / 10
    found = gzip.decompress(raw) if encoding == "gzip" else zstandard.ZstdDecompressor().decompressobj().decompress(raw)
    assert found == plain.content


def test_replies_are_not_compressed_when_that_is_turned_off(start_server: StartServer, models: Path) -> None:
    base_path = models / "half_plus_two"
    server = start_server(
        "--model_name=half_plus_two", f"--model_base_path={base_path}", "--rest_api_compression=false"
    )
    reply = RestClient(server.rest_url).post(PREDICT, LARGE, headers={"Accept-Encoding": "gzip, zstd"})
    assert (reply.status_code, "Content-Encoding" in reply.headers) == (200, False)


def test_small_replies_are_not_compressed(rest_client: RestClient) -> None:
    reply = rest_client.post(PREDICT, SMALL, headers={"Accept-Encoding": "gzip, zstd"})
    assert reply.status_code == 200
    assert "Content-Encoding" not in reply.headers


def test_other_encodings_are_not_used(rest_client: RestClient) -> None:
    reply = rest_client.post(PREDICT, LARGE, headers={"Accept-Encoding": "br, gzip;q=0"})
    assert reply.status_code == 200
    assert "Content-Encoding" not in reply.headers


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_compressed_requests(rest_client: RestClient, encoding: str) -> None:
    compress = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstandard.ZstdCompressor().compress}[encoding]
    reply = rest_client.post(PREDICT, compress(SMALL), headers={"Content-Encoding": encoding})
    assert reply.json() == {"predictions": [4.5, 5.0, 6.5]}


def test_a_zstd_request_cannot_ask_for_much_memory(rest_client: RestClient) -> None:
    bomb = zstandard.ZstdCompressor().compress(b" " * (101 << 20))
    reply = rest_client.post(PREDICT, bomb, headers={"Content-Encoding": "zstd"})
    assert reply.status_code == 429
    assert "grows beyond" in reply.json()["error"]


@pytest.mark.parametrize("hosts", [[], ["a", "b"], ["a", "a"], ["a", ""], ["", "", ""]])
def test_hosts_that_are_missing_or_many(connection: socket.socket, hosts: list[str]) -> None:
    lines = [f"POST {PREDICT} HTTP/1.1", f"Content-Length: {len(SMALL)}", *(f"Host: {host}" for host in hosts)]
    connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + SMALL)
    head, body = read_reply(connection)
    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(body) == {"error": "an HTTP/1.1 request must have exactly one Host header"}


@pytest.mark.parametrize("host", ["a", "", "127.0.0.1:8501", "[::1]:8501"])
def test_one_host_is_enough_whatever_it_is(connection: socket.socket, host: str) -> None:
    connection.sendall(post(SMALL).replace(b"Host: x", f"Host: {host}".encode()))
    assert read_reply(connection)[0].startswith(b"HTTP/1.1 200")


def test_http_1_0_needs_no_host(connection: socket.socket) -> None:
    connection.sendall(post(SMALL).replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Host: x\r\n", b""))
    assert b" 200" in read_reply(connection)[0]


@pytest.mark.parametrize("expectation", ["200-ok", "100-continue, x", "x", "continue", "100-continue-please"])
def test_expectations_that_are_not_known(connection: socket.socket, expectation: str) -> None:
    connection.sendall(post(SMALL, f"Expect: {expectation}"))
    head, body = read_reply(connection)
    assert head.startswith(b"HTTP/1.1 417")
    assert "Expect" in json.loads(body)["error"]


def request_head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", *headers]).encode() + b"\r\n\r\n"


LONG = "Content-Length: 5000000"
UNREAD = {
    "no such page": request_head("POST", "/nowhere", "Host: x", LONG),
    "no such verb": request_head("POST", "/v1/models/half_plus_two:explain", "Host: x", LONG),
    "a page": request_head("GET", "/v1/models/half_plus_two", "Host: x", LONG),
    "a probe": request_head("POST", "/healthz", "Host: x", "Transfer-Encoding: chunked"),
    "no host": request_head("POST", PREDICT, LONG),
    "an unknown expectation": request_head("POST", PREDICT, "Host: x", "Expect: x", LONG),
    "a body that nobody may send": request_head("POST", PREDICT, "Host: x", "Content-Length: 900000000000"),
    "a body that is waited for": request_head("POST", "/nowhere", "Host: x", "Expect: 100-continue", LONG),
}


@pytest.mark.parametrize("name", UNREAD)
def test_an_answer_before_the_body_says_that_the_connection_ends(connection: socket.socket, name: str) -> None:
    connection.sendall(UNREAD[name])
    head, _ = read_reply(connection)
    assert b"connection: close" in head.lower(), head
    assert connection.recv(1) == b""


@pytest.mark.parametrize("path", ["/nowhere", "/v1/models/half_plus_two:explain", "/v1/models/none:predict"])
@pytest.mark.parametrize("body", [b"", b"{}", SMALL, b"x" * 30_000])
def test_a_body_that_came_with_its_head_leaves_the_connection(
    connection: socket.socket, path: str, body: bytes
) -> None:
    for _ in range(3):
        connection.sendall(request_head("POST", path, "Host: x", f"Content-Length: {len(body)}") + body)
        head, _ = read_reply(connection)
        assert head.startswith(b"HTTP/1.1 4")
        if b"connection: close" in head.lower():  # The system may have cut it into pieces.
            assert len(body) > len(SMALL)
            return
    connection.sendall(post(SMALL))
    assert read_reply(connection)[0].startswith(b"HTTP/1.1 200")
