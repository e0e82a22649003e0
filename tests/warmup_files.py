# SPDX-License-Identifier: Apache-2.0
"""Warm-up files and request logs with the official messages, written and read by TensorFlow."""

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

PredictionLog = prediction_log_pb2.PredictionLog


def log_of(request: Any, member: str) -> bytes:
    """A serialized PredictionLog whose `member`, such as `predict_log`, has this request."""
    log = PredictionLog()
    getattr(log, member).request.CopyFrom(request)
    return bytes(log.SerializeToString())


def write_records(path: Path, records: Iterable[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)


def warmup_file(version: Path) -> Path:
    return version / "assets.extra" / "tf_serving_warmup_requests"


def with_warmup(model: Path, base_path: Path, records: Iterable[bytes] | bytes, version: int = 1) -> Path:
    """Copies a version into a base path, with a warm-up file of these records or these bytes, and publishes it."""
    copy = base_path / f"copying-{version}"
    shutil.copytree(model, copy)
    if isinstance(records, bytes):
        warmup_file(copy).parent.mkdir(exist_ok=True)
        warmup_file(copy).write_bytes(records)
    else:
        write_records(warmup_file(copy), records)
    target = base_path / str(version)
    copy.rename(target)
    return target


def read_logs(folder: Path) -> list[Any]:
    """The PredictionLogs of all request logs in a folder, in the order in which they were written."""
    return [log for path in sorted(folder.glob("*.tfrecord")) for log in _logs(path)]


def read_live_logs(folder: Path) -> list[Any]:
    """The same while a server writes there: without a record that is not complete yet, or a file that just went."""
    found = []
    for path in sorted(folder.glob("*.tfrecord")):
        with contextlib.suppress(tf.errors.DataLossError, tf.errors.NotFoundError):
            found.extend(_logs(path))
    return found


def _logs(path: Path) -> Iterator[Any]:
    for record in tf.compat.v1.io.tf_record_iterator(str(path)):
        yield PredictionLog.FromString(record)
