# SPDX-License-Identifier: Apache-2.0
"""What the genuine TensorFlow Serving answered to generated requests, and how an answer of ours compares with it.

`original_answers.jsonl.xz` holds one exchange a line, recorded from TensorFlow Serving 2.20 on TensorFlow 2.21 with the
models of `tests.models`. gRPC messages are in base64; `code` 0 is OK.
"""

import base64
import http.client
import json
import lzma
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)

from tests.clients import DEADLINE_SECONDS

RECORDED = Path(__file__).with_suffix(".jsonl.xz")
MODELS = ("echo", "strings", "scalar", "multi_output", "sums", "matmul", "heads", "heads_tf2", "half_plus_two")

MESSAGES: dict[str, tuple[type[Message], type[Message]]] = {
    "Predict": (predict_pb2.PredictRequest, predict_pb2.PredictResponse),
    "Classify": (classification_pb2.ClassificationRequest, classification_pb2.ClassificationResponse),
    "Regress": (regression_pb2.RegressionRequest, regression_pb2.RegressionResponse),
    "MultiInference": (inference_pb2.MultiInferenceRequest, inference_pb2.MultiInferenceResponse),
    "GetModelMetadata": (
        get_model_metadata_pb2.GetModelMetadataRequest,
        get_model_metadata_pb2.GetModelMetadataResponse,
    ),
    "GetModelStatus": (get_model_status_pb2.GetModelStatusRequest, get_model_status_pb2.GetModelStatusResponse),
}

# Texts are cut here by the original's gRPC library.
LONGEST_TEXT = 1024
SHOWN = 400


@dataclass(frozen=True)
class Answer:
    """An answer, as far as it is compared.

    Attributes:
        code: gRPC's status code, or HTTP's.
        error: The text of an error, else None.
        value: What a successful answer says: an encoded message with its maps in order, or JSON with sorted keys.
    """

    code: int
    error: str | None
    value: Any = None

    def __str__(self) -> str:
        shown = repr(self.value) if self.error is None else repr(self.error)
        return f"{self.code} {shown if len(shown) <= SHOWN else shown[:SHOWN] + '...'}"


@dataclass(frozen=True)
class Exchange:
    """A recorded request, and its answer."""

    line: int
    record: dict[str, Any]

    @property
    def kind(self) -> str:
        """`grpc Predict`, ..., `rest`, `example`, `url`."""
        kind: str = self.record["kind"]
        return f"grpc {self.record['method']}" if kind == "grpc" else kind

    @property
    def message(self) -> bytes:
        return base64.b64decode(self.record["request"])

    @property
    def answer(self) -> Answer:
        """The original's answer."""
        record = self.record
        if record["kind"] != "grpc":
            return http_answer(record["status"], record["reply"])
        if record["code"] == 0:
            return Answer(0, None, message_value(record["method"], base64.b64decode(record["response"])))
        return Answer(record["code"], record["details"])

    def __str__(self) -> str:
        record = self.record
        if record["kind"] == "grpc":
            request = MESSAGES[record["method"]][0].FromString(self.message)
            shown = " ".join(str(request).split())
        else:
            shown = f"{record['path']} {record['body']}"
        return f"line {self.line}: {record['method']} {shown if len(shown) <= SHOWN else shown[:SHOWN] + '...'}"


def exchanges() -> Iterator[Exchange]:
    """All that was recorded."""
    with lzma.open(RECORDED, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            yield Exchange(number, json.loads(line))


class Asker:
    """Sends recorded requests to a server, byte by byte as they were."""

    def __init__(self, grpc_target: str, rest_port: int) -> None:
        self.channel = grpc.insecure_channel(grpc_target)
        self.rest_port = rest_port
        self.connection = http.client.HTTPConnection("127.0.0.1", rest_port, timeout=DEADLINE_SECONDS)

    def ask(self, exchange: Exchange) -> Answer:
        return self._grpc(exchange) if exchange.record["kind"] == "grpc" else self._http(exchange)

    def close(self) -> None:
        self.channel.close()
        self.connection.close()

    def _grpc(self, exchange: Exchange) -> Answer:
        method = exchange.record["method"]
        service = "ModelService" if method == "GetModelStatus" else "PredictionService"
        call = self.channel.unary_unary(f"/tensorflow.serving.{service}/{method}")
        try:
            reply = call(exchange.message, timeout=DEADLINE_SECONDS)
        except grpc.RpcError as error:
            return Answer(error.code().value[0], error.details() or "")
        return Answer(0, None, message_value(method, reply))

    def _http(self, exchange: Exchange) -> Answer:
        try:
            return self._request(exchange)
        except (ConnectionError, http.client.RemoteDisconnected):
            # A server may close a connection whose body it did not want.
            self.connection.close()
            return self._request(exchange)

    def _request(self, exchange: Exchange) -> Answer:
        record = exchange.record
        body = None if record["body"] is None else record["body"].encode()
        self.connection.request(record["method"], record["path"], body)
        reply = self.connection.getresponse()
        return http_answer(reply.status, reply.read().decode(errors="replace"))


def http_answer(status: int, reply: str) -> Answer:
    """An answer over HTTP; a text that is no JSON stays as it is."""
    try:
        value = json.loads(reply)
    except json.JSONDecodeError:
        return Answer(status, reply if status != 200 else None, reply)
    if status != 200:
        return Answer(status, value["error"])
    return Answer(status, None, json.dumps(value, sort_keys=True))


def message_value(method: str, encoded: bytes) -> Any:
    """An encoded answer with its maps in order, those inside of a packed message as well."""
    message: Any = MESSAGES[method][1].FromString(encoded)
    packed = {}
    if method == "GetModelMetadata":
        for name, entry in message.metadata.items():
            signatures = get_model_metadata_pb2.SignatureDefMap()
            assert entry.Unpack(signatures), entry.type_url
            packed[name] = signatures.SerializeToString(deterministic=True)
        message.metadata.clear()
    return message.SerializeToString(deterministic=True), packed


def same(original: Answer, ours: Answer) -> bool:
    """Whether our answer is the original's; our errors may go on behind its text."""
    if original.code != ours.code or (original.error is None) != (ours.error is None):
        return False
    if original.error is None or ours.error is None:
        return bool(original.value == ours.value)
    return begins_with(comparable(ours.error), comparable(original.error))


def comparable(text: str) -> str:
    """An error's text without what differs from one process to the next."""
    text = re.sub(r"goo\.gle/debug\w+\s*", "", text)
    return re.sub(r"(__inference_\w*?_)\d+", r"\1N", text)


def begins_with(ours: str, original: str) -> bool:
    """Whether our text begins with the original's, which is cut off when long.

    Where a quoted JSON value holds a NaN or an Infinity, the original leaves out the rest of that value.
    """
    if len(original.encode()) >= LONGEST_TEXT:
        original = original[: LONGEST_TEXT // 2]
    if ours.startswith(original):
        return True
    shared = next(at for at, char in enumerate(original) if ours[at : at + 1] != char)
    rest = ours[shared:]
    return re.match(r"NaN|-?Infinity", rest) is not None and original[shared:] in rest
