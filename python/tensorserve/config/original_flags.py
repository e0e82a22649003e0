# SPDX-License-Identifier: Apache-2.0
"""The part of the table of flags that TensorFlow Serving has as well; see `flags`."""

from dataclasses import dataclass

from tensorserve.config.cpus import schedulable_cpus
from tensorserve.config.flag import Kind, Status, row

_EFFECTIVE = Status.EFFECTIVE
_BOOL, _INT32, _INT64, _FLOAT, _STRING = Kind.BOOL, Kind.INT32, Kind.INT64, Kind.FLOAT, Kind.STRING
_CPUS = schedulable_cpus()


@dataclass(frozen=True, kw_only=True)
class OriginalFlags:
    """The flags of TensorFlow Serving, as a value."""

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
        least=0,
        most=1,
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
