# SPDX-License-Identifier: Apache-2.0
"""What both clients do, as flows; see `attempts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic

import numpy as np

from tensorserve_client import examples as tf_examples
from tensorserve_client import grpc_codec, values
from tensorserve_client.attempts import Deadline, Flow, Host, Hosts, Wait, send
from tensorserve_client.errors import Code, InputError, ServingError, serving_error
from tensorserve_client.options import CallOptions, PredictOptions, Retries, Settings
from tensorserve_client.results import Array, Classification, Metadata, Prediction, Signature, VersionStatus
from tensorserve_client.signatures import DEFAULT, KnownSignatures
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

Features = Mapping[str, Any]
_PRIORITY_HEADER = "x-tensorserve-priority"
_LONGEST_POLL_SECONDS = 1.0
_LONGEST_ASK_SECONDS = 5.0


class Calls(Generic[Host]):
    """The calls of a client as flows."""

    def __init__(self, hosts: Sequence[Host], settings: Settings, *, needs_signature: bool) -> None:
        self.hosts = Hosts(hosts)
        self._settings = settings
        self._needs_signature = needs_signature
        self._known = KnownSignatures()

    def predict(self, model: str, inputs: Mapping[str, Any], options: PredictOptions) -> Flow[Host, Prediction]:
        spec, deadline = _spec(model, options), self._deadline(options)
        if not isinstance(inputs, Mapping):
            raise InputError(f"inputs are a dict of values by alias, not a {type(inputs).__name__}")
        signature = None
        if self._needs_signature or not all(isinstance(value, np.ndarray) for value in inputs.values()):
            signature = yield from self._signature(spec, options, deadline)
        specs = signature.inputs if signature is not None else {}
        arrays = {alias: values.convert(value, alias, specs.get(alias)) for alias, value in inputs.items()}
        verb = Predict(spec, arrays, tuple(options.get("outputs", ())), signature)
        result: Prediction = yield from self._send(verb, options, deadline)
        return result

    def classify(
        self, model: str, examples: Sequence[Features], context: Features | None, options: CallOptions
    ) -> Flow[Host, Classification]:
        verb = Classify(_spec(model, options), *_examples(examples, context))
        result: Classification = yield from self._send(verb, options, self._deadline(options))
        return result

    def regress(
        self, model: str, examples: Sequence[Features], context: Features | None, options: CallOptions
    ) -> Flow[Host, Array]:
        verb = Regress(_spec(model, options), *_examples(examples, context))
        result: Array = yield from self._send(verb, options, self._deadline(options))
        return result

    def multi_inference(
        self,
        model: str,
        examples: Sequence[Features],
        tasks: Mapping[str, str],
        context: Features | None,
        options: CallOptions,
    ) -> Flow[Host, dict[str, Classification | Array]]:
        for signature, method in tasks.items():
            if method not in ("classify", "regress"):
                raise InputError(f"the method of signature {signature!r} is classify or regress, not {method!r}")
        listed, checked = _examples(examples, context)
        verb = MultiInference(_spec(model, options), listed, dict(tasks), checked)
        results = yield from self._send(verb, options, self._deadline(options))
        return dict(zip(tasks, results, strict=True))

    def status(self, model: str, options: CallOptions) -> Flow[Host, list[VersionStatus]]:
        verb = Status(_spec(model, options))
        result: list[VersionStatus] = yield from self._send(verb, options, self._deadline(options))
        return result

    def metadata(self, model: str, options: CallOptions) -> Flow[Host, Metadata]:
        return (yield from self._metadata(_spec(model, options), options, self._deadline(options)))

    def reload(self, models: Mapping[str, str] | str | bytes, options: CallOptions) -> Flow[Host, None]:
        verb = Reload(grpc_codec.model_config(models))
        yield from self._send(verb, options, self._deadline(options))

    def ready(self, model: str, options: CallOptions) -> Flow[Host, bool]:
        verb = Status(_spec(model, options))
        try:
            # Asked once: whoever wants to wait calls `wait_ready`.
            versions = yield from self._send(verb, options, self._deadline(options), Retries(attempts=1))
        except ServingError as error:
            if error.code in (Code.NOT_FOUND, Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED):
                return False
            raise
        return any(version.available for version in versions)

    def wait_ready(self, model: str, options: CallOptions) -> Flow[Host, None]:
        timeout = options.get("timeout", self._settings.timeout)
        deadline, pause = Deadline(timeout), 0.02
        while True:
            left = deadline.left()
            seconds = _LONGEST_ASK_SECONDS if left is None else min(max(left, 0.001), _LONGEST_ASK_SECONDS)
            asked: CallOptions = {**options, "timeout": seconds}
            if (yield from self.ready(model, asked)):
                return
            left = deadline.left()
            if left is not None and left <= pause:
                hint = "is this its name, and does the server listen here?"
                message = f"model {model!r} was not ready within {timeout} s; {hint}"
                raise serving_error(Code.DEADLINE_EXCEEDED, message, may_have_run=False)
            yield Wait(pause)
            pause = min(pause * 1.5, _LONGEST_POLL_SECONDS)

    def _deadline(self, options: CallOptions) -> Deadline:
        return Deadline(options.get("timeout", self._settings.timeout))

    def _signature(self, spec: Spec, options: CallOptions, deadline: Deadline) -> Flow[Host, Signature | None]:
        """What is known of the signature; None if the model has none of this name, which the server explains best."""
        metadata = self._known.get(spec)
        if metadata is None or (spec.signature or DEFAULT) not in metadata.signatures:
            try:
                metadata = yield from self._metadata(spec, options, deadline)
            except ServingError as error:
                if error.code in (Code.NOT_FOUND, Code.UNIMPLEMENTED, Code.PERMISSION_DENIED):
                    return None
                raise
        return metadata.signatures.get(spec.signature or DEFAULT)

    def _metadata(self, spec: Spec, options: CallOptions, deadline: Deadline) -> Flow[Host, Metadata]:
        metadata: Metadata = yield from self._send(GetMetadata(spec), options, deadline)
        self._known.put(spec, metadata)
        return metadata

    def _send(
        self, verb: Verb, options: CallOptions, deadline: Deadline, retries: Retries | None = None
    ) -> Flow[Host, Any]:
        retries = self._settings.retries if retries is None else retries
        if "repeat" in options:
            retries = Retries(retries.attempts, retries.initial_seconds, retries.max_seconds, options["repeat"])
        return (yield from send(verb, self._headers(options), self.hosts, retries, deadline))

    def _headers(self, options: CallOptions) -> Mapping[str, str]:
        settings = self._settings
        headers = dict(settings.headers)
        if settings.token is not None:
            token = settings.token if isinstance(settings.token, str) else settings.token()
            headers["authorization"] = f"Bearer {token}"
        if settings.trace_context is not None:
            headers.update(settings.trace_context())
        if "priority" in options:
            headers[_PRIORITY_HEADER] = options["priority"]
        if "headers" in options:
            headers.update(options["headers"])
        return headers


def _spec(model: str, options: CallOptions) -> Spec:
    version, label = options.get("version"), options.get("label")
    if version is not None and label:
        raise InputError(f"a call names a version ({version}) or a label ({label!r}), not both")
    return Spec(model, version, label or "", options.get("signature", ""))


def _examples(examples: Sequence[Features], context: Features | None) -> tuple[Any, Any]:
    return tf_examples.convert_all(examples), None if context is None else tf_examples.convert(context)
