# SPDX-License-Identifier: Apache-2.0
"""Recorded requests, changed at random: each is answered in time, with a code that blames it, and harms nobody.

`FUZZ_REQUESTS=100000 FUZZ_SEED=7 pytest tests/e2e/test_hostile_mutations.py` looks longer, and elsewhere.
"""

import contextlib
import os
import random
import re
import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from benchmarks.process import Memory
from tensorflow_serving.apis import predict_pb2

from tests.clients import GrpcClient
from tests.compat.original_answers import MODELS, Exchange, exchanges
from tests.conftest import ServeModels
from tests.server_process import ServerProcess

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "1500"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
DEADLINE_SECONDS = 10.0
SLOW_SECONDS = 3.0
MOMENT_SECONDS = 0.03
# A tensor may be filled up to 64 MiB, and is held twice while it is answered.
MEMORY_MB = 400.0
# What a request can be blamed for; UNKNOWN, INTERNAL, UNAVAILABLE and DEADLINE_EXCEEDED would blame the server.
BLAMES_REQUEST = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.PERMISSION_DENIED,
}
# gRPC's libraries answer INTERNAL to a message that they cannot decode.
UNREADABLE = "the request is not a tensorflow.serving."


@dataclass(frozen=True)
class Fuzzed:
    """A server of the models that were recorded, and the recorded requests."""

    server: ServerProcess
    recorded: list[Exchange]
    memory_before: float

    def assert_unharmed(self) -> None:
        """It still runs, answers others, and holds no more than one of the requests may take."""
        assert self.server.is_running, self.server.log[-5000:]
        client = GrpcClient(self.server.grpc_target)
        assert list(client.predict("half_plus_two", {"x": [2.0]}).outputs["y"].float_val)
        client.close()
        grown = Memory.of(self.server.pid).rss_anon - self.memory_before
        assert grown < MEMORY_MB, f"{grown:.0f} MB more than before"


@pytest.fixture(scope="module")
def fuzzed(serve_models: ServeModels, models: Path) -> Fuzzed:
    server = serve_models({name: models / name for name in MODELS})
    return Fuzzed(server, list(exchanges()), Memory.of(server.pid).rss_anon)


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


NUMBERS = (0, 1, 127, 128, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1)


def mutated(data: bytes, generator: random.Random, others: list[bytes]) -> bytes:
    """The bytes with one to four changes: bits, pieces left out, doubled or taken from another, huge numbers."""
    found = bytearray(data)
    for _ in range(generator.randint(1, 4)):
        at, size = generator.randrange(len(found) + 1), generator.choice((1, 1, 2, 4, 8, 32))
        other = generator.choice(others)
        start = generator.randrange(len(other) + 1)
        change: Callable[[], bytes] = generator.choice(
            (
                lambda at=at, size=size: bytes(found[at : at + size] * 2),
                lambda: b"",
                lambda at=at: bytes(byte ^ 1 << generator.randrange(8) for byte in found[at : at + 1]),
                lambda size=size: generator.randbytes(size),
                lambda: varint(generator.choice(NUMBERS)),
                lambda other=other, start=start, size=size: other[start : start + size],
            )
        )
        found[at : at + size] = change()
    return bytes(found)


DIMENSIONS = (-(2**63), -2, -1, 0, 1, 2, 3, 7, 255, 1000, 2**20, 2**31, 2**62, 2**63 - 1)
ODD_VALUES = {
    "float_val": [0.5, float("nan")],
    "double_val": [0.5, float("inf")],
    "int_val": [0, -1, 2**31 - 1],
    "int64_val": [0, -(2**63)],
    "uint32_val": [2**32 - 1],
    "uint64_val": [2**64 - 1],
    "bool_val": [True],
    "half_val": [0, 2**16, -1],
    "scomplex_val": [0.5],
    "dcomplex_val": [0.5],
    "string_val": [b"", b"a" * 3000, b"\xff"],
}


