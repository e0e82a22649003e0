# SPDX-License-Identifier: Apache-2.0
"""What each kind of hostile client sends. Floods are held to rates that leave the machine time to answer others."""

import json
import random
import struct
from collections.abc import Callable
from typing import Any

from tests.soak.attackers import frames
from tests.soak.attackers.attack import Group, Habit

PREDICT = "/tensorflow.serving.PredictionService/Predict"
DT_FLOAT = 1
# Frames that one client of a flood sends at once, and how often it does.
FLOOD_FRAMES, FLOOD_INTERVAL, FLOOD_CLIENTS = 1000, 0.05, 3
MEGABYTE = 1_000_000


def echo_message(floats: int) -> bytes:
    """A request to `echo` with that many random floats, which come back."""
    from tensorserve import protos

    request = protos.PredictRequest(model_spec={"name": "echo", "signature_name": "float32"})
    tensor = request.inputs["x"]
    tensor.dtype = DT_FLOAT
    tensor.tensor_shape.dim.add(size=floats)
    tensor.tensor_content = random.Random(1).randbytes(2 * floats).replace(b"\x7f", b"\x3f") * 2
    return bytes(request.SerializeToString())


def echo_json(floats: int) -> bytes:
    generator = random.Random(1)
    values = [round(generator.random(), 6) for _ in range(floats)]
    return json.dumps({"signature_name": "float32", "instances": values}).encode()


