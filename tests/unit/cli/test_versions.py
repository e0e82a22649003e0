# SPDX-License-Identifier: Apache-2.0
import pytest

import tensorserve
from tensorserve.cli import main, serve, tensorflow_model_server
from tensorserve.cli.exit_status import OK
from tensorserve.cli.versions import installed_version


@pytest.mark.parametrize("run", [serve.run, tensorflow_model_server.run], ids=["tensorserve", "alias"])
def test_both_versions(run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version", "--tensorflow_library=/none"]) == OK
    assert capsys.readouterr().out.splitlines() == [
        f"TensorFlow ModelServer: {tensorserve.__version__} (tensorserve)",
        "TensorFlow Library: none (--tensorflow_library: there is no file /none)",
    ]


def test_without_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == OK
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["TensorFlow ModelServer", "TensorFlow Library"]


def test_the_installed_version_is_the_librarys() -> None:
    from tensorserve.runtimes.tensorflow import open_library

    assert installed_version() == open_library().version