def odd_request(message: bytes, generator: random.Random) -> bytes:
    """A PredictRequest with one of its tensors, its filter or its signature changed."""
    request = predict_pb2.PredictRequest.FromString(message)
    change = generator.choice(("filter", "signature", "input", "tensor", "tensor", "tensor", "tensor"))
    if change == "filter":
        request.output_filter.extend(generator.choices(["y", "x", "", "nope", "sum"], k=generator.choice((1, 2, 3000))))
    elif change == "signature":
        request.model_spec.signature_name = generator.choice(["serving_default", "", "\x00", "x" * 5000])
    else:
        alias = generator.choice([*request.inputs, "x"]) if change == "tensor" else generator.choice(["", "b", "zz\n"])
        change_tensor(request.inputs[alias], generator)
    return bytes(request.SerializeToString())


def change_tensor(tensor: Any, generator: random.Random) -> None:
    for change in generator.sample(("dtype", "shape", "content", "values"), generator.randint(1, 3)):
        if change == "dtype":
            tensor.dtype = generator.choice((*range(31), 101, 120, 200))
        elif change == "shape":
            del tensor.tensor_shape.dim[:]
            for size in generator.choices(DIMENSIONS, k=generator.choice((0, 1, 1, 2, 3, 8, 300))):
                tensor.tensor_shape.dim.add(size=size)
            tensor.tensor_shape.unknown_rank = generator.random() < 0.1
        elif change == "content":
            tensor.tensor_content = generator.randbytes(generator.choice((0, 1, 4, 7, 8, 64, 1000)))
        else:
            name = generator.choice(list(ODD_VALUES))
            getattr(tensor, name).extend(generator.choices(ODD_VALUES[name], k=generator.choice((1, 2, 500))))


def test_messages(fuzzed: Fuzzed) -> None:
    generator = random.Random(SEED)
    recorded = [exchange for exchange in fuzzed.recorded if exchange.kind.startswith("grpc")]
    others = [exchange.message for exchange in recorded]
    codes: Counter[grpc.StatusCode] = Counter()
    with grpc.insecure_channel(fuzzed.server.grpc_target) as channel:
        for _ in range(REQUESTS):
            exchange = generator.choice(recorded)
            method = exchange.record["method"]
            service = "ModelService" if method == "GetModelStatus" else "PredictionService"
            if method == "Predict" and generator.random() < 0.8:
                message = odd_request(exchange.message, generator)
            else:
                message = mutated(exchange.message, generator, others)
            begin, text = time.monotonic(), ""
            try:
                channel.unary_unary(f"/tensorflow.serving.{service}/{method}")(message, timeout=DEADLINE_SECONDS)
                code = grpc.StatusCode.OK
            except grpc.RpcError as error:
                code, text = error.code(), error.details()
            codes[code] += 1
            blamed = code in BLAMES_REQUEST or text.startswith(UNREADABLE)
            assert code is grpc.StatusCode.OK or blamed, f"{method} {message!r}: {code} {text}"
            assert time.monotonic() - begin < SLOW_SECONDS, f"{method} {message!r} took too long"
    assert codes[grpc.StatusCode.INVALID_ARGUMENT] > REQUESTS / 10
    assert codes[grpc.StatusCode.OK] > REQUESTS / 100
    fuzzed.assert_unharmed()


TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[\[\]{},:]|\w+')
VALUES = (
    "0",
    "-0",
    "1e308",
    "1e400",
    "-1e-400",
    "9223372036854775808",
    "-9223372036854775809",
    "0." + "3" * 400,
    "1" * 400,
    "NaN",
    "-Infinity",
    "null",
    "true",
    '""',
    '"\\ud800"',
    '"\\u0000"',
    '"' + "x" * 5000 + '"',
    '{"b64": "===="}',
    "[]",
    "{}",
    "[" * 300,
    "]" * 3,
    "{" * 20,
    '{"b64"',
    "\x00",
    "\ufeff",
)


def mutated_json(body: str, generator: random.Random) -> bytes:
    """The text with one to three of its tokens changed, left out or doubled."""
    tokens = TOKEN.findall(body) or [""]
    for _ in range(generator.randint(1, 3)):
        at = generator.randrange(len(tokens))
        tokens[at] = generator.choice((generator.choice(VALUES), generator.choice(tokens), "", tokens[at] * 2))
    return " ".join(tokens).encode(errors="surrogatepass")


