# SPDX-License-Identifier: Apache-2.0
"""The command `tensorserve`."""

import select
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from tensorserve.cli.exit_status import NOBODY_READS, OK, USAGE, end_process
from tensorserve.cli.terminal import complain
from tensorserve.log import open_standard_descriptors

# Each sub-command is a module with a function `run(words) -> exit status`, imported only when it is used. Those whose
# arguments are not the server's flags have `parser()` as well.
COMMANDS = {
    "serve": "Serve models over gRPC and HTTP/REST.",
    "export": "Write a trained model as a version that a server finds.",
    "inspect": "Show what a model takes and gives, without loading it.",
    "predict": "Send one request to a server, or to a model on disk.",
    "bench": "Measure what a server can take, and how long its answers take.",
    "models": "Look at and change the models of a running server.",
    "check": "Say what a server with these flags would find wrong, without serving.",
    "log": "Show or change the log level of a running server.",
    "restart": "Start a running server anew on the same ports, without losing a request.",
    "warmup": "Make, show and try warm-up files.",
    "completion": "Print a script that completes commands and flags, for bash, zsh or fish.",
}


def main(words: Sequence[str] | None = None) -> None:
    """Runs the command and ends the process with its exit status."""
    open_standard_descriptors()
    try:
        status = run(sys.argv[1:] if words is None else words)
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        status = NOBODY_READS
    end_process(status)


def _nobody_reads() -> bool:
    """Whether the standard output is a pipe whose reader has gone, such as `head`."""
    poll = select.poll()
    poll.register(1, 0)
    return any(event & select.POLLERR for _descriptor, event in poll.poll(0))


def run(words: Sequence[str]) -> int:
    """Runs the command; `words` are those after the program's name. Gives the exit status."""
    if len(words) > 1 and words[0] == "help":
        words = [words[1], "--help"]
    if not words or words[0] in ("help", "--help", "-h"):
        print(_help(), end="")
        return OK if words else USAGE
    command = words[0]
    if command == "--version":
        from tensorserve.cli.versions import print_versions

        return print_versions()
    if command not in COMMANDS:
        complain(f"tensorserve: unknown command: {command}{_nearest(command)}")
        complain("`tensorserve --help` lists the commands.")
        return USAGE
    run_command: Callable[[Sequence[str]], int] = import_module(f"tensorserve.cli.{command}").run
    return run_command(words[1:])


def _help() -> str:
    width = max(map(len, COMMANDS)) + 1
    commands = "".join(f"  {name:<{width}} {text}\n" for name, text in COMMANDS.items())
    return (
        "usage: tensorserve COMMAND [--flag=value ...]\n\n"
        f"commands:\n{commands}\n"
        "`tensorserve COMMAND --help` lists the flags; `tensorserve --version` prints versions.\n"
        'Completions: eval "$(tensorserve completion bash)", or zsh; `tensorserve completion fish | source`.\n'
    )


def _nearest(command: str) -> str:
    from difflib import get_close_matches

    nearest = get_close_matches(command, COMMANDS, n=1)
    return f"; did you mean {nearest[0]}?" if nearest else ""
