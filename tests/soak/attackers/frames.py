# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 frames made by hand (RFC 9113, section 4.1)."""

import struct
from collections.abc import Iterable

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4
INITIAL_WINDOW_SIZE = 4
CANCEL = 8
LARGEST_FRAME = 16384


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    """One frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(values: dict[int, int] | None = None) -> bytes:
    return frame(SETTINGS, b"".join(struct.pack(">HI", *each) for each in (values or {}).items()))


def hello(values: dict[int, int] | None = None) -> bytes:
    """What a client sends first."""
    return PREFACE + settings(values)


def header_block(path: str, *, method: str = "POST", content_type: str = "application/grpc") -> bytes:
    """The headers of a request, which leave the table of the decoder as it is, so that they may be sent again."""
    pairs = [
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", content_type),
        ("te", "trailers"),
    ]
    return bytes(hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(*pair) for pair in pairs]))


def headers(block: bytes, stream: int, *, end_stream: bool = False) -> bytes:
    return frame(HEADERS, block, flags=END_HEADERS | (END_STREAM if end_stream else 0), stream=stream)


def reset(stream: int) -> bytes:
    return frame(RST_STREAM, struct.pack(">I", CANCEL), stream=stream)


def data(payload: bytes, stream: int, *, end: bool = True) -> bytes:
    """A body in as many frames as it needs; the caller knows that the window is large enough."""
    pieces = [payload[at : at + LARGEST_FRAME] for at in range(0, len(payload), LARGEST_FRAME)] or [b""]
    flags = [0] * (len(pieces) - 1) + [END_STREAM if end else 0]
    return b"".join(frame(DATA, piece, flags=flag, stream=stream) for piece, flag in zip(pieces, flags, strict=True))


def message(encoded: bytes) -> bytes:
    """A gRPC message with its framing."""
    return struct.pack(">BI", 0, len(encoded)) + encoded


def window_update(increment: int, stream: int = 0) -> bytes:
    return frame(WINDOW_UPDATE, struct.pack(">I", increment), stream=stream)


def repeated(frames: Iterable[bytes], at_least: int) -> bytes:
    """These frames again and again, until there are that many bytes."""
    once = b"".join(frames)
    return once * (at_least // len(once) + 1)
