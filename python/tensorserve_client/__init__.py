# SPDX-License-Identifier: Apache-2.0
"""A client of TensorFlow Serving's gRPC and REST APIs: NumPy in, NumPy out.

Works with any server of these APIs, tensorserve and the original among them. Needs NumPy, protobuf and, for `grpc://`,
grpcio; TensorFlow is never imported. `client` is the file to read first; `calls` and `attempts` decide, `grpc_codec`
and `rest_codec` write messages, `grpc_transport` and `rest_transport` send them. Imports nothing of `tensorserve`.

    from tensorserve_client import Client

    with Client("grpc://localhost:8500") as client:
        client.predict("half_plus_two", {"x": [1.0, 2.0]})["y"]
"""

from typing import TYPE_CHECKING, Any

from tensorserve_client.client import Client
from tensorserve_client.errors import (
    AbortedError,
    AddressError,
    AlreadyExistsError,
    ClientError,
    Code,
    DataLossError,
    DeadlineExceededError,
    FailedPreconditionError,
    InputError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    OutOfRangeError,
    PermissionDeniedError,
    RequestCancelledError,
    ResourceExhaustedError,
    ServingError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
    UnknownError,
)
from tensorserve_client.examples import serialize_example
from tensorserve_client.options import CallOptions, ClientSettings, PredictOptions, Retries, Tls
from tensorserve_client.results import Metadata, Prediction, Scored, Signature, TensorSpec, VersionStatus
from tensorserve_client.values import pad

if TYPE_CHECKING:
    from tensorserve_client.aio import AsyncClient

__all__ = [
    "AbortedError",
    "AddressError",
    "AlreadyExistsError",
    "AsyncClient",
    "CallOptions",
    "Client",
    "ClientError",
    "ClientSettings",
    "Code",
    "DataLossError",
    "DeadlineExceededError",
    "FailedPreconditionError",
    "InputError",
    "InternalError",
    "InvalidArgumentError",
    "Metadata",
    "NotFoundError",
    "OutOfRangeError",
    "PermissionDeniedError",
    "PredictOptions",
    "Prediction",
    "RequestCancelledError",
    "ResourceExhaustedError",
    "Retries",
    "Scored",
    "ServingError",
    "Signature",
    "TensorSpec",
    "Tls",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "UnknownError",
    "VersionStatus",
    "pad",
    "serialize_example",
]


def __getattr__(name: str) -> Any:
    if name == "AsyncClient":  # asyncio takes a while to import.
        from tensorserve_client.aio import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
