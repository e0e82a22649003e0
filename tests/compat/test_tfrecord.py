# SPDX-License-Identifier: Apache-2.0
"""TFRecord files of ours are TensorFlow's, and the other way round."""

from pathlib import Path

import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tensorserve import _core

RECORDS = st.lists(st.binary(max_size=300), max_size=6)
SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_by_tensorflow(path: Path) -> list[bytes]:
    return list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())


def outcome(path: Path) -> tuple[list[bytes], str | None]:
    """What TensorFlow reads, or the text of its error."""
    try:
        return read_by_tensorflow(path), None
    except tf.errors.DataLossError as error:
        return [], error.message


def read_by_us(path: Path) -> list[bytes]:
    return list(_core.TfRecordReader(str(path)))


@SETTINGS
@given(records=RECORDS)
def test_tensorflow_reads_ours(tmp_path: Path, records: list[bytes]) -> None:
    path = tmp_path / "ours"
    path.write_bytes(_core.tfrecords(records))
    assert read_by_tensorflow(path) == records


@SETTINGS
@given(records=RECORDS)
def test_we_read_those_of_tensorflow(tmp_path: Path, records: list[bytes]) -> None:
    path = tmp_path / "theirs"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    assert path.read_bytes() == _core.tfrecords(records)
    assert read_by_us(path) == records


@SETTINGS
@given(records=st.lists(st.binary(max_size=40), min_size=1, max_size=4), data=st.data())
def test_damaged_files_fail_with_its_text(tmp_path: Path, records: list[bytes], data: st.DataObject) -> None:
    path = tmp_path / "damaged"
    content = bytearray(_core.tfrecords(records))
    if data.draw(st.booleans(), "cut off"):
        content = content[: data.draw(st.integers(0, len(content)), "length")]
    else:
        content[data.draw(st.integers(0, len(content) - 1), "at")] ^= 1 << data.draw(st.integers(0, 7), "bit")
    path.write_bytes(content)
    expected, error = outcome(path)
    if error is None:
        assert read_by_us(path) == expected
        return
    with pytest.raises(_core.ServingError) as failure:
        read_by_us(path)
    code, message = failure.value.args
    assert code == 15
    assert f" {message} " in error


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _core.TfRecordReader(str(tmp_path / "none"))