def http_answer(port: int, request: bytes, patience: float = DEADLINE_SECONDS) -> tuple[int, float]:
    """The status of the answer, or 0 if the connection was closed without one, and the seconds it took.

    A server that still waits for more after `patience` seconds is told that nothing comes.
    """
    begin, received = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        if not select.select([connection], [], [], patience)[0]:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while (piece := connection.recv(1 << 16)) and (received := received + piece).count(b"\r\n") < 1:
                pass
    status = re.match(rb"HTTP/1\.[01] (\d{3}) ", received)
    return int(status[1]) if status else 0, time.monotonic() - begin


def test_json_bodies(fuzzed: Fuzzed) -> None:
    generator = random.Random(SEED)
    recorded = [exchange.record for exchange in fuzzed.recorded if exchange.kind in ("rest", "example")]
    found: Counter[int] = Counter()
    for _ in range(REQUESTS):
        record = generator.choice(recorded)
        body = mutated_json(record["body"], generator)
        head = f"POST {record['path']} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        status, seconds = http_answer(fuzzed.server.rest_port, head.encode() + body)
        found[status] += 1
        assert status in (200, 400, 404, 501), f"{status}: {head}{body!r}"
        assert seconds < SLOW_SECONDS, f"{seconds:.1f} s: {head}{body!r}"
    assert found[400] > REQUESTS / 4
    assert found[200] > REQUESTS / 300
    fuzzed.assert_unharmed()


HEADERS = (
    "Host: a",
    "Host: a\r\nHost: b",
    "Host:",
    "Content-Length: 1",
    "Content-Length: 99999999999999999999",
    "Content-Length: -1",
    "Content-Length: 5\r\nContent-Length: 6",
    "Content-Length: 3\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: identity",
    "Expect: 100-continue",
    "Expect: something",
    "Content-Encoding: gzip",
    "Content-Encoding: zstd",
    "Content-Encoding: br",
    "Content-Type: application/x-npy",
    "Content-Type: application/x-protobuf",
    "Content-Type: \x01",
    "Accept: application/x-npz",
    "Accept-Encoding: zstd;q=1.5, *;q=0",
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    "Origin: null",
    "X-Tensorserve-Priority: highest",
    "X: " + "y" * 70_000,
    " folded: line",
    "no colon",
    ": empty",
    "Host: \xff",
)
BODIES = (
    b"",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"FFFFFFFFFFFFFFFFF\r\n",
    b'{"instances": [1.0]}',
    b"\x1f\x8b\x08\x00",
    b"\x93NUMPY",
)
METHODS = ("GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE", "CONNECT", "PRI", "get", "")
VERSIONS = ("HTTP/1.1", "HTTP/1.0", "HTTP/1.9", "HTTP/2.0", "http/1.1", "HTTP/1.1 x", "")


def test_heads(fuzzed: Fuzzed) -> None:
    """Heads put together from odd parts. The server may close the connection, but finds no fault with itself."""
    generator = random.Random(SEED)
    paths = [exchange.record["path"] for exchange in fuzzed.recorded if exchange.kind == "url"]
    found: Counter[int] = Counter()
    for _ in range(REQUESTS):
        line = " ".join((generator.choice(METHODS), generator.choice(paths), generator.choice(VERSIONS)))
        fields = generator.sample(HEADERS, generator.randint(0, 4))
        request = "\r\n".join((line, *fields, "", "")).encode("latin-1") + generator.choice(BODIES)
        status, seconds = http_answer(fuzzed.server.rest_port, request, MOMENT_SECONDS)
        found[status] += 1
        assert status < 500 or status == 501, f"{status}: {request[:2000]!r}"
        assert seconds < SLOW_SECONDS, f"{seconds:.1f} s: {request[:2000]!r}"
    assert found[400] > REQUESTS / 4
    fuzzed.assert_unharmed()
