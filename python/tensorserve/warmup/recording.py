# SPDX-License-Identifier: Apache-2.0
"""Makes warm-up files: from request logs, or from requests in JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tensorserve import protos
from tensorserve.errors import Code, ServingError
from tensorserve.warmup.model_warmup import MAX_RECORDS
from tensorserve.warmup.records import describe, read_logs

if TYPE_CHECKING:
    from tensorserve._core import Servable

_REPLAYABLE = frozenset({"predict", "classify", "regress", "multi_inference", "session_run"})


@dataclass(frozen=True, slots=True)
class Choice:
    """Which records become warm-up requests.

    Attributes:
        max_records: The most records to write.
        model: Only those of this model; empty means any, as long as there is one model only.
        distinct: Only the first of each verb, signature and shape of the inputs.
    """

    max_records: int = 100
    model: str = ""
    distinct: bool = False


def from_request_logs(paths: Sequence[str], choice: Choice) -> list[bytes]:
    """Takes requests out of request logs; responses are left behind.

    Raises:
        ServingError: A file cannot be read, or the logs hold several models and none was chosen.
    """
    logs = (log for path in paths for log in read_logs(path))
    return list(_chosen(logs, choice))


def _chosen(logs: Iterable[Any], choice: Choice) -> Iterator[bytes]:
    model, seen, taken = choice.model, set(), 0
    for log in logs:
        record = describe(log)
        if record.kind not in _REPLAYABLE or (choice.model and record.model != choice.model):
            continue
        model = model or record.model
        if record.model != model:
            message = f"The logs hold requests to several models, such as {model} and {record.model}; choose one."
            raise ServingError(Code.INVALID_ARGUMENT, message)
        form = (record.kind, record.signature, record.inputs)
        if choice.distinct and form in seen:
            continue
        seen.add(form)
        yield _request_only(log)
        taken += 1
        if taken == choice.max_records:
            return


def _request_only(log: Any) -> bytes:
    member = log.WhichOneof("log_type")
    bare = protos.message("tensorflow.serving.PredictionLog")()
    getattr(bare, member).request.CopyFrom(getattr(log, member).request)
    return bytes(bare.SerializeToString())


def from_json(path: str, servable: Servable, choice: Choice) -> list[bytes]:
    """Makes records of requests such as the REST API takes: a JSON list of bodies, one body, or one on each line.

    They go to the model of `choice`.

    A body with `examples` goes to classify or regress, whichever its signature is for; others go to predict. The
    servable says which types the values of a request have.

    Raises:
        ServingError: The file is no JSON, or a body is no request to this model; it says which one.
    """
    parse = protos.message("tensorflow.serving.PredictionLog").FromString
    logs = []
    for number, body in enumerate(_bodies(path)):
        try:
            logs.append(parse(_record(body, servable, choice.model)))
        except ServingError as error:
            raise ServingError(error.code, f"Request {number} of {path}: {error.message}") from error
    return list(_chosen(logs, choice))


def _bodies(path: str) -> list[Any]:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ServingError.wrap(error) from error
    try:
        whole = json.loads(text)
    except ValueError as error:
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise ServingError(Code.INVALID_ARGUMENT, f"{path} is no JSON: {error}") from error
    return whole if isinstance(whole, list) else [whole]


def _record(body: Any, servable: Servable, model: str) -> bytes:
    from tensorserve import _core

    verb = "predict"
    if isinstance(body, dict) and "examples" in body:
        name = body.get("signature_name") or "serving_default"
        method = servable.method_name(name) if isinstance(name, str) else None
        verb = "regress" if method == "tensorflow/serving/regress" else "classify"
    try:
        return servable.prediction_log(verb, model, json.dumps(body).encode())
    except _core.ServingError as error:
        raise ServingError.wrap(error) from error


def write_warmup_file(path: str, records: Sequence[bytes]) -> None:
    """Writes a warm-up file; it appears under its name only when it is complete.

    Raises:
        ServingError: There is no record, there are more than a server replays, or the file cannot be written.
    """
    from tensorserve import _core

    if not records:
        raise ServingError(Code.INVALID_ARGUMENT, "There is no request to write.")
    if len(records) > MAX_RECORDS:
        message = f"{len(records)} requests are more than a server replays, which is {MAX_RECORDS}."
        raise ServingError(Code.INVALID_ARGUMENT, message)
    partial = f"{path}.{os.getpid()}.partial"
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(partial, "wb") as file:
            for record in records:
                file.write(_core.tfrecords([record]))
        os.replace(partial, path)
    except OSError as error:
        raise ServingError.wrap(error) from error
