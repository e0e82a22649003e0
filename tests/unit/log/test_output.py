# SPDX-License-Identifier: Apache-2.0
"""What a process writes, in a process of its own."""

import re
import subprocess
import sys

import pytest

START = "import sys, logging\nfrom tensorserve.log import configure_logging, flush_log\nconfigure_logging('info')\n"
END = "\nflush_log(10)\n"
LINE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} "


def log_of(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", START + code + END], capture_output=True, text=True, timeout=60)
    return done.stderr


def test_levels() -> None:
    log = log_of("log = logging.getLogger('tensorserve.x')\nlog.debug('no')\nlog.info('yes %s', 'a\\nb')")
    assert re.fullmatch(LINE + r"I yes a\\nb\n", log)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("print('a\\x1bb', file=sys.stderr)", r"a\x1bb"),
        ("sys.stderr.write('begun'); sys.stderr.write(' and ended\\n')", "begun and ended"),
        ("print('x' * 100_000, file=sys.stderr)", "xxx ... (100000 bytes in all)"),
        ("logging.getLogger('other').warning('from a library')", "from a library"),
        ("import warnings; warnings.warn('old')", "UserWarning: old"),
        ("import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start(); t.join()", "ZeroDivisionError"),
        ("class A:\n  def __del__(self): raise ValueError('in a finalizer')\nA()", "ValueError: in a finalizer"),
        ("logging.getLogger('tensorserve').info('%d', 'no number')", "--- Logging error ---"),
        ("print('ünï\\ud800', file=sys.stderr)", r"ünï\ud800"),
        (
            "sys.stderr.flush(); assert sys.stderr.fileno() == 2; print('ok', file=sys.stderr)",
            "ok",
        ),
    ],
)
def test_whatever_python_writes_to_stderr_goes_through_the_writer(code: str, text: str) -> None:
    assert text in log_of(code)


def test_an_exception_that_ends_the_program() -> None:
    done = subprocess.run([sys.executable, "-c", f"{START}1 / 0"], capture_output=True, text=True, timeout=60)
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_last_words_of_native_code_come_out() -> None:
    """A failed CHECK of TensorFlow writes to the descriptor, and ends the process."""
    done = subprocess.run(
        [sys.executable, "-c", f"{START}import os\nos.write(2, b'F check failed: a == b\\n')\nos.abort()"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode < 0
    assert done.stderr.startswith("F check failed: a == b\n")
