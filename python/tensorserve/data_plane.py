# SPDX-License-Identifier: Apache-2.0
"""What the control plane needs of the data plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tensorserve.config.data_plane_options import DataPlaneOptions
from tensorserve.lifecycle.loader import ServableTable
from tensorserve.log.data_plane import follow_data_plane
from tensorserve.services.control_plane import ControlPlane

if TYPE_CHECKING:
    from tensorserve._core import (
        RequestLog,
        Servable,  # noqa: F401  # used in a quoted type
    )


class DataPlane(ServableTable["Servable"], Protocol):
    """The table of servables and the ports that answer from it; `_core.DataPlane` is one."""

    def set_version_state(self, model: str, version: int, state: int, code: int = 0, message: str = "", /) -> None:
        """What GetModelStatus reports of a version."""

    def set_labels(self, model: str, labels: dict[str, int], /) -> None:
        """Replaces all version labels of a model."""

    def withdraw(self, model: str, /) -> None:
        """A model is not configured any more; health does not depend on it."""

    def set_configured(self, models: set[str], required: set[str], /) -> None:
        """The models that should answer: the complete list, and those that must before the server is ready."""

    def set_model_weights(self, weights: dict[str, float], /) -> None:
        """The models' shares of execution time under load from now on, 1 for those that are not named."""

    def set_load_bytes(self, model: str, version: int, size: int, /) -> None:
        """How large the files of a version are that loads, for probes."""

    def started(self) -> None:
        """The first attempts to load the models are over."""

    def leave(self) -> None:
        """From now on probes are told to send no more requests."""

    def batching_report(self, model: str, /) -> str:
        """How a model's requests are batched and why, as JSON. Raises the data plane's error: no version answers."""

    def set_control_plane(self, control: ControlPlane, /) -> None:
        """Who answers config reloads and admin requests until the shutdown."""

    @property
    def request_log(self) -> RequestLog:
        """Where answered requests wait that shall be logged."""

    def secure_grpc(self, key: str, certificates: str, client_authorities: str | None, /) -> None:
        """Puts new gRPC connections within TLS, or replaces what those use. Raises the data plane's error."""

    def secure_rest(self, key: str, certificates: str, client_authorities: str | None, /) -> None:
        """The same for HTTP."""

    def serve_grpc(self, descriptor: int, /) -> None:
        """Answers gRPC on a socket that listens, and owns it from now on. Raises OSError."""

    def serve_rest(self, descriptor: int, /) -> None:
        """The same for HTTP."""

    def serve_health(self, descriptor: int, /) -> None:
        """Answers probes alone on such a socket, over HTTP without TLS. Raises OSError."""

    def shutdown(self, drain_seconds: float, idle_seconds: float = 0.0, /) -> bool:
        """Refuses new connections, lets requests in flight finish, then stops. False if some were cut off.

        HTTP/1 connections without a request stay for `idle_seconds`, so that none is cut off while its client sends.
        """


def open_data_plane(options: DataPlaneOptions) -> DataPlane:
    """Makes the data plane in Rust. It listens nowhere yet."""
    from tensorserve import _core

    follow_data_plane()
    return _core.DataPlane(options)
