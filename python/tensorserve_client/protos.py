# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Serving's messages, in a descriptor pool of our own.

A process may import `tensorflow` and `tensorflow_serving` as well, and nothing clashes. A message of ours and one of
theirs are different classes; they exchange bytes.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass


@cache
def _pool() -> DescriptorPool:
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(files(__package__).joinpath("descriptors.binpb").read_bytes()).file:
        pool.Add(file)
    return pool


@cache
def message(name: str) -> Any:
    """The class of a message: `PredictRequest` of TensorFlow Serving, or `tensorflow.Example` by its full name."""
    full_name = name if "." in name else f"tensorflow.serving.{name}"
    return GetMessageClass(_pool().FindMessageTypeByName(full_name))


@cache
def enum_names(full_name: str) -> dict[int, str]:
    """The names of an enum's values by number."""
    return {value.number: value.name for value in _pool().FindEnumTypeByName(full_name).values}
