# SPDX-License-Identifier: Apache-2.0
"""The other verbs and forms, each beside Predict of the same tensor bytes in the same run."""

import base64
import functools
import io
import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.load import Concurrency, Target
from benchmarks.scenarios import DT_FLOAT, EIGHT, GRPC_HEADERS, IMAGE, ONE, PREDICT, Scenario

SERVICE = "/tensorflow.serving.PredictionService/"
DT_STRING = 7
EXAMPLES = 32
STRINGS, STRING_BYTES = 1000, 1000
CLASSIFY, REGRESS = "tensorflow/serving/classify", "regress_x_to_y"


@dataclass(frozen=True)
class Exchange:
    """A request that is ready to be sent, and what is known of its reply.

    Attributes:
        name: Unique.
        protocol: `grpc` or `rest`.
        model: Name of the model.
        path: The gRPC method, or the path of the URL.
        make: Gives the message, without gRPC's framing; called when the scenario is measured.
        check: Whether the body of a reply is right.
        concurrency: How many requests are in flight.
        media_type: Of a REST body.
        beside: The scenario that gives the model the same bytes by Predict; empty for one that others refer to.
    """

    name: str
    protocol: str
    model: str
    path: str
    make: Callable[[], bytes]
    check: Callable[[bytes], bool]
    concurrency: Concurrency = EIGHT
    media_type: str = "application/json"
    beside: str = ""

    def target(self, grpc_port: int, rest_port: int, reply_bytes: int) -> Target:
        message = self.make()
        if self.protocol == "grpc":
            framed = struct.pack(">BI", 0, len(message)) + message
            return Target(f"http://127.0.0.1:{grpc_port}{self.path}", framed, GRPC_HEADERS, False, reply_bytes)
        headers = (f"content-type: {self.media_type}",)
        return Target(f"http://127.0.0.1:{rest_port}{self.path}", message, headers, True, reply_bytes)


@functools.cache
def numbers() -> list[float]:
    """The feature of each example: exact in 32 bits, and short as text."""
    generator = random.Random(3)
    return [generator.randrange(1, 4000) / 8 + 0.125 for _ in range(EXAMPLES)]


@functools.cache
def examples() -> list[Any]:
    from tensorserve import protos

    def example(x: float) -> Any:
        return protos.Example(features={"feature": {"x": {"float_list": {"value": [x]}}}})

    return [example(x) for x in numbers()]


def example_list() -> Any:
    return {"example_list": {"examples": examples()}}


def example_predict(signature: str = "") -> bytes:
    from tensorserve import protos

    request = protos.PredictRequest(model_spec={"name": "heads", "signature_name": signature})
    _put_strings(request.inputs["inputs"], [example.SerializeToString() for example in examples()])
    return bytes(request.SerializeToString())


def _put_strings(tensor: Any, values: list[bytes]) -> None:
    tensor.dtype = DT_STRING
    tensor.tensor_shape.dim.add(size=len(values))
    tensor.string_val.extend(values)


def example_request(message: str, signature: str = "") -> bytes:
    from tensorserve import protos

    spec = {"name": "heads", "signature_name": signature}
    return bytes(getattr(protos, message)(model_spec=spec, input=example_list()).SerializeToString())


def multi_inference_request() -> bytes:
    from tensorserve import protos

    task = {"model_spec": {"name": "heads"}, "method_name": CLASSIFY}
    return bytes(protos.MultiInferenceRequest(tasks=[task], input=example_list()).SerializeToString())


def examples_json(signature: str) -> bytes:
    return json.dumps({"signature_name": signature, "examples": [{"x": x} for x in numbers()]}).encode()


def serialized_json(signature: str) -> bytes:
    texts = [base64.b64encode(example.SerializeToString()).decode() for example in examples()]
    return json.dumps({"signature_name": signature, "instances": [{"b64": text} for text in texts]}).encode()


def parsed(message: str, read: Callable[[Any], list[float]], expected: Callable[[], list[float]]) -> Any:
    """A check of a reply in protobuf form."""

    def check(body: bytes) -> bool:
        from tensorserve import protos

        return read(getattr(protos, message).FromString(body)) == expected()

    return check


def json_is(read: Callable[[Any], list[float]], expected: Callable[[], list[float]]) -> Callable[[bytes], bool]:
    return lambda body: read(json.loads(body)) == expected()


def scores() -> list[float]:
    """Those of the classes `car` and `bike`, for all examples."""
    return [score for x in numbers() for score in (x, 2 * x)]


def regressions() -> list[float]:
    return [x / 2 + 2 for x in numbers()]


def class_scores(result: Any) -> list[float]:
    return [item.score for row in result.classifications for item in row.classes]


IMAGE_SCENARIO = Scenario("rest image, 1 in flight", "rest", "image_mean", IMAGE, ONE)


def image_npy() -> bytes:
    import numpy as np

    file = io.BytesIO()
    np.save(file, np.asarray(IMAGE_SCENARIO.values, np.float32).reshape(IMAGE))
    return file.getvalue()


def _is_mean(value: float) -> bool:
    values = IMAGE_SCENARIO.values
    return abs(value - sum(values) / len(values)) < 1e-4


def npy_mean(body: bytes) -> bool:
    return _is_mean(struct.unpack("<f", body[-4:])[0])


