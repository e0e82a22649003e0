# SPDX-License-Identifier: Apache-2.0
"""The one table of flags.

A row, here or in `original_flags`, is everything there is to say about a flag. The command line parser, the keyword
arguments of `ModelServer`, the help text and `docs/flags.md` are all derived from it, so adding a flag touches one row.
"""

import dataclasses
from dataclasses import dataclass

from tensorserve.config.flag import Flag, Kind, Status, flag_of, row
from tensorserve.config.original_flags import OriginalFlags

_OURS = Status.OURS
_BOOL, _INT32, _INT64, _FLOAT, _STRING = Kind.BOOL, Kind.INT32, Kind.INT64, Kind.FLOAT, Kind.STRING
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("text", "json")


@dataclass(frozen=True, kw_only=True)
class ServerOptions(OriginalFlags):
    """All flags of a server, as a value. Each field is a row of the table."""

    host: str = row(_STRING, "", "Address to listen on. Empty: every address, IPv4 for gRPC, both for REST.", _OURS)
    io_threads: int = row(_INT32, 0, "Threads that read and write sockets. 0 chooses from the CPUs.", _OURS, least=0)
    execution_threads: int = row(_INT32, 0, "Threads that run models. 0 chooses from the CPUs.", _OURS, least=0)
    inter_op_threading: str = row(
        _STRING,
        "auto",
        "What goes through the operations of a long run: the execution thread (caller), TensorFlow's inter-op pool "
        "(pool), or for each version what a measurement at its loading favours (auto). Runs that may reach their "
        "deadline always use the pool.",
        _OURS,
        choices=("auto", "caller", "pool"),
    )
    batching: str = row(
        _STRING,
        "",
        "How requests are batched: auto (by measurement), fixed (by parameters) or off. Empty: off, or with "
        "--enable_batching fixed if there are parameters, else auto.",
        _OURS,
        choices=("", "off", "fixed", "auto"),
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
        least=0,
    )
    max_in_flight: int = row(
        _INT32,
        0,
        "Requests that may be in flight, and for those of low priority three quarters of it; further ones are "
        "UNAVAILABLE. 0 means no limit.",
        _OURS,
        least=0,
    )
    max_in_flight_per_model: int = row(_INT32, 0, "The same for each model.", _OURS, least=0)
    model_weights: str = row(
        _STRING, "", "Comma-separated model=number: shares of the execution threads under load; 1 for others.", _OURS
    )
    model_settings_file: str = row(
        _STRING,
        "",
        "Text ModelSettingsFile message: our own settings by model (readiness, weight, batching, warm-up, retries). "
        "Read again with the model configuration.",
        _OURS,
    )
    max_request_bytes: int = row(_INT64, 2147483647, "Largest request that is read.", _OURS, least=1)
    max_reply_bytes: int = row(
        _INT64,
        2147483647,
        "Largest reply; one that would be larger is RESOURCE_EXHAUSTED before it is written.",
        _OURS,
        least=1,
    )
    max_buffered_bytes: int = row(
        _INT64,
        0,
        "Bytes of incomplete requests, of values that are filled up and of replies that are not read yet, of all "
        "clients together; further ones are RESOURCE_EXHAUSTED. 0 means a quarter of the memory, at least 1 GiB.",
        _OURS,
        least=0,
    )
    client_header_timeout_seconds: float = row(
        _FLOAT,
        30.0,
        "How long a client may take for the head of an HTTP/1 request, and be silent before the first one. 0 means no "
        "limit.",
        _OURS,
        least=0,
    )
    client_body_timeout_seconds: float = row(
        _FLOAT,
        60.0,
        "A client is let go whose request, or reading of a reply, moves less than 1 KiB a second for so long. 0 means "
        "no limit.",
        _OURS,
        least=0,
    )
    client_idle_timeout_seconds: float = row(
        _FLOAT,
        3600.0,
        "How long a connection may be without a request; idle ones end early when file descriptors run out. 0 means no "
        "limit.",
        _OURS,
        least=0,
    )
    drain_timeout_seconds: float = row(
        _FLOAT,
        30.0,
        "How long a server that was told to stop waits for the requests it still works on.",
        _OURS,
        least=0,
    )
    drain_delay_seconds: float = row(
        _FLOAT,
        0.0,
        "How long a server that was told to stop takes requests still, while probes are told that it is not ready.",
        _OURS,
        least=0,
    )
    readiness: str = row(
        _STRING,
        "any",
        "When /readyz says yes: once the first attempts to load are over and one model answers (any), or each (all).",
        _OURS,
        choices=("any", "all"),
    )
    supervise: bool = row(
        _BOOL,
        True,
        "Run the server as the child of a small process that holds its sockets and starts it again when it dies. For "
        "the commands only.",
        _OURS,
    )
    watchdog_seconds: float = row(
        _FLOAT,
        30.0,
        "The supervisor ends and restarts a server whose I/O thread does not answer for this long although it has the "
        "processor; 2 at least. 0 is off.",
        _OURS,
        least=0,
    )
    state_dir: str = row(
        _STRING,
        "",
        "Folder for what must survive a restart, such as which versions are quarantined. Empty: tensorserve in "
        "$XDG_STATE_HOME.",
        _OURS,
    )
    crash_loop_exit_status: int = row(
        _INT32,
        0,
        "Exit status of the supervisor once the server has died ten times in a row before it was ready. 0 means that "
        "it is started for ever.",
        _OURS,
        least=0,
        most=255,
    )
    health_port: int = row(
        _INT32,
        0,
        "TCP port that answers /livez and /readyz alone, without TLS and while models load for the first time. 0 "
        "disables it.",
        _OURS,
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
        choices=("loopback", "token", "off"),
    )
    admin_token_file: str = row(
        _STRING, "", "File with a token on each line, of 16 characters at least, for clients of /v1/admin/.", _OURS
    )
    reload_config_access: str = row(
        _STRING,
        "",
        "Who may use HandleReloadConfigRequest: anyone, or admin (whoever may use the admin API; a token goes into the "
        "metadata `authorization`). Empty: anyone, but admin with --admin_token_file or --admin_api=off.",
        _OURS,
        choices=("", "anyone", "admin"),
    )
    allowed_base_paths: str = row(
        _STRING,
        "",
        "Comma-separated folders, URLs and schemes (s3://) from which models may be served, whoever names them. Empty: "
        "every local path and every scheme that can be read.",
        _OURS,
        repeatable=True,
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
        _FLOAT, 60.0, "Least seconds between two looks at a base path in an object store.", _OURS, least=0
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
        least=0,
    )
    load_niceness: int = row(
        _INT32,
        10,
        "How much lower than requests' the CPU and disk priority of loading and freeing models is: 0 (the same) to "
        "19. Linux only.",
        _OURS,
        least=0,
        most=19,
    )
    version_transition_policy: str = row(
        _STRING,
        "availability_preserving",
        "How a version follows another: availability_preserving loads the new one first, resource_preserving unloads "
        "the old one first.",
        _OURS,
        choices=("availability_preserving", "resource_preserving"),
    )
    synthesize_warmup: bool = row(
        _BOOL, True, "Run a version without recorded requests once with made-up ones before it is served.", _OURS
    )
    request_log_max_file_mb: int = row(
        _INT64, 256, "MiB that a file of a request log may have; then a new one is begun.", _OURS, least=1
    )
    request_log_max_file_seconds: int = row(
        _INT64, 3600, "Seconds after which a new file of a request log is begun.", _OURS, least=1
    )
    request_log_max_files: int = row(
        _INT32, 0, "How many files of a request log stay; older ones are removed. 0 keeps all.", _OURS
    )
    request_log_buffer_mb: int = row(
        _INT64, 64, "MiB of request log records that may wait to be written; more are dropped.", _OURS, least=1
    )
    enable_metrics: bool = row(
        _BOOL,
        True,
        "Serve metrics on /metrics of the REST port, and the original's on /monitoring/prometheus/metrics or where "
        "--monitoring_config_file says.",
        _OURS,
    )
    log_level: str = row(
        _STRING,
        "info",
        "Least important log lines to write, TensorFlow's included: debug, info, warning or error. `tensorserve log` "
        "changes it while the server runs.",
        _OURS,
        choices=LOG_LEVELS,
    )
    access_log: str = row(
        _STRING,
        "off",
        "Which requests get a line in the log, with their ids and times: off, all, errors, slow:MILLISECONDS (those "
        "that take longer) or 1/N (one in N).",
        _OURS,
    )
    log_format: str = row(
        _STRING,
        "text",
        "How the log is written: text, with colours on a terminal, or json, an object on each line.",
        _OURS,
        choices=LOG_FORMATS,
    )

    @property
    def reload_needs_admin(self) -> bool:
        """Whether only those may use HandleReloadConfigRequest who may use the admin API."""
        access = self.reload_config_access
        return access == "admin" if access else self.admin_api != "loopback" or bool(self.admin_token_file)


FLAGS: tuple[Flag, ...] = tuple(flag_of(field) for field in dataclasses.fields(ServerOptions))

FLAGS_BY_NAME: dict[str, Flag] = {name: flag for flag in FLAGS for name in (flag.name, *flag.aliases)}
"""Every spelling, aliases included."""
