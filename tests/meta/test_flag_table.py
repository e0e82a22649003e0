# SPDX-License-Identifier: Apache-2.0
"""The flag table has every flag of TensorFlow Serving, with its type and default."""

import pytest

from tensorserve.config.flag import Status
from tensorserve.config.flags import FLAGS
from tests.meta.repository import ROOT

# Name, type and default of the 48 flags of `tensorflow_model_server` 2.20; None where it depends on the machine.
ORIGINAL: dict[str, tuple[str, object]] = {
    "port": ("int32", 8500),
    "grpc_socket_path": ("string", ""),
    "rest_api_port": ("int32", 0),
    "rest_api_num_threads": ("int32", None),
    "rest_api_timeout_in_ms": ("int32", 30000),
    "rest_api_enable_cors_support": ("bool", False),
    "enable_batching": ("bool", False),
    "allow_version_labels_for_unavailable_models": ("bool", False),
    "batching_parameters_file": ("string", ""),
    "enable_per_model_batching_parameters": ("bool", False),
    "model_config_file": ("string", ""),
    "model_config_file_poll_wait_seconds": ("int32", 0),
    "model_name": ("string", "default"),
    "model_base_path": ("string", ""),
    "num_load_threads": ("int32", 0),
    "num_unload_threads": ("int32", 0),
    "max_num_load_retries": ("int32", 5),
    "load_retry_interval_micros": ("int64", 60000000),
    "file_system_poll_wait_seconds": ("int32", 1),
    "flush_filesystem_caches": ("bool", True),
    "tensorflow_session_parallelism": ("int64", 0),
    "tensorflow_session_config_file": ("string", ""),
    "tensorflow_intra_op_parallelism": ("int64", 0),
    "tensorflow_inter_op_parallelism": ("int64", 0),
    "use_alts_credentials": ("bool", False),
    "ssl_config_file": ("string", ""),
    "platform_config_file": ("string", ""),
    "per_process_gpu_memory_fraction": ("float", 0),
    "saved_model_tags": ("string", "serve"),
    "grpc_channel_arguments": ("string", ""),
    "grpc_max_threads": ("int32", None),
    "enable_model_warmup": ("bool", True),
    "num_request_iterations_for_warmup": ("int32", 0),
    "version": ("bool", False),
    "monitoring_config_file": ("string", ""),
    "remove_unused_fields_from_bundle_metagraph": ("bool", True),
    "prefer_tflite_model": ("bool", False),
    "num_tflite_pools": ("int32", None),
    "num_tflite_interpreters_per_pool": ("int32", 1),
    "enable_signature_method_name_check": ("bool", False),
    "xla_cpu_compilation_enabled": ("bool", False),
    "xla_gpu_compilation_enabled": ("bool", False),
    "enable_profiler": ("bool", True),
    "thread_pool_factory_config_file": ("string", ""),
    "mixed_precision": ("string", ""),
    "skip_initialize_tpu": ("bool", False),
    "enable_grpc_healthcheck_service": ("bool", False),
    "enable_serialization_as_tensor_content": ("bool", False),
}
TABLE = {flag.name: flag for flag in FLAGS}


def test_there_are_48() -> None:
    assert len(ORIGINAL) == 48


@pytest.mark.parametrize("name", ORIGINAL)
def test_flag_is_the_original(name: str) -> None:
    kind, default = ORIGINAL[name]
    flag = TABLE[name]
    assert flag.kind.value == kind
    assert flag.status is not Status.OURS
    assert default is None or flag.default == default


def test_flags_beyond_the_original_are_marked_as_ours() -> None:
    assert {flag.name for flag in FLAGS if flag.status is not Status.OURS} == set(ORIGINAL)


def test_every_flag_is_explained() -> None:
    assert [flag.name for flag in FLAGS if len(flag.help) < 15] == []


def test_names_and_aliases_are_unique() -> None:
    spellings = [name for flag in FLAGS for name in (flag.name, *flag.aliases)]
    assert len(spellings) == len(set(spellings))


def test_tutorial_spelling_is_an_alias() -> None:
    assert "tensorflow_gpu_memory_fraction" in TABLE["per_process_gpu_memory_fraction"].aliases


def test_the_document_is_up_to_date() -> None:
    from tensorserve.config.reference import flags_document

    assert (ROOT / "docs" / "flags.md").read_text() == flags_document(), "run make docs"
