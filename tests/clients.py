# SPDX-License-Identifier: Apache-2.0
"""The official gRPC stubs and `requests`, with the few lines of request building that every test repeats.

Importing this module imports TensorFlow: `tensorflow-serving-api` does.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
import numpy as np
import requests
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

DEADLINE_SECONDS = 10.0
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def model_spec(name: str = "", *, version: int | None = None, label: str = "", signature: str = "") -> Any:
    """A `ModelSpec`; `version=0` sets the wrapper with the value 0."""
    spec = model_pb2.ModelSpec(name=name, signature_name=signature)
    if version is not None:
        spec.version.value = version
    if label:
        spec.version_label = label
    return spec


def tensor(values: Any, dtype: Any = np.float32) -> Any:
    """A `TensorProto` made by TensorFlow; a `TensorProto` is given back as it is."""
    if isinstance(values, type(tf.make_tensor_proto(0))):
        return values
    return tf.make_tensor_proto(np.asarray(values) if dtype is None else np.asarray(values, dtype=dtype))


def predict_request(
    model: str, inputs: Mapping[str, Any], *, output_filter: Sequence[str] = (), **spec: Any
) -> predict_pb2.PredictRequest:
    """A `PredictRequest`; inputs are float arrays or ready TensorProtos, `spec` is passed on to `model_spec`."""
    request = predict_pb2.PredictRequest(model_spec=model_spec(model, **spec), output_filter=output_filter)
    for alias, values in inputs.items():
        request.inputs[alias].CopyFrom(tensor(values))
    return request


class GrpcClient:
    """The two services of one server."""

    def __init__(
        self, target: str, options: Sequence[tuple[str, Any]] = (), credentials: grpc.ChannelCredentials | None = None
    ) -> None:
        options = [*UNLIMITED, *options]
        if credentials is None:
            self.channel = grpc.insecure_channel(target, options=options)
        else:
            self.channel = grpc.secure_channel(target, credentials, options=options)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, model: str, inputs: Mapping[str, Any], **options: Any) -> Any:
        return self.send(predict_request(model, inputs, **options))

    def send(self, request: Any, timeout: float | None = DEADLINE_SECONDS) -> Any:
        return self.prediction.Predict(request, timeout)

    def metadata(self, model: str, fields: Sequence[str] = ("signature_def",), **spec: Any) -> Any:
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=model_spec(model, **spec), metadata_field=fields
        )
        return self.prediction.GetModelMetadata(request, DEADLINE_SECONDS)

    def status(self, model: str, **spec: Any) -> Any:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_spec(model, **spec))
        return self.model.GetModelStatus(request, DEADLINE_SECONDS)

    def states(self, model: str) -> dict[int, str]:
        """The state of every known version by number, such as `{2: "AVAILABLE", 1: "END"}`."""
        found = self.status(model).model_version_status
        return {entry.version: type(entry).State.Name(entry.state) for entry in found}

    def close(self) -> None:
        self.channel.close()


class RestClient:
    """The REST API of one server over one kept-alive connection."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False

    def get(self, path: str) -> requests.Response:
        return self.session.get(self.url + path, timeout=DEADLINE_SECONDS)

    def post(self, path: str, body: Any, **options: Any) -> requests.Response:
        """Posts text or bytes as they are, anything else as JSON."""
        if isinstance(body, str | bytes):
            return self.session.post(self.url + path, data=body, timeout=30, **options)
        return self.session.post(self.url + path, json=body, timeout=30, **options)

    def predict(self, model: str, body: Any, version: int | None = None) -> requests.Response:
        middle = "" if version is None else f"/versions/{version}"
        return self.post(f"/v1/models/{model}{middle}:predict", body)

    def close(self) -> None:
        self.session.close()


def rpc_error(call: Callable[[], Any]) -> tuple[str, str]:
    """The canonical code name and the message that a call fails with.

    Raises:
        AssertionError: The call succeeded.
    """
    try:
        reply = call()
    except grpc.RpcError as error:
        return error.code().name, error.details() or ""
    raise AssertionError(f"the call succeeded: {reply}")


def without_explanation(message: str) -> str:
    """The original's text of an error, without what we say behind it of the signature or of the others there are."""
    return re.sub(r" \((signature \S+ takes|the model has): .*\)$", "", message, flags=re.DOTALL)


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Polls until the condition holds.

    Raises:
        AssertionError: It did not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{condition} did not hold within {seconds} s"
        time.sleep(0.02)
