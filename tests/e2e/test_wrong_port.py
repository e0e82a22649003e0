# SPDX-License-Identifier: Apache-2.0
"""Clients that knock at the port of the other protocol, or speak what resembles gRPC, are told so."""

import socket
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from tests.clients import GrpcClient, predict_request, rpc_error
from tests.conftest import StartServer
from tests.server_process import ServerProcess

STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
RELOAD = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
WATCH = "/grpc.health.v1.Health/Watch"


@pytest.fixture(scope="module")
def server(start_server: StartServer, models: Path) -> ServerProcess:
    return start_server("--model_name=half_plus_two", f"--model_base_path={models / 'half_plus_two'}")


def asked(port: int, path: str, headers: Mapping[str, str], method: str = "POST") -> tuple[dict[str, str], bytes]:
    """The headers and the body of the reply to a request over HTTP/2 with an empty gRPC message."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    fields = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "x"), *headers.items()]
    client.send_headers(1, fields)
    client.send_data(1, b"\0\0\0\0\0", end_stream=True)
    found: dict[str, str] = {}
    body = b""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
        connection.sendall(client.data_to_send())
        while True:
            for event in client.receive_data(connection.recv(65536)):
                if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                    found |= dict(event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
                elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                    return found, body


@pytest.mark.parametrize("path", [STATUS, RELOAD, WATCH, "/x"])
@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/json",
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/x-protobuf",
        "",
    ],
)
def test_content_types_that_are_not_grpc(server: ServerProcess, path: str, content_type: str) -> None:
    headers, body = asked(server.grpc_port, path, {"content-type": content_type} if content_type else {})
    assert headers[":status"] == "415"
    assert "grpc-status" not in headers
    assert b"application/grpc" in body


@pytest.mark.parametrize(
    "content_type", ["application/grpc", "application/grpc+proto", "application/grpc;charset=x", "Application/GRPC"]
)
def test_content_types_that_are_grpc(server: ServerProcess, content_type: str) -> None:
    headers, _ = asked(server.grpc_port, "/grpc.health.v1.Health/Check", {"content-type": content_type})
    assert (headers[":status"], headers["grpc-status"]) == ("200", "0")


def test_calls_are_posts(server: ServerProcess) -> None:
    headers, _ = asked(server.grpc_port, STATUS, {"content-type": "application/grpc"}, method="PUT")
    assert headers[":status"] == "405"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/models/half_plus_two HTTP/1.0\r\n\r\n",
        b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
        b"OPTIONS * HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/1.1\r\n\r\n",
    ],
)
def test_http_at_the_port_of_grpc(server: ServerProcess, request_bytes: bytes) -> None:
    with closing(socket.create_connection(("127.0.0.1", server.grpc_port), timeout=10)) as connection:
        connection.sendall(request_bytes)
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"gRPC" in answer
    assert b"--rest_api_port" in answer


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00\x01\x00", b"get / http\r\n", b"\0" * 100, b"SSH-2.0-x\r\n"])
def test_other_bytes_at_the_port_of_grpc(server: ServerProcess, garbage: bytes) -> None:
    with closing(socket.create_connection(("127.0.0.1", server.grpc_port), timeout=10)) as connection:
        connection.sendall(garbage)
        with suppress(ConnectionResetError):
            assert connection.recv(4096) == b""


def test_grpc_at_the_port_of_http(server: ServerProcess) -> None:
    client = GrpcClient(f"127.0.0.1:{server.rest_port}")
    calls = [
        lambda: client.predict("half_plus_two", {"x": [1.0]}),
        lambda: client.status("half_plus_two"),
        lambda: client.metadata("half_plus_two"),
        lambda: client.channel.unary_unary("/x.Y/Z")(b"", timeout=10),
        lambda: client.send(predict_request("half_plus_two", {"x": [1.0] * 100_000})),
    ]
    for call in calls:
        code, text = rpc_error(call)
        assert code == "UNIMPLEMENTED"
        assert "--rest_api_port" in text
        assert "--port" in text
    client.close()
