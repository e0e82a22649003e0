# SPDX-License-Identifier: Apache-2.0
"""Writes `descriptors.binpb` of the package, the message definitions that the client needs.

They are those of the data plane (`proto/` of this repository), so that the two cannot differ; a test compares them.

    python packages/tensorserve-client/write_descriptors.py
"""

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from tensorserve import _core

PATH = Path(__file__).parent / "tensorserve_client" / "descriptors.binpb"
ROOTS = [
    "tensorflow/core/example/example.proto",
    "tensorflow_serving/apis/prediction_service.proto",
    "tensorflow_serving/apis/model_service.proto",
]


def definitions() -> bytes:
    """A serialized `FileDescriptorSet` of the roots and all that they import, a file after those that it imports."""
    files = {file.name: file for file in FileDescriptorSet.FromString(_core.descriptor_set()).file}
    wanted = set(_imported(ROOTS, files))
    kept = FileDescriptorSet(file=[file for name, file in files.items() if name in wanted])
    return kept.SerializeToString(deterministic=True)


def _imported(names: list[str], files: dict[str, FileDescriptorProto]) -> Iterator[str]:
    for name in names:
        yield name
        yield from _imported(list(files[name].dependency), files)


if __name__ == "__main__":
    PATH.write_bytes(definitions())
