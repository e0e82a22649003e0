# SPDX-License-Identifier: Apache-2.0
"""Our definitions are those of TensorFlow and TensorFlow Serving, field by field.

The packages `tensorflow` and `tensorflow-serving-api` hold the truth: their descriptors are compared with ours, and
messages written with theirs are read with ours. Files that neither package ships are held to the tables below.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet, ServiceDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tensorserve import _core

Facts = dict[str, object]

SERVICES = {
    "PredictionService": ["Classify", "GetModelMetadata", "MultiInference", "Predict", "Regress"],
    "ModelService": ["GetModelStatus", "HandleReloadConfigRequest"],
    "SessionService": ["SessionRun"],
}

SERVABLES = "tensorflow_serving/servables/tensorflow/"

NOT_SHIPPED = {
    "grpc/health/v1/health.proto",
    "grpc/reflection/v1/reflection.proto",
    "grpc/reflection/v1alpha/reflection.proto",
    "tensorflow/core/grappler/optimizers/inference/batch_op_rewriter.proto",
    "tensorflow/core/tfrt/graph_executor/config.proto",
    "tensorflow_serving/config/monitoring_config.proto",
    "tensorflow_serving/config/ssl_config.proto",
    SERVABLES + "remote_op_config_rewriter.proto",
    SERVABLES + "saved_model_bundle_source_adapter.proto",
    SERVABLES + "saved_model_config.proto",
    SERVABLES + "session_bundle_config.proto",
    SERVABLES + "thread_pool_factory_config.proto",
    "tensorserve/config/model_settings.proto",
}

# Field numbers of messages in files that the packages do not ship, with the type where it is not a plain scalar.
NUMBERS: dict[str, dict[str, int | tuple[int, str]]] = {
    "tensorflow.serving.PrometheusConfig": {"enable": 1, "path": 2},
    "tensorflow.serving.MonitoringConfig": {"prometheus_config": (1, "tensorflow.serving.PrometheusConfig")},
    "tensorflow.serving.SSLConfig": {"server_key": 1, "server_cert": 2, "custom_ca": 3, "client_verify": 4},
    "tensorflow.serving.ThreadPoolFactoryConfig": {"thread_pool_factory_config": (1, "google.protobuf.Any")},
    "tensorflow.serving.BatchingParameters": {
        "max_batch_size": (1, "google.protobuf.Int64Value"),
        "batch_timeout_micros": (2, "google.protobuf.Int64Value"),
        "max_enqueued_batches": (3, "google.protobuf.Int64Value"),
        "num_batch_threads": (4, "google.protobuf.Int64Value"),
        "thread_pool_name": (5, "google.protobuf.StringValue"),
        "allowed_batch_sizes": 6,
        "pad_variable_length_inputs": 7,
        "enable_large_batch_splitting": (8, "google.protobuf.BoolValue"),
        "max_execution_batch_size": (9, "google.protobuf.Int64Value"),
    },
    "tensorflow.serving.SavedModelBundleSourceAdapterConfig": {
        "legacy_config": (1000, "tensorflow.serving.SessionBundleConfig")
    },
    "tensorflow.serving.SessionBundleConfig": {
        "session_target": 1,
        "session_config": (2, "tensorflow.ConfigProto"),
        "batching_parameters": (3, "tensorflow.serving.BatchingParameters"),
        "session_run_load_threadpool_index": (4, "google.protobuf.Int32Value"),
        "experimental_transient_ram_bytes_during_load": 5,
        "saved_model_tags": 6,
        "in_graph_batching_parameters": (7, "tensorflow.BatchingOptions"),
        "experimental_fixed_input_tensors": (778, "tensorflow.NamedTensorProto"),
        "enable_model_warmup": 779,
        "model_warmup_options": (780, "tensorflow.serving.ModelWarmupOptions"),
        "enable_session_metadata": 781,
        "remove_unused_fields_from_bundle_metagraph": 782,
        "prefer_tflite_model": 783,
        "resource_estimation_uses_validation_result": 784,
        "num_tflite_interpreters": 785,
        "num_tflite_interpreters_per_pool": 786,
        "num_tflite_pools": 787,
        "wrap_session_with_no_threading_params": 788,
        "enable_per_model_batching_params": 789,
        "enable_saved_model_config": 790,
        "mixed_precision": 791,
    },
    "tensorflow.serving.ModelWarmupOptions": {
        "num_request_iterations": (1, "google.protobuf.Int32Value"),
        "num_model_warmup_threads": (2, "google.protobuf.Int32Value"),
        "model_name": 3,
        "model_version": 4,
        "enable_all_batch_sizes_warmup": 5,
    },
    "tensorflow.serving.SavedModelConfig": {
        "session_overrides": (1, "tensorflow.serving.SessionOverrides"),
        "tfrt_runtime_config": (2, "tensorflow.tfrt_stub.RuntimeConfigProto"),
        "critical": 3,
    },
    "tensorflow.serving.SessionOverrides": {
        "remote_op_remap_config": (1, "tensorflow.serving.tools.RemoteOpRemapConfig"),
        "batch_op_rewriter_config": (2, "tensorflow.serving.BatchOpRewriteConfig"),
        "disable_meta_optimizer": 3,
    },
    "grpc.health.v1.HealthCheckRequest": {"service": 1},
    "grpc.health.v1.HealthCheckResponse": {"status": (1, "grpc.health.v1.HealthCheckResponse.ServingStatus")},
}


def pool_of(files: FileDescriptorSet) -> DescriptorPool:
    pool = DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


def modules_of_packages(carried: set[str]) -> Iterator[Any]:
    """Every module of `tensorflow-serving-api`, and those of `tensorflow` for the files that we carry."""
    serving = importlib.import_module("tensorflow_serving")
    for module in pkgutil.walk_packages(serving.__path__, "tensorflow_serving."):
        if module.name.endswith("_pb2"):
            yield importlib.import_module(module.name)
    for name in sorted(carried - NOT_SHIPPED):
        if name.startswith("tensorflow/"):
            yield importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")


def with_imports(file: FileDescriptor, found: dict[str, FileDescriptor]) -> None:
    if file.name not in found:
        found[file.name] = file
        for imported in file.dependencies:
            with_imports(imported, found)


@pytest.fixture(scope="module")
def our_set() -> FileDescriptorSet:
    return FileDescriptorSet.FromString(_core.descriptor_set())


@pytest.fixture(scope="module")
def ours(our_set: FileDescriptorSet) -> dict[str, FileDescriptor]:
    pool = pool_of(our_set)
    return {file.name: pool.FindFileByName(file.name) for file in our_set.file}


@pytest.fixture(scope="module")
def theirs(ours: dict[str, FileDescriptor]) -> dict[str, FileDescriptor]:
    found: dict[str, FileDescriptor] = {}
    for module in modules_of_packages(set(ours)):
        with_imports(module.DESCRIPTOR, found)
    return found


def messages(file: FileDescriptor) -> Iterator[Descriptor]:
    """Every message of a file, nested ones and map entries too."""
    pending = list(file.message_types_by_name.values())
    while pending:
        message = pending.pop()
        yield message
        pending.extend(message.nested_types)


def field_facts(field: FieldDescriptor) -> Facts:
    typed = field.message_type or field.enum_type
    return {
        "number": field.number,
        "type": field.type,
        "of": typed.full_name if typed else None,
        "repeated": field.is_repeated,
        "required": field.is_required,
        "presence": field.has_presence,
        "packed": field.is_packed,
        "oneof": field.containing_oneof.name if field.containing_oneof else None,
        "json_name": field.json_name,
        "default": field.default_value if not field.is_repeated and field.message_type is None else None,
        "deprecated": field.GetOptions().deprecated,
    }


def message_facts(message: Descriptor) -> Facts:
    proto = DescriptorProto()
    message.CopyToProto(proto)
    return {
        "fields in order": [field.name for field in message.fields],
        "oneofs": [oneof.name for oneof in message.oneofs],
        "reserved numbers": [(reserved.start, reserved.end) for reserved in proto.reserved_range],
        "reserved names": list(proto.reserved_name),
        "map entry": message.GetOptions().map_entry,
    }


def enum_facts(enum: EnumDescriptor) -> Facts:
    return {
        "values": [(value.name, value.number) for value in enum.values],
        "closed": enum.is_closed,
        "alias": enum.GetOptions().allow_alias,
    }


def facts(file: FileDescriptor) -> dict[str, Facts]:
    """What a file says, by full name."""
    found: dict[str, Facts] = {file.name: {"package": file.package}}
    enums = list(file.enum_types_by_name.values())
    for message in messages(file):
        found[message.full_name] = message_facts(message)
        found.update((field.full_name, field_facts(field)) for field in message.fields)
        enums.extend(message.enum_types)
    found.update((enum.full_name, enum_facts(enum)) for enum in enums)
    for service in file.services_by_name.values():
        found[service.full_name] = {"methods": [method.name for method in service.methods]}
        for method in service.methods:
            found[method.full_name] = {
                "input": method.input_type.full_name,
                "output": method.output_type.full_name,
                "streaming": (method.client_streaming, method.server_streaming),
            }
    return found


def differences(ours: Mapping[str, FileDescriptor], theirs: Mapping[str, FileDescriptor]) -> list[str]:
    """One line for each fact of a file in both that is not the same."""
    lines = []
    for name in sorted(ours.keys() & theirs.keys()):
        left, right = facts(ours[name]), facts(theirs[name])
        for key in sorted(left.keys() | right.keys()):
            if left.get(key) != right.get(key):
                lines.append(f"{name}: {key}: ours {left.get(key)}, theirs {right.get(key)}")
    return lines


def test_files_in_both_say_the_same(ours: dict[str, FileDescriptor], theirs: dict[str, FileDescriptor]) -> None:
    assert differences(ours, theirs) == []


def test_the_comparison_covers_the_definitions(
    ours: dict[str, FileDescriptor], theirs: dict[str, FileDescriptor]
) -> None:
    compared = [theirs[name] for name in ours.keys() & theirs.keys()]
    assert len(compared) >= 55
    assert sum(1 for file in compared for _ in messages(file)) >= 230
    assert sum(len(message.fields) for file in compared for message in messages(file)) >= 800
    assert {service for file in compared for service in file.services_by_name} == SERVICES.keys()


def test_every_file_of_serving_and_its_imports_is_ours_too(
    ours: dict[str, FileDescriptor], theirs: dict[str, FileDescriptor]
) -> None:
    assert theirs.keys() - ours.keys() == set()
    assert len([name for name in theirs if name.startswith("tensorflow_serving/")]) >= 19


def test_files_that_only_we_have(ours: dict[str, FileDescriptor], theirs: dict[str, FileDescriptor]) -> None:
    assert ours.keys() - theirs.keys() == NOT_SHIPPED


@pytest.mark.parametrize("service", SERVICES)
def test_service_methods(ours: dict[str, FileDescriptor], service: str) -> None:
    found = [file.services_by_name[service] for file in ours.values() if service in file.services_by_name]
    assert [each.full_name for each in found] == [f"tensorflow.serving.{service}"]
    assert sorted(method.name for method in found[0].methods) == SERVICES[service]


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_of_messages_that_are_not_shipped(ours: dict[str, FileDescriptor], name: str) -> None:
    everywhere = {message.full_name: message for file in ours.values() for message in messages(file)}
    found: dict[str, int | tuple[int, str]] = {}
    for field in everywhere[name].fields:
        typed = field.message_type or field.enum_type
        found[field.name] = (field.number, typed.full_name) if typed else field.number
    assert found == NUMBERS[name]


def scalar(field: FieldDescriptor) -> object:
    """Any value that is not the default."""
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    if field.type == FieldDescriptor.TYPE_BYTES:
        return b"\xff" + field.name.encode()
    return {
        FieldDescriptor.CPPTYPE_STRING: f"the {field.name}",
        FieldDescriptor.CPPTYPE_BOOL: True,
        FieldDescriptor.CPPTYPE_FLOAT: field.number + 0.5,
        FieldDescriptor.CPPTYPE_DOUBLE: field.number + 0.5,
    }.get(field.cpp_type, field.number + 1)


def fill(message: Any, variant: int, depth: int) -> None:
    """Sets every field, in each oneof the one that `variant` picks. An Any stays empty: its bytes must be a message."""
    if message.DESCRIPTOR.full_name == "google.protobuf.Any":
        return
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if oneof is not None and oneof.fields[variant % len(oneof.fields)].name != field.name:
            continue
        value = getattr(message, field.name)
        inner = field.message_type
        if inner is None:
            if field.is_repeated:
                value.extend([scalar(field)] * 2)
            else:
                setattr(message, field.name, scalar(field))
        elif depth == 0:
            continue
        elif inner.GetOptions().map_entry:
            key, element = scalar(inner.fields_by_name["key"]), inner.fields_by_name["value"]
            if element.message_type is None:
                value[key] = scalar(element)
            else:
                fill(value[key], variant, depth - 1)
        else:
            fill(value.add() if field.is_repeated else value, variant, depth - 1)


def filled(message: Descriptor) -> Iterator[Message]:
    """Messages that set every field between them."""
    for variant in range(max([len(oneof.fields) for oneof in message.oneofs], default=1)):
        instance = GetMessageClass(message)()
        fill(instance, variant, depth=3)
        yield instance


def test_messages_written_with_theirs_are_read_with_ours(
    ours: dict[str, FileDescriptor], theirs: dict[str, FileDescriptor]
) -> None:
    exchanged = 0
    for file in theirs.values():
        for message in messages(file):
            if message.GetOptions().map_entry or file.package == "google.protobuf":
                continue
            our_class = GetMessageClass(ours[file.name].pool.FindMessageTypeByName(message.full_name))
            for their_message in filled(message):
                written = their_message.SerializeToString(deterministic=True)
                our_message = our_class.FromString(written)
                assert our_message.SerializeToString(deterministic=True) == written, message.full_name
                assert json_format.MessageToDict(our_message) == json_format.MessageToDict(their_message)
                exchanged += 1
    assert exchanged >= 230


APIS = "tensorflow_serving/apis/"
TYPES = "tensorflow/core/framework/types.proto"
# A name, the file to spoil, the definition that then differs, and how to spoil it.
MISTAKES: list[tuple[str, str, str, Callable[[Any], object]]] = [
    ("number", APIS + "model.proto", "ModelSpec.name", lambda f: setattr(f.message_type[0].field[0], "number", 77)),
    ("type", APIS + "model.proto", "ModelSpec.name", lambda f: setattr(f.message_type[0].field[0], "type", 12)),
    ("label", APIS + "model.proto", "ModelSpec.name", lambda f: setattr(f.message_type[0].field[0], "label", 3)),
    (
        "oneof",
        APIS + "model.proto",
        "ModelSpec.version",
        lambda f: f.message_type[0].field[1].ClearField("oneof_index"),
    ),
    ("field", APIS + "model.proto", "ModelSpec.signature_name", lambda f: f.message_type[0].field.pop()),
    (
        "json",
        APIS + "status.proto",
        "StatusProto.error_code",
        lambda f: f.message_type[0].field[0].ClearField("json_name"),
    ),
    ("reserved", APIS + "predict.proto", "PredictRequest", lambda f: f.message_type[0].ClearField("reserved_range")),
    ("presence", APIS + "predict.proto", "PredictRequest.client_id", lambda f: no_presence(f.message_type[0])),
    ("message", TYPES, "SerializedDType", lambda f: f.message_type.pop()),
    ("enum", TYPES, "DataType", lambda f: setattr(f.enum_type[0].value[-1], "number", 77)),
    ("streaming", APIS + "prediction_service.proto", "PredictionService.Classify", lambda f: stream(f.service[0])),
    ("method", APIS + "model_service.proto", "ModelService", lambda f: f.service[0].method.pop()),
]


def no_presence(message: DescriptorProto) -> None:
    """Makes the `optional` fields plain ones."""
    for field in message.field:
        if field.proto3_optional:
            field.ClearField("proto3_optional")
            field.ClearField("oneof_index")
    message.ClearField("oneof_decl")


def stream(service: ServiceDescriptorProto) -> None:
    service.method[0].server_streaming = True


@pytest.mark.parametrize(("name", "where", "spoil"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_a_mistake_is_found(
    our_set: FileDescriptorSet,
    theirs: dict[str, FileDescriptor],
    name: str,
    where: str,
    spoil: Callable[[Any], object],
) -> None:
    wrong = FileDescriptorSet()
    wrong.CopyFrom(our_set)
    spoil(next(file for file in wrong.file if file.name == name))
    spoilt = pool_of(wrong).FindFileByName(name)
    found = differences({name: spoilt}, theirs)
    assert any(line.startswith(f"{name}: {spoilt.package}.{where}: ") for line in found), found
