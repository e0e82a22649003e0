# SPDX-License-Identifier: Apache-2.0
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tensorserve import protos
from tensorserve.config.flags import ServerOptions
from tensorserve.config.session_config import session_config


def parsed(options: ServerOptions):
    return protos.message("tensorflow.ConfigProto").FromString(session_config(options))


@pytest.mark.parametrize(
    ("session", "intra", "inter", "expected"),
    [
        (0, 0, 0, (0, 0)),
        (4, 0, 0, (4, 4)),
        (4, 2, 0, (2, 0)),
        (4, 0, 3, (0, 3)),
        (0, 2, 3, (2, 3)),
        (-1, -1, 0, (0, 0)),
    ],
)
def test_threads(session: int, intra: int, inter: int, expected: tuple[int, int]) -> None:
    config = parsed(
        ServerOptions(
            tensorflow_session_parallelism=session,
            tensorflow_intra_op_parallelism=intra,
            tensorflow_inter_op_parallelism=inter,
        )
    )
    assert (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads) == expected


def test_by_default_everything_is_left_to_tensorflow() -> None:
    assert session_config(ServerOptions()) == b""


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.floats(0, 1))
def test_our_encoding_is_what_protobuf_writes(intra: int, inter: int, fraction: float) -> None:
    expected = protos.message("tensorflow.ConfigProto")()
    expected.intra_op_parallelism_threads = intra
    expected.inter_op_parallelism_threads = inter
    if fraction:
        expected.gpu_options.per_process_gpu_memory_fraction = fraction
    options = ServerOptions(
        tensorflow_intra_op_parallelism=intra,
        tensorflow_inter_op_parallelism=inter,
        per_process_gpu_memory_fraction=fraction,
    )
    assert parsed(options) == expected


def test_flags_override_the_file_even_with_their_defaults(tmp_path: Path) -> None:
    file = tmp_path / "session.config"
    file.write_text(
        "intra_op_parallelism_threads: 7 inter_op_parallelism_threads: 8 allow_soft_placement: true "
        "gpu_options { allow_growth: true per_process_gpu_memory_fraction: 0.9 }"
    )
    config = parsed(ServerOptions(tensorflow_session_config_file=str(file), tensorflow_inter_op_parallelism=3))
    assert (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads) == (0, 3)
    assert config.allow_soft_placement
    assert config.gpu_options.allow_growth
    assert config.gpu_options.per_process_gpu_memory_fraction == 0


def test_bfloat16_is_asked_of_the_graph_optimizer(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        config = parsed(ServerOptions(mixed_precision="bfloat16", tensorflow_intra_op_parallelism=2))
    assert config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 == 1
    assert config.intra_op_parallelism_threads == 2
    assert "Running inference with bfloat16 auto mixed precision" in caplog.text


def test_other_precisions_are_ignored_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert not parsed(ServerOptions(mixed_precision="float16")).HasField("graph_options")
    assert "float16 auto mixed precision is not supported. Valid option: bfloat16" in caplog.text