def post(path: str, body: bytes, *extra: str, length: int | None = None) -> bytes:
    """A request over HTTP/1.1; `length` may differ from that of the body."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", *extra]
    if "Transfer-Encoding: chunked" not in extra:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunk(payload: bytes) -> bytes:
    return f"{len(payload):x}\r\n".encode() + payload + b"\r\n"


HALF = "/v1/models/half_plus_two:predict"
ECHO = "/v1/models/echo:predict"


def idle(grpc_port: int, rest_port: int) -> list[Group]:
    """8,000 connections that say nothing: at once, after the greeting, or after a request that was answered."""
    silent = Habit(lambda _number: b"")
    greeted = Habit(lambda _number: frames.hello())
    answered = Habit(lambda _number: post(HALF, b'{"instances": [1.0]}'))
    return [
        Group(grpc_port, 2000, silent),
        Group(grpc_port, 2000, greeted),
        Group(rest_port, 2000, silent),
        Group(rest_port, 2000, answered),
    ]


def slow(grpc_port: int, rest_port: int) -> list[Group]:
    """2,000 clients that send one byte a second: of headers, of a body, of frames."""
    head = post(HALF, b"")[:-4] + b"\r\nX-Slow: " + b"a" * 4000
    body = post(HALF, b"", length=100_000)
    stream = frames.headers(frames.header_block(PREDICT), 1) + frames.data(frames.message(bytes(9000)), 1)
    start = len(frames.headers(frames.header_block(PREDICT), 1)) + 9

    def byte_of(text: bytes, skipped: int = 0) -> Callable[[int, int], bytes]:
        return lambda _number, turn: text[skipped + turn : skipped + turn + 1]

    return [
        Group(rest_port, 700, Habit(lambda _number: head[:10], byte_of(head, 10))),
        Group(rest_port, 700, Habit(lambda _number: body, lambda _number, _turn: b" ")),
        Group(grpc_port, 600, Habit(lambda _number: frames.hello() + stream[:start], byte_of(stream, start))),
    ]


def flood(more: Callable[[int, int], bytes], *, opening: bytes | None = None, reads: bool = True) -> Habit:
    first = frames.hello() if opening is None else opening
    return Habit(lambda _number: first, more, FLOOD_INTERVAL, reads, 0 if reads else 4096)


def on_both(grpc_port: int, rest_port: int, *habits: Habit) -> list[Group]:
    """A few clients of each habit at both ports: the REST port speaks HTTP/2 as well."""
    return [Group(port, FLOOD_CLIENTS, habit) for port in (grpc_port, rest_port) for habit in habits]


def settings_flood(grpc_port: int, rest_port: int) -> list[Group]:
    """Settings that are to be acknowledged, with clients that take the acknowledgements and that do not."""
    changed = b"".join(frames.settings({frames.INITIAL_WINDOW_SIZE: 65535 + n}) for n in range(FLOOD_FRAMES))
    return on_both(
        grpc_port,
        rest_port,
        flood(lambda _number, _turn: changed),
        flood(lambda _number, _turn: changed, reads=False),
    )


def ping_flood(grpc_port: int, rest_port: int) -> list[Group]:
    """Pings that are to be answered, with clients that take the answers and that do not."""
    pings = frames.frame(frames.PING, b"8 bytes.") * FLOOD_FRAMES
    return on_both(
        grpc_port, rest_port, flood(lambda _number, _turn: pings), flood(lambda _number, _turn: pings, reads=False)
    )


def rapid_reset(grpc_port: int, rest_port: int) -> list[Group]:
    """Requests that are cancelled at once (CVE-2023-44487)."""
    blocks = {grpc_port: frames.header_block(PREDICT), rest_port: frames.header_block(HALF)}

    def resets(port: int) -> Callable[[int, int], bytes]:
        def more(_number: int, turn: int) -> bytes:
            streams = (2 * (turn * FLOOD_FRAMES // 2 + n) + 1 for n in range(FLOOD_FRAMES // 2))
            return b"".join(frames.headers(blocks[port], stream) + frames.reset(stream) for stream in streams)

        return more

    return [Group(port, FLOOD_CLIENTS, flood(resets(port))) for port in (grpc_port, rest_port)]


def continuation_flood(grpc_port: int, rest_port: int) -> list[Group]:
    """Headers that never end (CVE-2024-27983 and its kin): empty continuations, and full ones."""
    start = frames.hello() + frames.frame(frames.HEADERS, frames.header_block(PREDICT), stream=1)
    empty = frames.frame(frames.CONTINUATION, b"", stream=1) * FLOOD_FRAMES
    field = b"\x10\x04name\x7f\x80\x1f" + b"v" * (127 + 31 * 128)
    full = frames.frame(frames.CONTINUATION, field * 3, stream=1) * 10
    return on_both(
        grpc_port,
        rest_port,
        flood(lambda _number, _turn: empty, opening=start),
        flood(lambda _number, _turn: full, opening=start),
    )


def empty_data(grpc_port: int, rest_port: int) -> list[Group]:
    """Empty pieces of a body that never ends."""
    first = frames.hello() + frames.headers(frames.header_block(PREDICT), 1)
    pieces = frames.frame(frames.DATA, b"", stream=1) * FLOOD_FRAMES
    return on_both(grpc_port, rest_port, flood(lambda _number, _turn: pieces, opening=first))


def never_read(grpc_port: int, rest_port: int) -> list[Group]:
    """1,000 clients that ask for replies of a megabyte and never take them; some ask again and again."""
    rest = post(ECHO, echo_json(100_000))
    # A window of no bytes: the server may not send a reply, whatever the kernel would take.
    call = frames.hello({frames.INITIAL_WINDOW_SIZE: 0})
    call += frames.headers(frames.header_block(PREDICT), 1) + frames.data(frames.message(echo_message(250_000)), 1)
    small: dict[str, Any] = {"reads": False, "receive_buffer": 4096}
    return [
        Group(rest_port, 400, Habit(lambda _number: rest, **small)),
        Group(rest_port, 100, Habit(lambda _number: rest, lambda _number, _turn: rest, 5.0, **small)),
        Group(grpc_port, 500, Habit(lambda _number: call, **small)),
    ]


def endless_bodies(grpc_port: int, rest_port: int) -> list[Group]:
    """Bodies that never end: in chunks, of a length that is never reached, of messages sent in pieces or crumbs."""
    piece = b" " * 100_000
    chunked = post(HALF, b"", "Transfer-Encoding: chunked")
    long = post(HALF, b"", length=1_500_000_000)
    announced = frames.hello() + frames.headers(frames.header_block(PREDICT), 1)
    announced += frames.data(struct.pack(">BI", 0, 1_500_000_000), 1, end=False)
    data = frames.data(bytes(16_000), 1, end=False)
    crumbs = frames.data(b"x", 1, end=False) * 500
    return [
        Group(rest_port, 20, Habit(lambda _number: chunked, lambda _number, _turn: chunk(piece), 0.2)),
        Group(rest_port, 20, Habit(lambda _number: long, lambda _number, _turn: piece, 0.2)),
        Group(grpc_port, 20, Habit(lambda _number: announced, lambda _number, _turn: data, 0.1)),
        Group(grpc_port, 5, Habit(lambda _number: announced, lambda _number, _turn: crumbs, 0.1)),
    ]


def large_messages(_grpc_port: int, rest_port: int) -> list[Group]:
    """Requests of 30 MB in JSON, whose replies are taken; those over gRPC are in `large_calls.py`."""
    rest = post(ECHO, echo_json(3_300_000))
    return [Group(rest_port, 1, Habit(lambda _number: b"", lambda _number, _turn: rest, 2.0))]


KINDS: dict[str, Callable[[int, int], list[Group]]] = {
    kind.__name__: kind
    for kind in (
        idle,
        slow,
        settings_flood,
        ping_flood,
        rapid_reset,
        continuation_flood,
        empty_data,
        never_read,
        endless_bodies,
        large_messages,
    )
}
