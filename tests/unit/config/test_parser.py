# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorserve.config.flag import Kind
from tensorserve.config.flags import FLAGS, ServerOptions
from tensorserve.config.parser import check_keywords, nearest_flag, parse_command_line
from tensorserve.errors import FlagValueError, UnknownFlagError


@pytest.mark.parametrize(
    ("words", "values", "leftover"),
    [
        ([], {}, ()),
        (["--port=1"], {"port": 1}, ()),
        (["--port", "1"], {"port": 1}, ()),
        (["--file_system_poll_wait_seconds", "-1"], {"file_system_poll_wait_seconds": -1}, ()),
        (["--port=+7"], {"port": 7}, ()),
        (["--port=1", "--port=2"], {"port": 2}, ()),
        (["--load_op_library=a.so,b.so", "--load_op_library", "c.so"], {"load_op_library": "a.so,b.so,c.so"}, ()),
        (["--enable_batching"], {"enable_batching": True}, ()),
        (["--enable_batching=true"], {"enable_batching": True}, ()),
        (["--enable_batching=false"], {"enable_batching": False}, ()),
        (["--enable_batching", "false"], {"enable_batching": True}, ("false",)),
        (["--model_name="], {"model_name": ""}, ()),
        (["--model_name=a=b"], {"model_name": "a=b"}, ()),
        (["--model_name", "a b"], {"model_name": "a b"}, ()),
        (["--tensorflow_gpu_memory_fraction=0.5"], {"per_process_gpu_memory_fraction": 0.5}, ()),
        (["--noenable_batching", "x"], {}, ("--noenable_batching", "x")),
        (["-port=1"], {}, ("-port=1",)),
        (["port=1"], {}, ("port=1",)),
        (["--port=1", "--", "--port=2", "x"], {"port": 1}, ("--port=2", "x")),
        (["--help", "--port=1"], {"port": 1}, ("--help",)),
    ],
)
def test_command_line(words: list[str], values: dict, leftover: tuple[str, ...]) -> None:
    parsed = parse_command_line(words)
    assert parsed.values == values
    assert parsed.leftover == leftover


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--port=abc"], "Couldn't interpret value abc for flag port."),
        (["--port="], "Couldn't interpret value  for flag port."),
        (["--port=1.0"], "Couldn't interpret value 1.0 for flag port."),
        (["--port=1_0"], "Couldn't interpret value 1_0 for flag port."),
        (["--port=2147483648"], "Couldn't interpret value 2147483648 for flag port."),
        (["--enable_batching=1"], "Couldn't interpret value 1 for flag enable_batching."),
        (["--enable_batching=True"], "Couldn't interpret value True for flag enable_batching."),
        (
            ["--per_process_gpu_memory_fraction=x"],
            "Couldn't interpret value x for flag per_process_gpu_memory_fraction.",
        ),
        (
            ["--per_process_gpu_memory_fraction=nan"],
            "Couldn't interpret value nan for flag per_process_gpu_memory_fraction.",
        ),
        (["--tensorflow_gpu_memory_fraction=x"], "Couldn't interpret value x for flag tensorflow_gpu_memory_fraction."),
        (["--port"], "Couldn't interpret value  for flag port."),
        (["--model_name", "--port=1"], "Couldn't interpret value  for flag model_name."),
    ],
)
def test_bad_values(words: list[str], text: str) -> None:
    with pytest.raises(FlagValueError) as caught:
        parse_command_line(words)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("--model-base-path=/x", "model_base_path"),
        ("--prot", "port"),
        ("--enable_batchin", "enable_batching"),
        ("--tensorflow_gpu_memory_fractoin=1", "tensorflow_gpu_memory_fraction"),
        ("zzz", None),
    ],
)
def test_nearest_flag(word: str, nearest: str | None) -> None:
    assert nearest_flag(word) == nearest


_VALUES = {
    Kind.BOOL: st.booleans(),
    Kind.INT32: st.integers(-(2**31), 2**31 - 1),
    Kind.INT64: st.integers(-(2**63), 2**63 - 1),
    Kind.FLOAT: st.floats(allow_nan=False, allow_infinity=False),
    Kind.STRING: st.text(),
}


@given(st.fixed_dictionaries({}, optional={flag.name: _VALUES[flag.kind] for flag in FLAGS}))
def test_what_is_written_is_read_back(values: dict) -> None:
    words = [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in values.items()]
    parsed = parse_command_line(words)
    assert parsed.leftover == ()
    assert parsed.values == values
    assert check_keywords(values) == values
    assert vars(ServerOptions(**parsed.values)) == vars(ServerOptions()) | values


def test_keywords_take_paths_and_whole_numbers_for_floats() -> None:
    keywords = {"model_base_path": Path("a/b"), "drain_timeout_seconds": 5, "tensorflow_gpu_memory_fraction": 0.5}
    assert check_keywords(keywords) == {
        "model_base_path": "a/b",
        "drain_timeout_seconds": 5,
        "per_process_gpu_memory_fraction": 0.5,
    }


@pytest.mark.parametrize("keywords", [{"max_num_load_retries": "5"}, {"max_num_load_retries": True}, {"model_name": 1}])
def test_keywords_of_the_wrong_type(keywords: dict) -> None:
    with pytest.raises(FlagValueError):
        check_keywords(keywords)


def test_unknown_keyword_names_the_nearest_flag() -> None:
    with pytest.raises(UnknownFlagError, match="did you mean --model_base_path"):
        check_keywords({"model_path": "x"})
