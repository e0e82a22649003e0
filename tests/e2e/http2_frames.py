# SPDX-License-Identifier: Apache-2.0
"""A gRPC client that can send any bytes, which honest client libraries refuse to do."""

import socket
from types import TracebackType

import h2.config
import h2.connection
import h2.events


class Http2Connection:
    """One HTTP/2 connection without TLS; requests go one after another."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=10)
        # gRPC permits a status message that ends in a space; a strict reader of HTTP/2 does not.
        config = h2.config.H2Configuration(header_encoding="utf-8", validate_inbound_headers=False)
        self._http2 = h2.connection.H2Connection(config)
        self._http2.initiate_connection()
        self._flush()
        self._stream = 0

    def post(self, path: str, body: bytes) -> dict[str, str]:
        """Sends the body and ends the stream.

        Returns:
            The reply's headers and trailers; `{}` if the server reset the stream or closed the connection.
        """
        self.send_headers(path)
        self.send_data(body, end=True)
        return self.reply()

    def send_headers(self, path: str, *headers: tuple[str, str]) -> None:
        self._stream = self._http2.get_next_available_stream_id()
        pseudo = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost")]
        grpc = [("content-type", "application/grpc"), ("te", "trailers")]
        self._http2.send_headers(self._stream, [*pseudo, *grpc, *headers])
        self._flush()

    def send_data(self, data: bytes, *, end: bool) -> None:
        """Sends data that fits the initial window (64 kB)."""
        self._http2.send_data(self._stream, data, end_stream=end)
        self._flush()

    def close(self) -> None:
        self._socket.close()

    def _flush(self) -> None:
        self._socket.sendall(self._http2.data_to_send())

    def reply(self) -> dict[str, str]:
        """The next reply's headers and trailers; `{}` if the server reset the stream or closed the connection."""
        found: dict[str, str] = {}
        while True:
            data = self._socket.recv(65536)
            if not data:
                return {}
            for event in self._http2.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                    found.update(event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    self._http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                    return {}
                elif isinstance(event, h2.events.StreamEnded):
                    self._flush()
                    return found
            self._flush()

    def __enter__(self) -> "Http2Connection":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()
