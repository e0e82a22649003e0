# SPDX-License-Identifier: Apache-2.0
"""The typed boundary between the control plane (Python) and the data plane (Rust)."""

from typing import final

__all__ = ["DataPlane", "Servable", "ServingError", "TensorFlowRuntime", "__version__", "descriptor_set"]
__version__: str

class ServingError(Exception):
    """An error of the data plane. `args == (code, message)`; `code` is a canonical status code number."""

    args: tuple[int, str]

def descriptor_set() -> bytes:
    """The serialized `FileDescriptorSet` of every definition in `proto/`."""

@final
class TensorFlowRuntime:
    """TensorFlow's C library, opened with dlopen. Opening the same library twice costs nothing."""

    def __new__(cls, library: str) -> TensorFlowRuntime:
        """Opens `library` (path of `libtensorflow_cc.so.2`). Raises ServingError (FAILED_PRECONDITION)."""
    @property
    def version(self) -> str: ...
    def load_op_library(self, path: str) -> None:
        """Registers the custom ops of a shared library in this process."""
    def load(self, path: str, tags: list[str], config_proto: bytes) -> Servable:
        """Loads a SavedModel. Blocks without holding the GIL. Raises ServingError with TensorFlow's code and text."""

@final
class Servable:
    """A loaded version, ready to publish. Freed when neither a table nor Python holds it."""

    @property
    def signature_names(self) -> list[str]: ...

@final
class DataPlane:
    """The table of servables and the ports that answer from it. Several can live in one process."""

    def __new__(
        cls,
        *,
        io_threads: int = 0,
        execution_threads: int = 0,
        rest_timeout_ms: int = 30000,
        rest_cors: bool = False,
        rest_compression: bool = True,
        signature_method_name_check: bool = False,
        session_service: bool = False,
        serialize_as_tensor_content: bool = False,
        max_request_bytes: int = 2147483647,
        grpc_options: dict[str, int] | None = None,
    ) -> DataPlane:
        """0 threads means: chosen from the CPUs this process may use.

        `grpc_options` may have max_streams, max_header_bytes, max_receive_bytes, max_send_bytes, keepalive_time_ms,
        keepalive_timeout_ms, max_age_ms and max_age_grace_ms; a negative number means no limit. Raises ValueError.
        """
    def publish(self, model: str, version: int, servable: Servable) -> None:
        """Makes a version answer requests at once. Replaces a version of the same number."""
    def retire(self, model: str, version: int, timeout_seconds: float | None = None) -> bool:
        """Takes a version out of the table, waits (without the GIL) until its last request is done, and frees it.

        Returns False if requests were still running after `timeout_seconds`; they then free it. Unknown versions are
        ignored and give True.
        """
    def set_version_state(self, model: str, version: int, state: int, code: int = 0, message: str = "") -> None:
        """What GetModelStatus reports of a version; `state` is a `ModelVersionStatus.State` number."""
    def set_labels(self, model: str, labels: dict[str, int]) -> None:
        """Replaces all version labels of a model."""
    def secure_grpc(self, key: str, certificates: str, client_authorities: str | None = None) -> None:
        """Puts new gRPC connections within TLS; again, with another identity, it replaces the one before.

        The arguments are PEM texts. With `client_authorities`, clients must show a certificate that one of them signed.
        Raises ServingError (INVALID_ARGUMENT).
        """
    def secure_rest(self, key: str, certificates: str, client_authorities: str | None = None) -> None:
        """The same for HTTP."""
    def serve_grpc(self, address: str) -> int:
        """Starts to answer gRPC on `HOST:PORT` or `unix:PATH`; gives the bound port (0 for a socket path).

        Raises OSError if the address cannot be bound.
        """
    def serve_rest(self, address: str) -> int:
        """Starts to answer HTTP on `HOST:PORT` or `unix:PATH`; gives the bound port. Raises OSError."""
    def shutdown(self, drain_seconds: float) -> bool:
        """Refuses new connections, lets requests in flight finish, then stops. False if some were cut off."""
