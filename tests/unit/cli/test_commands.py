# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys

import pytest

from tensorserve.cli import main, serve, tensorflow_model_server
from tensorserve.cli.exit_status import FAILURE, NOBODY_READS, OK, USAGE
from tensorserve.config.reference import usage


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == OK
    assert "  serve " in capsys.readouterr().out
    assert main.run([]) == USAGE


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["server"]) == USAGE
    assert capsys.readouterr().err == (
        "tensorserve: unknown command: server; did you mean serve?\n`tensorserve --help` lists the commands.\n"
    )


def test_help_of_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["help", "inspect"]) == OK
    assert capsys.readouterr().out.startswith("usage: tensorserve inspect ")


def test_serve_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["serve", "--help"]) == OK
    assert capsys.readouterr().out == usage("tensorserve serve")


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("--model-base-path=x", "unknown argument: --model-base-path=x; did you mean --model_base_path?"),
        ("half_plus_two", "unknown argument: half_plus_two"),
        ("--port=abc", "Couldn't interpret value abc for flag port."),
    ],
)
def test_serve_refuses_what_it_does_not_understand(word: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert serve.run([word]) == USAGE
    printed = capsys.readouterr()
    assert printed.err.startswith(f"tensorserve serve: {text}")
    assert printed.out == ""


def test_the_alias_treats_bad_values_like_the_original(capsys: pytest.CaptureFixture[str]) -> None:
    assert tensorflow_model_server.run(["--enable_batching=1"]) == FAILURE
    printed = capsys.readouterr()
    assert printed.err == "Couldn't interpret value 1 for flag enable_batching.\n"
    assert printed.out == usage("tensorflow_model_server")


def test_the_alias_ends_with_255_after_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert tensorflow_model_server.run(["--help"]) == FAILURE
    assert capsys.readouterr().out == usage("tensorflow_model_server")


def test_a_reader_that_leaves_is_no_error() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    words = [sys.executable, "-m", "tensorserve.cli", "serve", "--help"]
    with os.fdopen(write_end, "wb") as output:
        done = subprocess.run(words, stdout=output, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr) == (NOBODY_READS, b"")
