# SPDX-License-Identifier: Apache-2.0
"""Sends recorded requests to a running server."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from tensorserve.errors import Code, ServingError
from tensorserve.warmup.records import describe, read_logs

_TIMEOUT_SECONDS = 300.0


def send(path: str, server: str, model: str, iterations: int) -> list[tuple[str, list[float]]]:
    """Sends the predict requests of a file over REST, in binary form; others are left out.

    Args:
        path: A TFRecord file of PredictionLogs.
        server: Such as `http://localhost:8501`.
        model: The model to ask; empty means the one that each record names.
        iterations: How often each request is sent.

    Returns:
        For each record its verb and signature, and the seconds until each reply.

    Raises:
        ServingError: The file cannot be read, the server cannot be reached, or it answers with an error.
    """
    sent = []
    for log in read_logs(path):
        record = describe(log)
        name = f"{record.kind or 'nothing'} {record.signature or 'serving_default'}"
        times: list[float] = []
        if record.kind == "predict":
            url = f"{server.rstrip('/')}/v1/models/{urllib.parse.quote(model or record.model, safe='')}:predict"
            body = _body(log.predict_log.request)
            times = [_post(url, body) for _ in range(iterations)]
        sent.append((name, times))
    return sent


def _body(request: Any) -> bytes:
    """The request without the model and the version that it was recorded with; the URL names those."""
    request.model_spec.ClearField("name")
    request.model_spec.ClearField("version_choice")
    return bytes(request.SerializeToString())


def _post(url: str, body: bytes) -> float:
    request = urllib.request.Request(url, body, {"Content-Type": "application/x-protobuf"})
    start = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as reply:
            reply.read()
    except urllib.error.HTTPError as error:
        raise ServingError(Code.UNKNOWN, f"{url}: {error.code} {_reason(error)}") from error
    except (OSError, ValueError) as error:
        raise ServingError(Code.UNAVAILABLE, f"{url}: {error}") from error
    return time.perf_counter() - start


def _reason(error: urllib.error.HTTPError) -> str:
    text = error.read().decode("utf-8", "replace")
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text
