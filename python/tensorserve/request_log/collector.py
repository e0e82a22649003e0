# SPDX-License-Identifier: Apache-2.0
"""What keeps the records of a request log, and how one is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from tensorserve.config.flags import ServerOptions
from tensorserve.errors import Code, ServingError
from tensorserve.types import LoggingConfig

ENTRY_POINT_GROUP = "tensorserve.log_collectors"

FILE_TYPES = ("", "tfrecord", "file")
"""The types that mean TFRecord files."""


class LogCollector(Protocol):
    """Keeps records. All methods are called on one background thread; what they raise is logged."""

    def collect(self, records: Sequence[bytes]) -> None:
        """Keeps serialized `tensorflow.serving.PredictionLog` messages. Meanwhile further ones wait, or are dropped."""

    def flush(self) -> None:
        """Called now and then while nothing comes."""

    def close(self) -> None:
        """Nothing comes any more."""


CollectorFactory = Callable[[LoggingConfig, ServerOptions], LogCollector]


def find_factory(collector_type: str) -> CollectorFactory:
    """What makes collectors of a type.

    Raises:
        ServingError: NOT_FOUND, with TensorFlow Serving's text, if there is none.
    """
    if collector_type in FILE_TYPES:
        from tensorserve.request_log.file_collector import FileCollector

        return FileCollector.of
    # Reading the metadata of every installed package takes long, and almost nobody needs it.
    from importlib.metadata import entry_points

    for entry_point in entry_points(group=ENTRY_POINT_GROUP, name=collector_type):
        factory: CollectorFactory = entry_point.load()
        return factory
    raise ServingError(Code.NOT_FOUND, f"Cannot find LogCollector::Factory for type: {collector_type}")
