# SPDX-License-Identifier: Apache-2.0
"""The options of the data plane: all that crosses the boundary to Rust when one is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tensorserve.config.access_log import AccessLog, access_log
from tensorserve.config.batching import Batching, BatchThreads, model_weights
from tensorserve.config.channel_arguments import grpc_options
from tensorserve.config.flags import ServerOptions
from tensorserve.config.memory import usable_memory
from tensorserve.config.monitoring_config import metrics_paths

# 0 of the flag: a quarter of the memory, at least this.
_LEAST_BUFFERED_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlaneOptions:
    """How a data plane works. An attribute that is a flag's value has the flag's name, and is explained there.

    Attributes:
        batch_threads: For batches alone; without them batches share the threads of other runs.
        model_weights: The models' shares of execution time under load, by name.
        metrics_path: HTTP requests for it are answered with our metrics; None for nowhere.
        original_metrics_path: The same for the metrics of the original.
        max_buffered_bytes: As the flag, but above 0.
        grpc_channel_arguments: By our names: max_streams, max_header_bytes, max_receive_bytes, max_send_bytes,
            keepalive_time_ms, keepalive_timeout_ms, max_age_ms and max_age_grace_ms; a negative number means no limit.
    """

    io_threads: int = 0
    execution_threads: int = 0
    batch_threads: BatchThreads | None = None
    model_weights: Mapping[str, float] = field(default_factory=dict)
    max_in_flight: int = 0
    max_in_flight_per_model: int = 0
    rest_api_timeout_in_ms: int = 30000
    rest_api_enable_cors_support: bool = False
    rest_api_compression: bool = True
    enable_signature_method_name_check: bool = False
    enable_session_service: bool = False
    enable_serialization_as_tensor_content: bool = False
    readiness: str = "any"
    metrics_path: str | None = None
    original_metrics_path: str | None = None
    access_log: AccessLog = field(default_factory=AccessLog)
    max_request_bytes: int = 2**31 - 1
    max_reply_bytes: int = 2**31 - 1
    max_buffered_bytes: int = 4 << 30
    client_header_timeout_seconds: float = 30.0
    client_body_timeout_seconds: float = 60.0
    client_idle_timeout_seconds: float = 3600.0
    grpc_channel_arguments: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, options: ServerOptions, batching: Batching) -> DataPlaneOptions:
        """What the flags say. Raises ServingError: the value of one means nothing."""
        own_metrics, original_metrics = metrics_paths(options)
        return cls(
            io_threads=options.io_threads,
            execution_threads=options.execution_threads,
            batch_threads=batching.threads,
            model_weights=model_weights(options.model_weights),
            max_in_flight=options.max_in_flight,
            max_in_flight_per_model=options.max_in_flight_per_model,
            rest_api_timeout_in_ms=options.rest_api_timeout_in_ms,
            rest_api_enable_cors_support=options.rest_api_enable_cors_support,
            rest_api_compression=options.rest_api_compression,
            enable_signature_method_name_check=options.enable_signature_method_name_check,
            enable_session_service=options.enable_session_service,
            enable_serialization_as_tensor_content=options.enable_serialization_as_tensor_content,
            readiness=options.readiness,
            metrics_path=own_metrics,
            original_metrics_path=original_metrics,
            access_log=access_log(options),
            max_request_bytes=options.max_request_bytes,
            max_reply_bytes=options.max_reply_bytes,
            max_buffered_bytes=options.max_buffered_bytes or max(usable_memory() // 4, _LEAST_BUFFERED_BYTES),
            client_header_timeout_seconds=options.client_header_timeout_seconds,
            client_body_timeout_seconds=options.client_body_timeout_seconds,
            client_idle_timeout_seconds=options.client_idle_timeout_seconds,
            grpc_channel_arguments=grpc_options(options.grpc_channel_arguments),
        )
