# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import pytest

from tensorserve.cli import inspect
from tensorserve.cli.exit_status import OK, REFUSED, UNREACHABLE, USAGE
from tests.unit.inspect.saved_models import half_plus_two, write


def test_text(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect.run([str(models / "half_plus_two")]) == OK
    printed = capsys.readouterr().out
    assert "half_plus_two, version 4" in printed
    assert "in  x  float32 [?]" in printed
    assert "can be batched: the first dimension of every input and output is open" in printed
    assert """curl -d '{"instances": [1.0]}' http://localhost:8501/v1/models/half_plus_two:predict""" in printed


def test_json(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect.run([str(models / "sums"), "--json"]) == OK
    found = json.loads(capsys.readouterr().out)
    assert found["signatures"][0]["inputs"][1]["default"] == [10.0]
    assert set(found["requests"]["serving_default"]) == {"curl", "python", "grpcurl"}


def test_ops(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect.run([str(models / "half_plus_two"), "--ops"]) == OK
    assert "       1  Mul\n" in capsys.readouterr().out


def test_the_exit_status_says_whether_a_change_breaks_clients(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow, wide = write(tmp_path / "a" / "1", half_plus_two((2,))), write(tmp_path / "b" / "1", half_plus_two((3,)))
    assert inspect.run([str(narrow), f"--diff={narrow}"]) == OK
    assert "are the same" in capsys.readouterr().out
    assert inspect.run([str(narrow), "--diff", str(wide)]) == REFUSED
    assert "! serving_default: input x: shape [2] is now [3]" in capsys.readouterr().out
    assert inspect.run([str(narrow), "--diff", str(wide), "--json"]) == REFUSED
    assert json.loads(capsys.readouterr().out)["changes"][0]["breaks"] is True


def test_a_wrong_flag_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect.run(["path", "--josn"]) == USAGE
    assert "unknown argument: --josn; did you mean --json?" in capsys.readouterr().err
    assert inspect.run(["path", "--duration=2"]) == USAGE
    assert "unknown argument: --duration=2\n" in capsys.readouterr().err, "--version is not near"


def test_a_model_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect.run([str(tmp_path)]) == USAGE
    assert "holds neither saved_model.pb nor numbered versions" in capsys.readouterr().err
    (tmp_path / "model.keras").touch()
    assert inspect.run([str(tmp_path / "model.keras")]) == USAGE
    assert f"tensorserve export {tmp_path / 'model.keras'} BASE_PATH" in capsys.readouterr().err
    graph = write(tmp_path / "1", half_plus_two()) / "saved_model.pb"
    assert inspect.run([str(graph)]) == OK
    assert inspect.run(["http://127.0.0.1:9"]) == UNREACHABLE
    assert "Is a server running there" in capsys.readouterr().err
