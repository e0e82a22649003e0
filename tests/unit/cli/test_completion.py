# SPDX-License-Identifier: Apache-2.0
import shutil
import subprocess

import pytest

from tensorserve.cli import completion
from tensorserve.cli.exit_status import OK, USAGE
from tensorserve.cli.main import COMMANDS
from tensorserve.config.flags import FLAGS


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert completion.run([shell]) == OK
    return capsys.readouterr().out


def complete(text: str, *words: str, function: str = "_tensorserve") -> list[str]:
    """What bash offers for the last word."""
    line = " ".join(f"'{word}'" for word in ("tensorserve", *words))
    code = f'{text}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; {function}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_bash(capsys: pytest.CaptureFixture[str]) -> None:
    text = script("bash", capsys)
    assert complete(text, "") == [*COMMANDS, "--help", "--version"]
    assert complete(text, "in") == ["inspect"]
    assert complete(text, "inspect", "--js") == ["--json"]
    assert complete(text, "models", "re") == ["remove", "release", "reload", "ready"]
    assert complete(text, "models", "add", "--pol") == ["--policy"]
    assert complete(text, "completion", "") == ["--help", "bash", "zsh", "fish"]
    assert complete(text, "serve", "--rest_api_p") == ["--rest_api_port"]
    assert complete(text, "--model_base", function="_tensorflow_model_server") == ["--model_base_path"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_understand_their_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = script(shell, capsys)
    assert all(flag.name in text for flag in FLAGS)
    assert all(name in text for name in COMMANDS)
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=text, text=True, check=True)


def test_other_shells_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert completion.run(["csh"]) == USAGE
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err.replace("bash, zsh, fish", "'bash', 'zsh', 'fish'")


def test_every_command_names_the_nearest_flag(capsys: pytest.CaptureFixture[str]) -> None:
    """A command with arguments of its own has a parser that knows its flags."""
    from importlib import import_module

    for name in COMMANDS.keys() - {"serve", "check"}:
        parser = import_module(f"tensorserve.cli.{name}").parser()
        flag = max((each for each in parser.flags() if each.startswith("--")), key=len)
        nearest = parser._nearest(f"{flag[:-1]}")
        assert flag in nearest, name