def protobuf_mean(body: bytes) -> bool:
    from tensorserve import protos

    return _is_mean(protos.PredictResponse.FromString(body).outputs["y"].float_val[0])


@functools.cache
def texts() -> list[bytes]:
    generator = random.Random(4)
    return [generator.randbytes(STRING_BYTES) for _ in range(STRINGS)]


def echo_strings() -> bytes:
    from tensorserve import protos

    request = protos.PredictRequest(model_spec={"name": "echo", "signature_name": "string"})
    _put_strings(request.inputs["x"], texts())
    return bytes(request.SerializeToString())


def echo_floats() -> bytes:
    from tensorserve import protos

    request = protos.PredictRequest(model_spec={"name": "echo", "signature_name": "float32"})
    tensor = request.inputs["x"]
    tensor.dtype = DT_FLOAT
    tensor.tensor_shape.dim.add(size=STRINGS * STRING_BYTES // 4)
    tensor.tensor_content = bytes(STRINGS * STRING_BYTES)
    return bytes(request.SerializeToString())


def echoed(field: str, expected: Callable[[], list[Any]]) -> Callable[[bytes], bool]:
    def check(body: bytes) -> bool:
        from tensorserve import protos

        return list(getattr(protos.PredictResponse.FromString(body).outputs["y"], field)) == expected()

    return check


HEADS = "/v1/models/heads"
MEAN = "/v1/models/image_mean:predict"
WITH_CLASSES = ("grpc predict, 32 examples, classes", "rest predict, 32 examples, scores")
WITH_OUTPUTS = ("grpc predict, 32 examples, outputs", "rest predict, 32 examples, outputs")
FLOATS = "grpc predict, 1 MB of floats, echoed"

VERBS: tuple[Exchange, ...] = (
    Exchange(
        WITH_CLASSES[0],
        "grpc",
        "heads",
        PREDICT,
        example_predict,
        parsed("PredictResponse", lambda reply: list(reply.outputs["scores"].float_val), scores),
    ),
    Exchange(
        "grpc classify, 32 examples",
        "grpc",
        "heads",
        SERVICE + "Classify",
        functools.partial(example_request, "ClassificationRequest"),
        parsed("ClassificationResponse", lambda reply: class_scores(reply.result), scores),
        beside=WITH_CLASSES[0],
    ),
    Exchange(
        "grpc multi-inference of one task, 32 examples",
        "grpc",
        "heads",
        SERVICE + "MultiInference",
        multi_inference_request,
        parsed("MultiInferenceResponse", lambda r: class_scores(r.results[0].classification_result), scores),
        beside=WITH_CLASSES[0],
    ),
    Exchange(
        WITH_OUTPUTS[0],
        "grpc",
        "heads",
        PREDICT,
        functools.partial(example_predict, REGRESS),
        parsed("PredictResponse", lambda reply: list(reply.outputs["outputs"].float_val), regressions),
    ),
    Exchange(
        "grpc regress, 32 examples",
        "grpc",
        "heads",
        SERVICE + "Regress",
        functools.partial(example_request, "RegressionRequest", REGRESS),
        parsed("RegressionResponse", lambda reply: [item.value for item in reply.result.regressions], regressions),
        beside=WITH_OUTPUTS[0],
    ),
    Exchange(
        WITH_CLASSES[1],
        "rest",
        "heads",
        f"{HEADS}:predict",
        functools.partial(serialized_json, "serving_default"),
        json_is(lambda reply: [s for row in reply["predictions"] for s in row["scores"]], scores),
    ),
    Exchange(
        "rest classify, 32 examples",
        "rest",
        "heads",
        f"{HEADS}:classify",
        functools.partial(examples_json, "serving_default"),
        json_is(lambda reply: [score for row in reply["results"] for _label, score in row], scores),
        beside=WITH_CLASSES[1],
    ),
    Exchange(
        WITH_OUTPUTS[1],
        "rest",
        "heads",
        f"{HEADS}:predict",
        functools.partial(serialized_json, REGRESS),
        json_is(lambda reply: [row[0] for row in reply["predictions"]], regressions),
    ),
    Exchange(
        "rest regress, 32 examples",
        "rest",
        "heads",
        f"{HEADS}:regress",
        functools.partial(examples_json, REGRESS),
        json_is(lambda reply: list(reply["results"]), regressions),
        beside=WITH_OUTPUTS[1],
    ),
    Exchange("rest image as npy", "rest", "image_mean", MEAN, image_npy, npy_mean, ONE, "application/x-npy"),
    Exchange(
        "rest image as protobuf",
        "rest",
        "image_mean",
        MEAN,
        IMAGE_SCENARIO.grpc_message,
        protobuf_mean,
        ONE,
        "application/x-protobuf",
    ),
    Exchange(
        FLOATS,
        "grpc",
        "echo",
        PREDICT,
        echo_floats,
        echoed("float_val", lambda: [0.0] * (STRINGS * STRING_BYTES // 4)),
        ONE,
    ),
    Exchange(
        "grpc predict, 1 MB of strings, echoed",
        "grpc",
        "echo",
        PREDICT,
        echo_strings,
        echoed("string_val", texts),
        ONE,
    ),
)
