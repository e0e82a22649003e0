# SPDX-License-Identifier: Apache-2.0
"""The one table of flags.

A row here is everything there is to say about a flag. The command line parser, the keyword arguments of `ModelServer`,
the help text and `docs/flags.md` are all derived from it, so adding a flag touches one row.
"""

import dataclasses
import enum
import os
from dataclasses import dataclass
from typing import Any

FlagValue = bool | int | float | str


class Kind(enum.Enum):
    """The type of a flag's value."""

    BOOL = "bool"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT = "float"
    STRING = "string"


class Status(enum.Enum):
    """What a flag does in this server."""

    EFFECTIVE = "effective"
    ACCEPTED_WITHOUT_EFFECT_YET = "accepted without effect yet"
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class Flag:
    """One row of the table.

    Attributes:
        name: Spelling without dashes.
        kind: Type of the value.
        default: Value when the flag is not given.
        default_text: The default as documentation shows it, which may depend on the machine.
        help: One or two sentences.
        status: What it does here.
        aliases: Other spellings.
    """

    name: str
    kind: Kind
    default: FlagValue
    default_text: str
    help: str
    status: Status
    aliases: tuple[str, ...] = ()


def schedulable_cpus() -> int:
    """How many CPUs this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


_EFFECTIVE = Status.EFFECTIVE
_NOT_YET = Status.ACCEPTED_WITHOUT_EFFECT_YET
_OURS = Status.OURS


# A row of the table becomes a dataclass field; the field's own type is what a type checker sees, hence the result Any.
def _row(
    kind: Kind,
    default: FlagValue,
    help_text: str,
    status: Status = _NOT_YET,
    *,
    default_text: str | None = None,
    aliases: tuple[str, ...] = (),
) -> Any:
    facts = {
        "kind": kind,
        "default": default,
        "default_text": default_text,
        "help": help_text,
        "status": status,
        "aliases": aliases,
    }
    return dataclasses.field(default=default, metadata=facts)


_BOOL, _INT32, _INT64, _FLOAT, _STRING = Kind.BOOL, Kind.INT32, Kind.INT64, Kind.FLOAT, Kind.STRING
_CPUS = schedulable_cpus()


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """All flags of a server, as a value. Each field is a row of the table."""

    port: int = _row(
        _INT32, 8500, "TCP port for gRPC. 0 disables it; then --grpc_socket_path must be given.", _EFFECTIVE
    )
    grpc_socket_path: str = _row(_STRING, "", "UNIX socket path on which gRPC is served as well.", _EFFECTIVE)
    rest_api_port: int = _row(_INT32, 0, "TCP port for HTTP/REST. 0 disables it. Must differ from --port.", _EFFECTIVE)
    rest_api_num_threads: int = _row(
        _INT32, 4 * _CPUS, "Threads that answer HTTP/REST. See --io_threads.", default_text="4 x CPUs"
    )
    rest_api_timeout_in_ms: int = _row(
        _INT32, 30000, "Longest run of a model for one HTTP/REST request, if above 0.", _EFFECTIVE
    )
    rest_api_enable_cors_support: bool = _row(_BOOL, False, "Add CORS headers to HTTP/REST responses.", _EFFECTIVE)
    enable_batching: bool = _row(_BOOL, False, "Merge concurrent requests into batches.")
    allow_version_labels_for_unavailable_models: bool = _row(
        _BOOL, False, "Let a new version label point to a version that is not available yet.", _EFFECTIVE
    )
    batching_parameters_file: str = _row(
        _STRING, "", "Text BatchingParameters message with batching options. Implies --enable_batching."
    )
    enable_per_model_batching_parameters: bool = _row(
        _BOOL, False, "Read batching_params.pbtxt from each version directory; needs --enable_batching."
    )
    model_config_file: str = _row(
        _STRING, "", "Text ModelServerConfig message: the models to serve. Takes the place of --model_name.", _EFFECTIVE
    )
    model_config_file_poll_wait_seconds: int = _row(
        _INT32, 0, "Seconds between two readings of --model_config_file. 0 reads it once, at the start."
    )
    model_name: str = _row(_STRING, "default", "Name of the only model; see --model_base_path.", _EFFECTIVE)
    model_base_path: str = _row(
        _STRING, "", "Directory that holds the version directories of the only model.", _EFFECTIVE
    )
    num_load_threads: int = _row(_INT32, 0, "Threads that load versions after the start. 0 means one.", _EFFECTIVE)
    num_unload_threads: int = _row(
        _INT32, 0, "Threads that unload versions. 0 means as many as there are versions to unload.", _EFFECTIVE
    )
    max_num_load_retries: int = _row(
        _INT32, 5, "How often loading a version is tried again after its first failure.", _EFFECTIVE
    )
    load_retry_interval_micros: int = _row(
        _INT64, 60000000, "Microseconds between two attempts to load a version. Negative means no wait.", _EFFECTIVE
    )
    file_system_poll_wait_seconds: int = _row(
        _INT32,
        1,
        "Seconds between two looks for new versions. 0 looks once, at the start; negative never looks.",
        _EFFECTIVE,
    )
    flush_filesystem_caches: bool = _row(_BOOL, True, "Flush file system caches after loading.")
    tensorflow_session_parallelism: int = _row(
        _INT64,
        0,
        "Threads for both --tensorflow_intra_op_parallelism and --tensorflow_inter_op_parallelism.",
        _EFFECTIVE,
    )
    tensorflow_session_config_file: str = _row(
        _STRING,
        "",
        "Text tensorflow.ConfigProto message with session options. Threads and GPU memory come from flags.",
        _EFFECTIVE,
    )
    tensorflow_intra_op_parallelism: int = _row(
        _INT64, 0, "Threads for the parallel parts of one operation. 0 lets TensorFlow decide.", _EFFECTIVE
    )
    tensorflow_inter_op_parallelism: int = _row(
        _INT64, 0, "Threads for independent operations. 0 lets TensorFlow decide.", _EFFECTIVE
    )
    use_alts_credentials: bool = _row(
        _BOOL, False, "Use Google ALTS security. A server that is told to refuses to start."
    )
    ssl_config_file: str = _row(
        _STRING,
        "",
        "Text SSLConfig message: serve gRPC over TLS. Read again when the file changes.",
        _EFFECTIVE,
    )
    platform_config_file: str = _row(_STRING, "", "Text PlatformConfigMap message with options for each platform.")
    per_process_gpu_memory_fraction: float = _row(
        _FLOAT,
        0.0,
        "Part of each GPU's memory that this process takes, from 0 to 1. 0 lets TensorFlow decide.",
        _EFFECTIVE,
        aliases=("tensorflow_gpu_memory_fraction",),
    )
    saved_model_tags: str = _row(
        _STRING, "serve", "Comma-separated tags of the meta graph to load from a SavedModel.", _EFFECTIVE
    )
    grpc_channel_arguments: str = _row(
        _STRING,
        "",
        "Comma-separated key=value arguments for the gRPC server: grpc.max_concurrent_streams, max_metadata_size, "
        "max_receive_message_length, max_send_message_length, keepalive_time_ms, keepalive_timeout_ms, "
        "max_connection_age_ms and max_connection_age_grace_ms, each with its grpc. Others are logged.",
        _EFFECTIVE,
    )
    grpc_max_threads: int = _row(
        _INT32,
        4 * _CPUS,
        "Most threads that answer gRPC; here a few serve any number of clients. See --io_threads.",
        default_text="4 x CPUs",
    )
    enable_model_warmup: bool = _row(_BOOL, True, "Replay a version's recorded requests before it is served.")
    num_request_iterations_for_warmup: int = _row(_INT32, 0, "How often each warm-up request is replayed, if above 0.")
    version: bool = _row(_BOOL, False, "Print the versions of the server and of TensorFlow, and exit.", _EFFECTIVE)
    monitoring_config_file: str = _row(_STRING, "", "Text MonitoringConfig message.")
    remove_unused_fields_from_bundle_metagraph: bool = _row(_BOOL, True, "Keep only the signatures of a loaded graph.")
    prefer_tflite_model: bool = _row(_BOOL, False, "Load model.tflite from a version directory that has one.")
    num_tflite_pools: int = _row(_INT32, _CPUS, "Interpreter pools of a TFLite model.", default_text="CPUs")
    num_tflite_interpreters_per_pool: int = _row(_INT32, 1, "Interpreters in each TFLite pool.")
    enable_signature_method_name_check: bool = _row(
        _BOOL, False, "Refuse requests whose kind differs from the signature's method_name.", _EFFECTIVE
    )
    xla_cpu_compilation_enabled: bool = _row(_BOOL, False, "Compile with XLA for CPUs.")
    xla_gpu_compilation_enabled: bool = _row(_BOOL, False, "Compile with XLA for GPUs and CPUs.")
    enable_profiler: bool = _row(_BOOL, True, "Serve TensorFlow's profiler over gRPC.")
    thread_pool_factory_config_file: str = _row(_STRING, "", "Text ThreadPoolFactoryConfig message.")
    mixed_precision: str = _row(_STRING, "", "Mixed precision to compute with; bfloat16 is the only one.")
    skip_initialize_tpu: bool = _row(_BOOL, False, "Do not initialize TPUs.")
    enable_grpc_healthcheck_service: bool = _row(
        _BOOL, False, "Serve the standard gRPC health service. It is always served.", _EFFECTIVE
    )
    enable_serialization_as_tensor_content: bool = _row(
        _BOOL, False, "Answer gRPC Predict with tensor_content instead of the typed value fields.", _EFFECTIVE
    )

    host: str = _row(_STRING, "", "Address to listen on. Empty: every address, IPv4 for gRPC, both for REST.", _OURS)
    io_threads: int = _row(_INT32, 0, "Threads that read and write sockets. 0 chooses from the CPUs.", _OURS)
    execution_threads: int = _row(_INT32, 0, "Threads that run models. 0 chooses from the CPUs.", _OURS)
    max_request_bytes: int = _row(_INT64, 2147483647, "Largest request that is read.", _OURS)
    drain_timeout_seconds: float = _row(
        _FLOAT, 30.0, "How long a server that was told to stop waits for the requests it still works on.", _OURS
    )
    rest_ssl_config_file: str = _row(
        _STRING, "", "Text SSLConfig message: serve HTTP/REST over TLS. Read again when the file changes.", _OURS
    )
    rest_api_compression: bool = _row(
        _BOOL, True, "Compress HTTP/REST replies of 1 KiB and more for clients that accept it.", _OURS
    )
    rest_socket_path: str = _row(_STRING, "", "UNIX socket path on which HTTP/REST is served as well.", _OURS)
    enable_session_service: bool = _row(
        _BOOL,
        False,
        "Serve SessionService.SessionRun. It lets clients run any part of a graph, those that write files too.",
        _OURS,
    )
    tensorflow_library: str = _row(
        _STRING, "", "Path of libtensorflow_cc. Empty: the one of the installed TensorFlow package.", _OURS
    )
    log_level: str = _row(_STRING, "info", "Least important log lines to write: debug, info, warning or error.", _OURS)


def _flag_of(field: "dataclasses.Field[Any]") -> Flag:
    facts = field.metadata
    default: FlagValue = facts["default"]
    shown = facts["default_text"]
    if shown is None:
        shown = str(default).lower() if isinstance(default, bool) else str(default)
    return Flag(field.name, facts["kind"], default, shown, facts["help"], facts["status"], facts["aliases"])


FLAGS: tuple[Flag, ...] = tuple(_flag_of(field) for field in dataclasses.fields(ServerOptions))

FLAGS_BY_NAME: dict[str, Flag] = {name: flag for flag in FLAGS for name in (flag.name, *flag.aliases)}
"""Every spelling, aliases included."""
