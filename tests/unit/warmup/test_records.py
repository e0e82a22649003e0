# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from typing import Any

import pytest

from tensorserve import _core, protos
from tensorserve.errors import Code, ServingError
from tensorserve.warmup.recording import Choice, from_request_logs, write_warmup_file
from tensorserve.warmup.records import Input, Record, describe, read_logs, warmup_path


def predict_log(model: str = "m", signature: str = "", columns: int = 3) -> Any:
    log = protos.PredictionLog()
    log.log_metadata.model_spec.name = model
    request = log.predict_log.request
    request.model_spec.signature_name = signature
    tensor = request.inputs["x"]
    tensor.dtype = 1
    for size in (2, columns):
        tensor.tensor_shape.dim.add(size=size)
    log.predict_log.response.model_spec.name = model
    return log


def write(path: Path, *logs: Any) -> str:
    path.write_bytes(_core.tfrecords([log.SerializeToString() for log in logs]))
    return str(path)


def test_a_predict_request_is_described() -> None:
    log = predict_log(signature="s")
    size = log.predict_log.request.ByteSize()
    assert describe(log) == Record("predict", "m", "s", (Input("x", "DT_FLOAT", (2, 3)),), size, True)


def test_requests_of_examples_are_described() -> None:
    log = protos.PredictionLog()
    request = log.regress_log.request
    request.model_spec.name = "m"
    request.input.example_list_with_context.examples.add()
    assert describe(log).inputs == (Input("examples", "DT_STRING", (1,)),)
    assert (describe(log).kind, describe(log).model, describe(log).has_response) == ("regress", "m", False)


def test_several_tasks_have_several_signatures() -> None:
    log = protos.PredictionLog()
    for signature in ("a", "b"):
        task = log.multi_inference_log.request.tasks.add()
        task.model_spec.name, task.model_spec.signature_name = "m", signature
    assert (describe(log).model, describe(log).signature) == ("m", "a,b")


def test_a_record_may_hold_nothing() -> None:
    assert describe(protos.PredictionLog()) == Record("", "", "", (), 0, False)


def test_unknown_types_are_shown_by_number() -> None:
    log = predict_log()
    log.predict_log.request.inputs["x"].dtype = 999
    assert describe(log).inputs[0].dtype == "999"


def test_a_directory_means_its_file(tmp_path: Path) -> None:
    assert warmup_path(str(tmp_path)) == str(tmp_path / "assets.extra" / "tf_serving_warmup_requests")
    assert warmup_path(str(tmp_path / "file")) == str(tmp_path / "file")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(_core.tfrecords([b"", b"\xff"]))
    with pytest.raises(ServingError, match=r"Record 1 of .*log is no tensorflow\.serving\.PredictionLog"):
        list(read_logs(str(path)))
    path.write_bytes(b"no TFRecord file")
    with pytest.raises(ServingError) as failure:
        list(read_logs(str(path)))
    assert (failure.value.code, str(path) in failure.value.message) == (Code.DATA_LOSS, True)
    with pytest.raises(ServingError) as failure:
        list(read_logs(str(tmp_path / "none")))
    assert failure.value.code is Code.NOT_FOUND


def test_requests_are_taken_without_their_responses(tmp_path: Path) -> None:
    log = predict_log()
    (record,) = from_request_logs([write(tmp_path / "log", log, protos.PredictionLog())], Choice())
    taken = protos.PredictionLog.FromString(record)
    assert taken.predict_log.request == log.predict_log.request
    assert not taken.predict_log.HasField("response")


def test_a_number_of_them_is_taken_from_all_files(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, predict_log(), predict_log()) for name in ("a", "b")]
    assert len(from_request_logs(paths, Choice(max_records=3))) == 3
    assert len(from_request_logs(paths, Choice())) == 4


def test_one_of_each_form_is_enough(tmp_path: Path) -> None:
    logs = [predict_log(), predict_log(), predict_log(columns=4), predict_log(signature="s")]
    assert len(from_request_logs([write(tmp_path / "log", *logs)], Choice(distinct=True))) == 3


def test_one_of_several_models_is_chosen(tmp_path: Path) -> None:
    path = write(tmp_path / "log", predict_log("a"), predict_log("b"), predict_log("b"))
    with pytest.raises(ServingError, match="several models, such as a and b"):
        from_request_logs([path], Choice())
    assert len(from_request_logs([path], Choice(model="b"))) == 2


def test_a_file_appears_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_warmup_file(str(path), [b"a", b"b"])
    assert list(_core.TfRecordReader(str(path))) == [b"a", b"b"]
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize(("records", "text"), [([], "no request"), ([b""] * 1001, "1001 requests are more")])
def test_files_that_no_server_can_use_are_not_written(records: list[bytes], text: str, tmp_path: Path) -> None:
    with pytest.raises(ServingError, match=text):
        write_warmup_file(str(tmp_path / "file"), records)
    assert list(tmp_path.iterdir()) == []
