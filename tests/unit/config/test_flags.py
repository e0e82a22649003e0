# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest

from tensorserve.config.flag import Kind
from tensorserve.config.flags import FLAGS, FLAGS_BY_NAME, ServerOptions


def test_options_and_table_agree() -> None:
    assert vars(ServerOptions()) == {flag.name: flag.default for flag in FLAGS}


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_each_row_is_complete(flag) -> None:
    assert flag.help.endswith(".")
    python_type = {Kind.BOOL: bool, Kind.FLOAT: float, Kind.STRING: str}.get(flag.kind, int)
    assert type(flag.default) is python_type
    annotation = {field.name: field.type for field in dataclasses.fields(ServerOptions)}[flag.name]
    assert annotation in (python_type, python_type.__name__)


def test_no_spelling_has_two_meanings() -> None:
    assert len(FLAGS_BY_NAME) == sum(1 + len(flag.aliases) for flag in FLAGS)


def test_the_name_of_the_tutorials_for_the_gpu_memory_fraction() -> None:
    assert FLAGS_BY_NAME["tensorflow_gpu_memory_fraction"].name == "per_process_gpu_memory_fraction"
