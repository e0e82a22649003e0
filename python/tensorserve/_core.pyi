# SPDX-License-Identifier: Apache-2.0
"""The typed boundary between the control plane (Python) and the data plane (Rust)."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol, final, type_check_only

from tensorserve.bench.measuring import Load
from tensorserve.config.data_plane_options import DataPlaneOptions
from tensorserve.runtimes.tensorflow import LoadOptions

__all__ = [
    "ControlReply",
    "DataPlane",
    "Engine",
    "LoadTest",
    "RequestLog",
    "Servable",
    "ServingError",
    "TensorFlowRuntime",
    "TfRecordReader",
    "__version__",
    "descriptor_set",
    "open_attribution_page",
    "release_watched",
    "take_log_lines",
    "tfrecords",
]
__version__: str

class ServingError(Exception):
    """An error of the data plane. `args == (code, message)`; `code` is a canonical status code number."""

    args: tuple[int, str]

def descriptor_set() -> bytes:
    """The serialized `FileDescriptorSet` of every definition in `proto/`."""

def open_attribution_page(descriptor: int, watched: list[tuple[str, str, list[int], str | None]]) -> None:
    """From now on loads and runs are said in this memory, and so are signals that end the process; once a process.

    Args:
        descriptor: The memory, as large as `supervisor.attribution.PAGE_BYTES`; it belongs to this function.
        watched: Version's directory, signature, and shapes (each input's rank, then its dimensions) of runs during
            which the process died: with a text they are refused with it, else they run alone until they have succeeded.

    Raises:
        OSError: The memory is no such page.
    """

def release_watched(path: str) -> None:
    """Runs of the version in this directory are not watched any more."""

def take_log_lines(timeout_seconds: float) -> tuple[list[tuple[int, str, dict[str, str]]], int]:
    """What the data plane of this process has to say to the log, and how many lines were dropped.

    A line is a level of `logging`, a text, and what it is about: `model`, `signature`, `milliseconds` and others.

    Waits, without the GIL, until there is something.
    """

def tfrecords(records: list[bytes]) -> bytes:
    """The records as they stand in a TFRecord file, one after the other. Frames them without holding the GIL."""

@final
class TfRecordReader(Iterator[bytes]):
    """Reads the records of a TFRecord file, one at a time."""

    def __new__(cls, path: str) -> TfRecordReader:
        """Opens the file. Raises OSError."""
    def __iter__(self) -> TfRecordReader: ...
    def __next__(self) -> bytes:
        """The next record. Raises ServingError (DATA_LOSS, with TensorFlow's text) if the file is damaged there."""

@final
class TensorFlowRuntime:
    """TensorFlow's C library, opened with dlopen. Opening the same library twice costs nothing."""

    def __new__(cls, library: str) -> TensorFlowRuntime:
        """Opens `library` (path of `libtensorflow_cc.so.2`). Raises ServingError (FAILED_PRECONDITION)."""
    @property
    def version(self) -> str: ...
    def load_op_library(self, path: str) -> None:
        """Registers the custom ops of a shared library in this process."""
    def load(self, path: str, options: LoadOptions) -> Servable:
        """Loads a SavedModel, and measures how it runs best. Blocks without holding the GIL.

        Raises ServingError with TensorFlow's code and text, or INVALID_ARGUMENT if no queue can have the batching
        parameters; ValueError if these are no such message.
        """

@final
class Servable:
    """A loaded version, ready to publish. Freed when neither a table nor Python holds it."""

    @property
    def signature_names(self) -> list[str]: ...
    @property
    def warnings(self) -> list[str]:
        """What is wrong with the model though it could be loaded, each in one line for the log."""
    def signature_def(self, signature: str) -> bytes | None:
        """A signature as a serialized `SignatureDef`, internal ones too; None if there is no such signature."""
    def method_name(self, signature: str) -> str | None:
        """The `method_name` of a signature; None if there is no such signature."""
    def replay(
        self,
        path: str,
        *,
        model_name: str = "warmup",
        iterations: int = 1,
        max_records: int = 1000,
        enable_signature_method_name_check: bool = False,
    ) -> list[tuple[int, list[float]]]:
        """Runs the requests of a TFRecord file of PredictionLogs, one after the other, without holding the GIL.

        Gives for each record the number of its `log_type` field (0 if it has none) and the seconds that each run took.
        Raises ServingError with the original's codes and texts; the error of a request that fails is raised as it is.
        """
    def synthesize_warmup(self) -> list[tuple[str, str, float | None]]:
        """Runs each signature that clients may ask once, with made-up inputs, without holding the GIL.

        Gives for each its name and the seconds that it took, or why it was not run or failed.
        """
    def prediction_log(self, verb: str, model: str, body: bytes) -> bytes:
        """A REST request as a serialized PredictionLog; `verb` is predict, classify or regress. Raises ServingError."""

@final
class Engine:
    """One signature of a servable, asked in this process. Thread-safe."""

    def __new__(cls, servable: Servable, signature: str, batched: bool = False) -> Engine:
        """`batched`: calls go through the batching that the servable was given.

        Raises ServingError (FAILED_PRECONDITION) if requests cannot use the signature.
        """
    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Computes all outputs of NumPy arrays, without holding the GIL; object arrays hold `bytes`.

        Raises ServingError with the original's codes and texts, TypeError for types that no tensor has.
        """
    def submit(self, inputs: dict[str, Any], done: Callable[[Any, Any], object]) -> None:
        """The same on other threads; calls `done(outputs, None)` or `done(None, error)` on one of them."""

@final
class LoadTest:
    """Sends requests to a server and measures what they take; see `tensorserve.bench`."""

    def __new__(
        cls, address: str, bodies: list[bytes], load: Load, *, grpc: bool, path: str, content_type: str
    ) -> LoadTest:
        """`address` is `HOST:PORT` or `unix:PATH`; `bodies` are messages, sent in turn. Raises ValueError.

        Either `concurrency` senders each send when their last request is answered, or `rate` requests a second are sent
        whatever becomes of them.
        """
    def run(self) -> dict[str, Any]:
        """Blocks, without holding the GIL, until it is done. Raises OSError if it cannot connect at first.

        `latencies` and `lags` count nanoseconds (a dict of how often each), `answered_in_time` the answers within the
        measured time, `errors` the failures by kind, `unfinished` requests that were never sent.
        """
    def progress(self) -> tuple[int, int]:
        """Requests answered and failed so far."""
    def stop(self) -> None:
        """No further request is sent."""

@final
class ControlReply:
    """How one question to the control plane is answered, from any thread. Dropped without an answer it is an error."""

    @property
    def is_awaited(self) -> bool:
        """Whether the client still waits."""
    def send(self, body: bytes, status: int = 200, content_type: str = "application/json") -> None:
        """Answers; `status` and `content_type` are for HTTP."""
    def fail(self, code: int, message: str) -> None:
        """Answers with an error; `code` is a canonical status code number."""

@type_check_only
class _ControlPlane(Protocol):
    """Decides what is served. Both methods must return at once; they are called from one thread."""

    def reload_config(self, request: bytes, headers: dict[str, str], peer: str, reply: ControlReply, /) -> None:
        """Answers a `ReloadConfigRequest` with a `ReloadConfigResponse`; `headers` and `peer` as those of `admin`."""
    def admin(
        self, method: str, target: str, headers: dict[str, str], peer: str, body: bytes, reply: ControlReply, /
    ) -> None:
        """Answers a request below `/v1/admin/`; `peer` is loopback, socket or remote.

        `headers` has those that decide who may do what, in lower case: authorization, content-type, host, origin,
        sec-fetch-site, forwarded, via, x-real-ip, and x-forwarded for any that begins like this.
        """

@final
class DataPlane:
    """The table of servables and the ports that answer from it. Several can live in one process."""

    def __new__(cls, options: DataPlaneOptions) -> DataPlane:
        """Starts its threads. Raises OSError, or ValueError for an option that means nothing."""
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
    def batching_report(self, model: str) -> str:
        """How a model's requests are batched and why, as JSON. Raises ServingError (NOT_FOUND)."""
    def record_load(self, path: str, success: bool, seconds: float) -> None:
        """Counts an attempt to load the version at this path, for the metrics."""
    def record_warmup(self, path: str, status: str, seconds: float, records: int = 0) -> None:
        """Counts a warm-up with this number of recorded requests; `status` is OK or the text of the error."""
    def withdraw(self, model: str) -> None:
        """Health does not depend on this model any more, until one of its versions starts."""
    def set_configured(self, models: set[str], required: set[str]) -> None:
        """The models that should answer: the complete list, and those that must before the server is ready."""
    def set_model_weights(self, weights: dict[str, float]) -> None:
        """The models' shares of execution time under load from now on, 1 for those that are not named."""
    def set_load_bytes(self, model: str, version: int, size: int) -> None:
        """How large the files of a version are that loads, in bytes, for probes."""
    def started(self) -> None:
        """The first attempts to load the models are over; before that probes are told that it is not ready."""
    def leave(self) -> None:
        """From now on probes are told to send no more requests. Those that come are answered until `shutdown`."""
    def set_control_plane(self, control: _ControlPlane) -> None:
        """Who answers config reloads and admin requests, until `shutdown`. Without one they are refused."""
    @property
    def request_log(self) -> RequestLog:
        """Where answered requests wait that shall be logged."""
    def secure_grpc(self, key: str, certificates: str, client_authorities: str | None = None) -> None:
        """Puts new gRPC connections within TLS; again, with another identity, it replaces the one before.

        The arguments are PEM texts. With `client_authorities`, clients must show a certificate that one of them signed.
        Raises ServingError (INVALID_ARGUMENT).
        """
    def secure_rest(self, key: str, certificates: str, client_authorities: str | None = None) -> None:
        """The same for HTTP."""
    def serve_grpc(self, descriptor: int) -> None:
        """Answers gRPC on a socket that listens, TCP or UNIX, and owns it from now on. Raises OSError."""
    def serve_rest(self, descriptor: int) -> None:
        """The same for HTTP."""
    def serve_health(self, descriptor: int) -> None:
        """Answers probes alone on such a socket, over HTTP without TLS. Raises OSError."""
    def shutdown(self, drain_seconds: float, idle_seconds: float = 0.0) -> bool:
        """Refuses new connections, lets requests in flight finish, then stops. False if some were cut off.

        HTTP/1 connections without a request stay for `idle_seconds`, so that none is cut off while its client sends
        one; its answer tells the client to come back over another connection.
        """

@final
class RequestLog:
    """The queue of answered requests of a data plane that shall be logged."""

    def set_loggers(self, loggers: dict[str, tuple[int, float, list[str]]]) -> None:
        """Replaces what is logged: by model the collector's number, the sampling rate, and the tags to note."""
    def set_max_bytes(self, max_bytes: int) -> None:
        """Bytes of records that may wait; what comes while more do is dropped."""
    def take(self, timeout_seconds: float, max_bytes: int) -> list[tuple[int, list[bytes]]]:
        """Waits (without the GIL) for records, then takes about `max_bytes` of them.

        Gives for each collector its records, serialized PredictionLogs; nothing if none came in time.
        """
    @property
    def dropped(self) -> int:
        """Records dropped since the start because too much waited."""
