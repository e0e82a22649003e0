# SPDX-License-Identifier: Apache-2.0
"""The one table of flags.

A row here is everything there is to say about a flag. The command line parser, the keyword arguments of `ModelServer`,
the help text and `docs/flags.md` are all derived from it, so adding a flag touches one row.
"""

import dataclasses
from dataclasses import dataclass

from tensorserve.config.cpus import schedulable_cpus
from tensorserve.config.flag import Flag, Kind, Status, flag_of, row

_EFFECTIVE, _OURS = Status.EFFECTIVE, Status.OURS
_BOOL, _INT32, _INT64, _FLOAT, _STRING = Kind.BOOL, Kind.INT32, Kind.INT64, Kind.FLOAT, Kind.STRING
_CPUS = schedulable_cpus()


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """All flags of a server, as a value. Each field is a row of the table."""

    port: int = row(
        _INT32, 8500, "TCP port for gRPC. 0 disables it; then --grpc_socket_path must be given.", _EFFECTIVE
    )
    grpc_socket_path: str = row(_STRING, "", "UNIX socket path on which gRPC is served as well.", _EFFECTIVE)
    rest_api_port: int = row(_INT32, 0, "TCP port for HTTP/REST. 0 disables it. Must differ from --port.", _EFFECTIVE)
    rest_api_num_threads: int = row(
        _INT32, 4 * _CPUS, "Threads that answer HTTP/REST. See --io_threads.", default_text="4 x CPUs"
    )
    rest_api_timeout_in_ms: int = row(
        _INT32, 30000, "Longest run of a model for one HTTP/REST request, if above 0.", _EFFECTIVE
    )
    rest_api_enable_cors_support: bool = row(_BOOL, False, "Add CORS headers to HTTP/REST responses.", _EFFECTIVE)
    enable_batching: bool = row(
        _BOOL,
        False,
        "Merge concurrent requests into batches. Without a parameters file batches are sized by measurement.",
        _EFFECTIVE,
    )
    allow_version_labels_for_unavailable_models: bool = row(
        _BOOL, False, "Let a new version label point to a version that is not available yet.", _EFFECTIVE
    )
    batching_parameters_file: str = row(
        _STRING, "", "Text BatchingParameters message with batching options. Implies --enable_batching.", _EFFECTIVE
    )
    enable_per_model_batching_parameters: bool = row(
        _BOOL,
        False,
        "Read batching_params.pbtxt from each version directory; needs --enable_batching. Versions without one are not "
        "batched.",
        _EFFECTIVE,
    )
    model_config_file: str = row(
        _STRING, "", "Text ModelServerConfig message: the models to serve. Takes the place of --model_name.", _EFFECTIVE
    )
    model_config_file_poll_wait_seconds: int = row(
        _INT32,
        0,
        "Seconds between two readings of --model_config_file. 0 reads it at the start, and when SIGHUP comes.",
        _EFFECTIVE,
    )
    model_name: str = row(_STRING, "default", "Name of the only model; see --model_base_path.", _EFFECTIVE)
    model_base_path: str = row(
        _STRING, "", "Directory that holds the version directories of the only model.", _EFFECTIVE
    )
    num_load_threads: int = row(_INT32, 0, "Threads that load versions after the start. 0 means one.", _EFFECTIVE)
    num_unload_threads: int = row(
        _INT32, 0, "Threads that unload versions. 0 means as many as there are versions to unload.", _EFFECTIVE
    )
    max_num_load_retries: int = row(
        _INT32, 5, "How often loading a version is tried again after its first failure.", _EFFECTIVE
    )
    load_retry_interval_micros: int = row(
        _INT64, 60000000, "Microseconds between two attempts to load a version. Negative means no wait.", _EFFECTIVE
    )
    file_system_poll_wait_seconds: int = row(
        _INT32,
        1,
        "Seconds between two looks for new versions. 0 looks once, at the start; negative never looks.",
        _EFFECTIVE,
    )
    flush_filesystem_caches: bool = row(
        _BOOL,
        True,
        "Flush file system caches after loading. As in the original, local file systems have nothing to flush.",
        _EFFECTIVE,
    )
    tensorflow_session_parallelism: int = row(
        _INT64,
        0,
        "Threads for both --tensorflow_intra_op_parallelism and --tensorflow_inter_op_parallelism.",
        _EFFECTIVE,
    )
    tensorflow_session_config_file: str = row(
        _STRING,
        "",
        "Text tensorflow.ConfigProto message with session options. Threads and GPU memory come from flags.",
        _EFFECTIVE,
    )
    tensorflow_intra_op_parallelism: int = row(
        _INT64,
        0,
        "Threads for the parallel parts of one operation. 0 lets TensorFlow decide, or a measurement for small models.",
        _EFFECTIVE,
    )
    tensorflow_inter_op_parallelism: int = row(
        _INT64, 0, "Threads for independent operations. 0 lets TensorFlow decide.", _EFFECTIVE
    )
    use_alts_credentials: bool = row(
        _BOOL, False, "Use Google ALTS security. A server that is told to refuses to start."
    )
    ssl_config_file: str = row(
        _STRING,
        "",
        "Text SSLConfig message: serve gRPC over TLS. Read again when the file changes.",
        _EFFECTIVE,
    )
    platform_config_file: str = row(
        _STRING,
        "",
        "Text PlatformConfigMap message: how SavedModels are loaded. Takes the place of all flags about sessions, "
        "tags, batching and warm-up.",
        _EFFECTIVE,
    )
    per_process_gpu_memory_fraction: float = row(
        _FLOAT,
        0.0,
        "Part of each GPU's memory that this process takes, from 0 to 1. 0 lets TensorFlow decide.",
        _EFFECTIVE,
        aliases=("tensorflow_gpu_memory_fraction",),
    )
    saved_model_tags: str = row(
        _STRING, "serve", "Comma-separated tags of the meta graph to load from a SavedModel.", _EFFECTIVE
    )
    grpc_channel_arguments: str = row(
        _STRING,
        "",
        "Comma-separated key=value arguments for the gRPC server: grpc.max_concurrent_streams, max_metadata_size, "
        "max_receive_message_length, max_send_message_length, keepalive_time_ms, keepalive_timeout_ms, "
        "max_connection_age_ms and max_connection_age_grace_ms, each with its grpc. Others are logged.",
        _EFFECTIVE,
    )
    grpc_max_threads: int = row(
        _INT32,
        4 * _CPUS,
        "Most threads that answer gRPC; here a few serve any number of clients. See --io_threads.",
        default_text="4 x CPUs",
    )
    enable_model_warmup: bool = row(
        _BOOL, True, "Replay a version's recorded requests before it is served. See --synthesize_warmup.", _EFFECTIVE
    )
    num_request_iterations_for_warmup: int = row(
        _INT32, 0, "How often each warm-up request is replayed, if above 0.", _EFFECTIVE
    )
    version: bool = row(_BOOL, False, "Print the versions of the server and of TensorFlow, and exit.", _EFFECTIVE)
    monitoring_config_file: str = row(
        _STRING,
        "",
        "Text MonitoringConfig message: on which path of the REST port Prometheus finds the metrics. See "
        "--enable_metrics.",
        _EFFECTIVE,
    )
    remove_unused_fields_from_bundle_metagraph: bool = row(
        _BOOL, True, "Keep only the signatures of a loaded graph in memory. Here no more is ever kept.", _EFFECTIVE
    )
    prefer_tflite_model: bool = row(_BOOL, False, "Load model.tflite from a version directory that has one.")
    num_tflite_pools: int = row(_INT32, _CPUS, "Interpreter pools of a TFLite model.", default_text="CPUs")
    num_tflite_interpreters_per_pool: int = row(_INT32, 1, "Interpreters in each TFLite pool.")
    enable_signature_method_name_check: bool = row(
        _BOOL, False, "Refuse requests whose kind differs from the signature's method_name.", _EFFECTIVE
    )
    xla_cpu_compilation_enabled: bool = row(
        _BOOL, False, "Let models that ask for it be compiled with XLA for CPUs. Here they always may.", _EFFECTIVE
    )
    xla_gpu_compilation_enabled: bool = row(
        _BOOL, False, "The same for GPUs and CPUs. Here they always may.", _EFFECTIVE
    )
    enable_profiler: bool = row(_BOOL, True, "Serve TensorFlow's profiler over gRPC.")
    thread_pool_factory_config_file: str = row(_STRING, "", "Text ThreadPoolFactoryConfig message.")
    mixed_precision: str = row(
        _STRING,
        "",
        "bfloat16: let oneDNN compute in bfloat16 where TensorFlow deems it safe. There is no other value.",
        _EFFECTIVE,
    )
    skip_initialize_tpu: bool = row(
        _BOOL,
        False,
        "Do not initialize TPUs. There is nothing to skip: like the usual builds, this has none.",
        _EFFECTIVE,
    )
    enable_grpc_healthcheck_service: bool = row(
        _BOOL, False, "Serve the standard gRPC health service. It is always served.", _EFFECTIVE
    )
    enable_serialization_as_tensor_content: bool = row(
        _BOOL, False, "Answer gRPC Predict with tensor_content instead of the typed value fields.", _EFFECTIVE
    )

    host: str = row(_STRING, "", "Address to listen on. Empty: every address, IPv4 for gRPC, both for REST.", _OURS)
    io_threads: int = row(_INT32, 0, "Threads that read and write sockets. 0 chooses from the CPUs.", _OURS)
    execution_threads: int = row(_INT32, 0, "Threads that run models. 0 chooses from the CPUs.", _OURS)
    inter_op_threading: str = row(
        _STRING,
        "auto",
        "What goes through the operations of a long run: the execution thread (caller), TensorFlow's inter-op pool "
        "(pool), or for each version what a measurement at its loading favours (auto). Runs that may reach their "
        "deadline always use the pool.",
        _OURS,
    )
    batching: str = row(
        _STRING,
        "",
        "How requests are batched: auto (by measurement), fixed (by parameters) or off. Empty: off, or with "
        "--enable_batching fixed if there are parameters, else auto.",
        _OURS,
    )
    batching_pad_values: str = row(
        _STRING,
        "",
        "Comma-separated alias=value: what inputs are padded with where pad_variable_length_inputs is set, instead of "
        "their first element.",
        _OURS,
    )
    latency_slo_ms: int = row(
        _INT32,
        0,
        "With --batching=auto, milliseconds within which requests are answered; those that cannot be are refused at "
        "once. 0 means no objective.",
        _OURS,
    )
    max_in_flight: int = row(
        _INT32,
        0,
        "Requests that may be in flight, and for those of low priority three quarters of it; further ones are "
        "UNAVAILABLE. 0 means no limit.",
        _OURS,
    )
    max_in_flight_per_model: int = row(_INT32, 0, "The same for each model.", _OURS)
    model_weights: str = row(
        _STRING, "", "Comma-separated model=number: shares of the execution threads under load; 1 for others.", _OURS
    )
    max_request_bytes: int = row(_INT64, 2147483647, "Largest request that is read.", _OURS)
    max_reply_bytes: int = row(
        _INT64, 2147483647, "Largest reply; one that would be larger is RESOURCE_EXHAUSTED before it is written.", _OURS
    )
    drain_timeout_seconds: float = row(
        _FLOAT, 30.0, "How long a server that was told to stop waits for the requests it still works on.", _OURS
    )
    rest_ssl_config_file: str = row(
        _STRING, "", "Text SSLConfig message: serve HTTP/REST over TLS. Read again when the file changes.", _OURS
    )
    rest_api_compression: bool = row(
        _BOOL, True, "Compress HTTP/REST replies of 1 KiB and more for clients that accept it.", _OURS
    )
    rest_socket_path: str = row(_STRING, "", "UNIX socket path on which HTTP/REST is served as well.", _OURS)
    enable_session_service: bool = row(
        _BOOL,
        False,
        "Serve SessionService.SessionRun. It lets clients run any part of a graph, those that write files too.",
        _OURS,
    )
    admin_api: str = row(
        _STRING,
        "loopback",
        "Who may use /v1/admin/ over HTTP: loopback (programs of this machine, and whoever has a token), "
        "token (whoever has a token), off (nobody).",
        _OURS,
    )
    admin_token_file: str = row(
        _STRING, "", "File with a token on each line, of 16 characters at least, for clients of /v1/admin/.", _OURS
    )
    tensorflow_library: str = row(
        _STRING, "", "Path of libtensorflow_cc. Empty: the one of the installed TensorFlow package.", _OURS
    )
    model_repository: str = row(
        _STRING,
        "",
        "Directory or URL whose sub-folders are the models, found and dropped while the server runs. Takes the place "
        "of --model_base_path and --model_config_file.",
        _OURS,
    )
    model_cache_dir: str = row(
        _STRING,
        "",
        "Local folder for versions from object stores. Empty: tensorserve/models in the user's cache folder.",
        _OURS,
    )
    object_store_poll_wait_seconds: float = row(
        _FLOAT, 60.0, "Least seconds between two looks at a base path in an object store.", _OURS
    )
    load_op_library: str = row(
        _STRING,
        "",
        "Shared libraries with custom ops, comma-separated or by repeating the flag. Loaded before the first model.",
        _OURS,
        repeatable=True,
    )
    load_installed_op_libraries: bool = row(
        _BOOL,
        True,
        "Load the ops of installed packages (tensorflow-text, ydf-tf, tensorflow-decision-forests) when a model lacks "
        "one.",
        _OURS,
    )
    model_memory_limit_mb: int = row(
        _INT64,
        0,
        "Most memory, in MB (10^6 bytes), that all loaded versions may be estimated to take (1.2 times their files). 0 "
        "means no limit.",
        _OURS,
    )
    load_niceness: int = row(
        _INT32,
        10,
        "How much lower than requests' the CPU and disk priority of loading and freeing models is: 0 (the same) to "
        "19. Linux only.",
        _OURS,
    )
    version_transition_policy: str = row(
        _STRING,
        "availability_preserving",
        "How a version follows another: availability_preserving loads the new one first, resource_preserving unloads "
        "the old one first.",
        _OURS,
    )
    synthesize_warmup: bool = row(
        _BOOL, True, "Run a version without recorded requests once with made-up ones before it is served.", _OURS
    )
    request_log_max_file_mb: int = row(
        _INT64, 256, "MiB that a file of a request log may have; then a new one is begun.", _OURS
    )
    request_log_max_file_seconds: int = row(
        _INT64, 3600, "Seconds after which a new file of a request log is begun.", _OURS
    )
    request_log_max_files: int = row(
        _INT32, 0, "How many files of a request log stay; older ones are removed. 0 keeps all.", _OURS
    )
    request_log_buffer_mb: int = row(
        _INT64, 64, "MiB of request log records that may wait to be written; more are dropped.", _OURS
    )
    enable_metrics: bool = row(
        _BOOL, True, "Serve metrics on /metrics of the REST port, unless --monitoring_config_file says where.", _OURS
    )
    log_level: str = row(_STRING, "info", "Least important log lines to write: debug, info, warning or error.", _OURS)


FLAGS: tuple[Flag, ...] = tuple(flag_of(field) for field in dataclasses.fields(ServerOptions))

FLAGS_BY_NAME: dict[str, Flag] = {name: flag for flag in FLAGS for name in (flag.name, *flag.aliases)}
"""Every spelling, aliases included."""
