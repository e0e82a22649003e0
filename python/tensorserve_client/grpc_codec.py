# SPDX-License-Identifier: Apache-2.0
"""Verbs as gRPC messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from tensorserve_client import signatures, tensors
from tensorserve_client.errors import serving_error
from tensorserve_client.examples import Example
from tensorserve_client.protos import enum_names, message
from tensorserve_client.results import Array, Classification, Metadata, Prediction, Scored, VersionStatus
from tensorserve_client.tensors import varint
from tensorserve_client.verbs import (
    Classify,
    GetMetadata,
    MultiInference,
    Predict,
    Regress,
    Reload,
    Spec,
    Status,
    Verb,
)

_PREDICTION = "/tensorflow.serving.PredictionService/"
_MODEL = "/tensorflow.serving.ModelService/"
METHODS: dict[type[Verb], str] = {
    Predict: _PREDICTION + "Predict",
    Classify: _PREDICTION + "Classify",
    Regress: _PREDICTION + "Regress",
    MultiInference: _PREDICTION + "MultiInference",
    GetMetadata: _PREDICTION + "GetModelMetadata",
    Status: _MODEL + "GetModelStatus",
    Reload: _MODEL + "HandleReloadConfigRequest",
}
_METHOD_NAMES = {"classify": "tensorflow/serving/classify", "regress": "tensorflow/serving/regress"}


def encode(verb: Verb) -> bytes:
    """The request message.

    Raises:
        InputError: An input has a type that no tensor can have.
    """
    if isinstance(verb, Predict):
        return encode_predict(verb)
    if isinstance(verb, MultiInference):
        return _multi_inference(verb)
    if isinstance(verb, Reload):
        request = message("ReloadConfigRequest")()
        request.config.ParseFromString(verb.config)
        return bytes(request.SerializeToString())
    spec = _spec_field(verb.spec)
    if isinstance(verb, Status):
        return spec
    if isinstance(verb, GetMetadata):
        return spec + b"\x12\x0dsignature_def"
    content = _input(verb.examples, verb.context).SerializeToString()
    return spec + b"\x12" + varint(len(content)) + bytes(content)


def encode_predict(verb: Predict) -> bytes:
    """A `PredictRequest`. Written by hand, so that the elements of tensors are copied once."""
    parts: list[Any] = [_spec_field(verb.spec)]
    for alias, array in verb.inputs.items():
        key = alias.encode()
        size, buffers = tensors.pieces(array, f"input {alias!r}")
        head = b"\x0a" + varint(len(key)) + key + b"\x12" + varint(size)
        parts += b"\x12" + varint(len(head) + size) + head, *buffers
    for name in verb.outputs:
        wanted = name.encode()
        parts.append(b"\x1a" + varint(len(wanted)) + wanted)
    return b"".join(parts)


@lru_cache(maxsize=256)
def _spec_field(spec: Spec) -> bytes:
    """Field 1 of every request: a `ModelSpec`."""
    content = _spec(spec).SerializeToString()
    return b"\x0a" + varint(len(content)) + bytes(content)


def _spec(spec: Spec) -> Any:
    made = message("ModelSpec")(name=spec.model, signature_name=spec.signature)
    if spec.version is not None:
        made.version.value = spec.version
    elif spec.label:
        made.version_label = spec.label
    return made


def _input(examples: Sequence[Example], context: Example | None) -> Any:
    made = message("Input")()
    listed = made.example_list if context is None else made.example_list_with_context
    listed.SetInParent()  # The kind is set even if there are no Examples.
    for example in examples:
        _fill(listed.examples.add(), example)
    if context is not None:
        _fill(listed.context, context)
    return made


def _fill(target: Any, example: Example) -> None:
    target.SetInParent()
    for name, values in example.items():
        feature = target.features.feature[name]
        if not values:
            continue
        kind = {int: "int64_list", float: "float_list", bytes: "bytes_list"}[type(values[0])]
        getattr(feature, kind).value.extend(values)


def example_bytes(example: Example) -> bytes:
    """A serialized `tf.Example`."""
    made = message("tensorflow.Example")()
    _fill(made, example)
    return bytes(made.SerializeToString())


def _multi_inference(verb: MultiInference) -> bytes:
    request = message("MultiInferenceRequest")()
    for signature, method in verb.tasks.items():
        task = request.tasks.add(method_name=_METHOD_NAMES[method])
        one = Spec(verb.spec.model, verb.spec.version, verb.spec.label, signature)
        task.model_spec.CopyFrom(_spec(one))
    request.input.CopyFrom(_input(verb.examples, verb.context))
    return bytes(request.SerializeToString())


def decode(verb: Verb, answer: bytes) -> Any:
    """What the verb gives.

    Raises:
        ServingError: The answer cannot be read.
    """
    if isinstance(verb, Predict):
        return decode_predict(answer)
    return _DECODERS[type(verb)](answer)


def decode_predict(answer: bytes) -> Prediction:
    """The outputs of a `PredictResponse`."""
    response = message("PredictResponse").FromString(answer)
    outputs = {alias: tensors.array_of(value, alias) for alias, value in response.outputs.items()}
    return Prediction(outputs, _version(response.model_spec))


def _version(spec: Any) -> int | None:
    return int(spec.version.value) if spec.HasField("version") else None


def _decode_classify(answer: bytes) -> Classification:
    return _classification(message("ClassificationResponse").FromString(answer).result)


def _classification(result: Any) -> Classification:
    return [[Scored(found.label, found.score) for found in one.classes] for one in result.classifications]


def _decode_regress(answer: bytes) -> Array:
    return _regression(message("RegressionResponse").FromString(answer).result)


def _regression(result: Any) -> Array:
    return np.array([one.value for one in result.regressions], np.float32)


def _decode_multi_inference(answer: bytes) -> list[Classification | Array]:
    results = message("MultiInferenceResponse").FromString(answer).results
    return [
        _classification(one.classification_result)
        if one.HasField("classification_result")
        else _regression(one.regression_result)
        for one in results
    ]


def _decode_status(answer: bytes) -> list[VersionStatus]:
    states = enum_names("tensorflow.serving.ModelVersionStatus.State")
    codes = enum_names("tensorflow.error.Code")
    found = message("GetModelStatusResponse").FromString(answer).model_version_status
    return [
        VersionStatus(
            one.version,
            states.get(one.state, str(one.state)),
            codes.get(one.status.error_code, str(one.status.error_code)),
            one.status.error_message,
        )
        for one in found
    ]


def _decode_metadata(answer: bytes) -> Metadata:
    response = message("GetModelMetadataResponse").FromString(answer)
    found = message("SignatureDefMap").FromString(response.metadata["signature_def"].value)
    defs: Mapping[str, Any] = found.signature_def
    spec = response.model_spec
    return Metadata(spec.name, _version(spec), {name: signatures.of_message(one) for name, one in defs.items()})


def _decode_reload(answer: bytes) -> None:
    status = message("ReloadConfigResponse").FromString(answer).status
    if status.error_code:
        raise serving_error(status.error_code, status.error_message)


_DECODERS: dict[type[Verb], Any] = {
    Classify: _decode_classify,
    Regress: _decode_regress,
    MultiInference: _decode_multi_inference,
    Status: _decode_status,
    GetMetadata: _decode_metadata,
    Reload: _decode_reload,
}


def model_config(models: Mapping[str, str] | str | bytes) -> bytes:
    """A serialized `ModelServerConfig`.

    Args:
        models: Base paths by name, the text of a `--model_config_file`, or a serialized message.

    Raises:
        ValueError: The text is no such configuration.
    """
    if isinstance(models, bytes):
        return models
    config = message("ModelServerConfig")()
    if isinstance(models, str):
        from google.protobuf import text_format

        try:
            text_format.Parse(models, config)
        except text_format.ParseError as error:
            raise ValueError(f"this is no text of a ModelServerConfig: {error}") from error
    else:
        config.model_config_list.SetInParent()
        for name, base_path in models.items():
            config.model_config_list.config.add(name=name, base_path=base_path, model_platform="tensorflow")
    return bytes(config.SerializeToString())
