# SPDX-License-Identifier: Apache-2.0
"""`tensorserve completion`: prints a script that completes commands and flags, for bash, zsh or fish."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module

from tensorserve.cli.arguments import Parser, UsageError
from tensorserve.cli.exit_status import OK

# These take the flags of a server.
_SERVER_COMMANDS = ("serve", "check")
_ALIAS = "tensorflow_model_server"


@dataclass(frozen=True, slots=True)
class _Word:
    """A word that can be completed: a command or a flag.

    Attributes:
        text: How it is written.
        help: What it does, in a few words.
    """

    text: str
    help: str


@dataclass(frozen=True, slots=True)
class _Command:
    """A command with the words that may follow it."""

    word: _Word
    flags: tuple[_Word, ...]
    commands: tuple[_Command, ...] = field(default=())


def parser() -> Parser:
    """The arguments of the command."""
    made = Parser(
        "tensorserve completion",
        description="Prints a script that completes commands and flags.",
        epilog='bash, zsh: eval "$(tensorserve completion bash)" in .bashrc, or zsh in .zshrc after compinit\n'
        "fish: tensorserve completion fish > ~/.config/fish/completions/tensorserve.fish",
    )
    made.add_argument("shell", choices=tuple(_SCRIPTS), help="the shell")
    return made


def run(words: Sequence[str]) -> int:
    """Prints the script; `words` are those after `completion`. Gives the exit status."""
    try:
        arguments = parser().read(words)
    except UsageError as error:
        return error.status
    print("\n".join(_SCRIPTS[arguments.shell](list(_commands()))))
    return OK


def _commands() -> Iterator[_Command]:
    from tensorserve.cli.main import COMMANDS

    for name, text in COMMANDS.items():
        if name in _SERVER_COMMANDS:
            yield _Command(_Word(name, _short(text)), _server_flags())
        else:
            made: Parser = parser() if name == "completion" else import_module(f"tensorserve.cli.{name}").parser()
            yield _of_parser(name, text, made)


def _server_flags() -> tuple[_Word, ...]:
    from tensorserve.config.flags import FLAGS

    return tuple(_Word(f"--{flag.name}", _short(flag.help)) for flag in FLAGS)


def _of_parser(name: str, text: str, made: Parser) -> _Command:
    flags = [
        _Word(spelling, _short(action.help or ""))
        for action in made._actions
        for spelling in action.option_strings
        if spelling.startswith("--") and action.help is not argparse.SUPPRESS
    ]
    choices = [
        _Word(str(choice), "")
        for action in made._actions
        if not action.option_strings and not made.commands()
        for choice in action.choices or ()
    ]
    inner = [_of_parser(each, commands.description or "", commands) for each, commands in made.commands().items()]
    inner += [_Command(choice, ()) for choice in choices]
    return _Command(_Word(name, _short(text)), tuple(flags), tuple(inner))


def _short(text: str) -> str:
    """The first sentence, without what a shell would take for its own."""
    first = text.replace("\n", " ").partition(". ")[0].rstrip(".")
    return "".join(letter for letter in first if letter.isalnum() or letter in " ,;()-/=<>_.+")


def _texts(words: Sequence[_Word]) -> str:
    return " ".join(word.text for word in words)


def _bash(commands: Sequence[_Command]) -> Iterator[str]:
    yield "_tensorserve() {"
    yield '    local current="${COMP_WORDS[COMP_CWORD]}" words=""'
    yield "    COMPREPLY=()"
    yield '    if [ "$COMP_CWORD" -eq 1 ]; then'
    yield f'        words="{_texts([command.word for command in commands])} --help --version"'
    yield "    else"
    yield '        case "${COMP_WORDS[1]} ${COMP_WORDS[2]}" in'
    for command in commands:
        for inner in command.commands:
            yield f'            "{command.word.text} {inner.word.text}") words="{_texts(inner.flags)}" ;;'
        first = _texts([*command.flags, *(inner.word for inner in command.commands)])
        yield f'            "{command.word.text} "*) words="{first}" ;;'
    yield "        esac"
    yield "    fi"
    yield '    COMPREPLY=( $(compgen -W "$words" -- "$current") )'
    yield "}"
    yield "_tensorflow_model_server() {"
    yield f'    local words="{_texts(next(each.flags for each in commands if each.word.text == "serve"))}"'
    yield '    COMPREPLY=( $(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}") )'
    yield "}"
    yield "complete -o default -F _tensorserve tensorserve"
    yield f"complete -o default -F _{_ALIAS} {_ALIAS}"


def _zsh(commands: Sequence[_Command]) -> Iterator[str]:
    yield "#compdef tensorserve tensorflow_model_server"
    yield "_tensorserve() {"
    yield "    local -a words_here"
    yield f'    if [[ "$service" == {_ALIAS} ]]; then'
    server = next(each for each in commands if each.word.text == "serve")
    yield f"        words_here=({_described(server.flags)})"
    yield "    elif (( CURRENT == 2 )); then"
    yield f"        words_here=({_described([command.word for command in commands])})"
    yield "    else"
    yield '        case "${words[2]} ${words[3]}" in'
    for command in commands:
        for inner in command.commands:
            yield f'            "{command.word.text} {inner.word.text}") words_here=({_described(inner.flags)}) ;;'
        first = _described([*command.flags, *(inner.word for inner in command.commands)])
        yield f'            "{command.word.text} "*) words_here=({first}) ;;'
    yield "        esac"
    yield "    fi"
    yield "    _describe 'tensorserve' words_here"
    yield "    _files"
    yield "}"
    yield "compdef _tensorserve tensorserve tensorflow_model_server"


def _described(words: Sequence[_Word]) -> str:
    return " ".join(f"'{word.text}:{word.help}'" for word in words)


def _fish(commands: Sequence[_Command]) -> Iterator[str]:
    names = _texts([command.word for command in commands])
    for command in commands:
        word = command.word
        yield f"complete -c tensorserve -n 'not __fish_seen_subcommand_from {names}' -f -a {word.text} -d '{word.help}'"
        inner = _texts([each.word for each in command.commands])
        here = f"__fish_seen_subcommand_from {word.text}"
        for each in command.commands:
            alone = f"{here}; and not __fish_seen_subcommand_from {inner}"
            yield f"complete -c tensorserve -n '{alone}' -f -a {each.word.text} -d '{each.word.help}'"
            both = f"{here}; and __fish_seen_subcommand_from {each.word.text}"
            yield from (_fish_flag("tensorserve", both, flag) for flag in each.flags)
        yield from (_fish_flag("tensorserve", here, flag) for flag in command.flags)
        if word.text == "serve":
            yield from (_fish_flag(_ALIAS, "true", flag) for flag in command.flags)


def _fish_flag(program: str, condition: str, flag: _Word) -> str:
    return f"complete -c {program} -n '{condition}' -l {flag.text.removeprefix('--')} -d '{flag.help}'"


_SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
