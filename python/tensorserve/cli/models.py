# SPDX-License-Identifier: Apache-2.0
"""`tensorserve models`: looks at and changes the models of a running server, over its admin API."""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from tensorserve.cli.admin_client import AdminClient, ServerRefusedError, ServerUnreachableError
from tensorserve.cli.admin_command import add_server_arguments, run_with_server
from tensorserve.cli.arguments import Parser, UsageError
from tensorserve.cli.terminal import as_json, say
from tensorserve.log import printable

# How long a server may take until its ports answer, and how often that is tried.
_START_SECONDS = 60.0
_LOOK_SECONDS = 0.1

_CHANGES = ("added", "removed", "changed")

_Command = Callable[[AdminClient, argparse.Namespace], Any]


def run(words: Sequence[str]) -> int:
    """Runs one command; `words` are those after `models`. Gives the exit status."""
    try:
        arguments = parser().read(words)
    except UsageError as error:
        return error.status
    command: _Command = arguments.command

    def show(answer: Any) -> None:
        say(as_json(answer) if arguments.json else _as_text(answer))

    return run_with_server("models", arguments, lambda client: command(client, arguments), show)


def parser() -> Parser:
    """The arguments of the command."""
    common = Parser(add_help=False)
    add_server_arguments(common)
    common.add_argument("--json", action="store_true", help="print the server's answer as JSON")
    waits = Parser(add_help=False)
    waits.add_argument("--wait", action="store_true", help="wait until it is done")
    waits.add_argument("--timeout", type=float, help="wait at most this many seconds; implies --wait")
    made = Parser("tensorserve models", description=__doc__)
    commands = made.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, command: _Command, text: str, *, waiting: bool = False) -> argparse.ArgumentParser:
        parents = [common, waits] if waiting else [common]
        added = commands.add_parser(name, parents=parents, help=text, description=text)
        added.set_defaults(command=command)
        return added

    add("list", _list, "List the models, their versions, and why some are not loaded.")
    add("show", _show, "Show one model; with --wait, once it answers.", waiting=True).add_argument("name")
    _add_model_arguments(add("add", _add, "Add a model, or change the one of that name.", waiting=True))
    add("remove", _remove, "Remove a model: it finishes its requests and is unloaded.", waiting=True).add_argument(
        "name"
    )
    for verb, text in (("load", "Serve a version as well."), ("unload", "Serve a version no more.")):
        version = add(verb, _version_command(verb), f"{text} The model's policy becomes `specific`.", waiting=True)
        version.add_argument("name")
        version.add_argument("version", type=int)
    release = add("release", _version_command("release"), "Load a version again that was quarantined.")
    release.add_argument("name")
    release.add_argument("version", type=int)
    label = add("label", _label, "Set or remove labels of versions, all at once.")
    label.add_argument("name")
    label.add_argument("labels", nargs="+", metavar="LABEL=VERSION", help="LABEL= removes a label")
    add("reload", _reload, "Make the server read its configuration files again.", waiting=True)
    add(
        "ready",
        _ready,
        "Succeed if every model answers; with --wait, once the server is there and every model does.",
        waiting=True,
    )
    return made


def _add_model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("base_path", nargs="?", help="folder of the versions, as the server sees it")
    parser.add_argument("--platform", help="such as tensorflow, which is the default")
    parser.add_argument("--policy", help="latest, latest:N, all, or specific:N,N,...")
    parser.add_argument("--label", action="append", default=[], metavar="LABEL=VERSION")


def _list(client: AdminClient, arguments: argparse.Namespace) -> Any:
    return client.ask("GET", "models")


def _show(client: AdminClient, arguments: argparse.Namespace) -> Any:
    return client.ask("GET", _path(arguments, arguments.name))


def _add(client: AdminClient, arguments: argparse.Namespace) -> Any:
    model: dict[str, Any] = {}
    if arguments.base_path is not None:
        model["base_path"] = arguments.base_path
    if arguments.platform is not None:
        model["model_platform"] = arguments.platform
    if arguments.policy is not None:
        model["model_version_policy"] = _policy(arguments.policy)
    if arguments.label:
        model["version_labels"] = _labels(arguments.label)
    try:
        return client.ask("PUT", _path(arguments, arguments.name), model)
    except ServerRefusedError as error:
        raise ServerRefusedError(f"{_tidy(str(error))}{_what_stays(client, arguments)}") from error


def _tidy(text: str) -> str:
    """The same without the braces that TensorFlow Serving's text has left over."""
    return text.removesuffix("}, }").replace(": {{name: ", ": {name: ") if text.endswith("}, }") else text


def _what_stays(client: AdminClient, arguments: argparse.Namespace) -> str:
    """What to do about a model that was added and does not answer; empty if it was not added."""
    if not _query(arguments):
        return ""
    try:
        model = client.ask("GET", f"models/{quote(arguments.name)}")
    except (ServerRefusedError, ServerUnreachableError):
        return ""
    if model["ready"] or model["origin"] != "admin":
        return ""
    return (
        f"\nIt stays configured, and loading is tried again: `tensorserve models remove {arguments.name}` removes it."
    )


def _remove(client: AdminClient, arguments: argparse.Namespace) -> Any:
    return client.ask("DELETE", _path(arguments, arguments.name))


def _version_command(verb: str) -> _Command:
    def command(client: AdminClient, arguments: argparse.Namespace) -> Any:
        path = _path(arguments, arguments.name, "versions", f"{arguments.version}:{verb}")
        return client.ask("POST", path, {})

    return command


def _label(client: AdminClient, arguments: argparse.Namespace) -> Any:
    edits: dict[str, int | None] = {}
    for word in arguments.labels:
        edits |= {word[:-1]: None} if word[1:].endswith("=") else _labels([word])
    return client.ask("PATCH", _path(arguments, arguments.name, "labels"), edits)


def _reload(client: AdminClient, arguments: argparse.Namespace) -> Any:
    return client.ask("POST", f"reload{_query(arguments)}", {})


def _ready(client: AdminClient, arguments: argparse.Namespace) -> Any:
    """With `--wait` the server may be starting as well."""
    given = arguments.timeout if arguments.timeout is not None else _START_SECONDS if arguments.wait else 0.0
    end = time.monotonic() + given
    while True:
        try:
            return client.ask("GET", f"ready{_query(arguments)}")
        except ServerUnreachableError:
            if time.monotonic() >= end:
                raise
            time.sleep(_LOOK_SECONDS)


def _path(arguments: argparse.Namespace, *segments: str) -> str:
    return "/".join(["models", *(quote(segment, safe=":") for segment in segments)]) + _query(arguments)


def _query(arguments: argparse.Namespace) -> str:
    timeout = getattr(arguments, "timeout", None)
    if timeout is None and not getattr(arguments, "wait", False):
        return ""
    return "?" + urlencode({"wait": "true"} if timeout is None else {"wait": "true", "timeout": timeout})


def _policy(text: str) -> dict[str, Any]:
    kind, _, details = text.partition(":")
    numbers = details.split(",") if details else []
    are_numbers = all(number.removeprefix("-").isdecimal() for number in numbers)
    if kind == "latest" and are_numbers and len(numbers) <= 1:
        return {"latest": {"num_versions": int(details or 1)}}
    if kind == "specific" and are_numbers:
        return {"specific": {"versions": [int(version) for version in numbers]}}
    if text == "all":
        return {"all": {}}
    raise ValueError(f"{text} is no policy; there are latest, latest:N, all and specific:N,N,...")


def _labels(words: Sequence[str]) -> dict[str, int | None]:
    labels: dict[str, int | None] = {}
    for word in words:
        label, _, version = word.partition("=")
        if not label or not version.lstrip("-").isdigit():
            raise ValueError(f"{word} is not LABEL=VERSION")
        labels[label] = int(version)
    return labels


def _as_text(answer: Any) -> str:
    if "models" in answer:
        return _table(answer["models"])
    if "versions" in answer:
        return f"{_details(answer)}{_table([answer])}"
    if "ready" in answer:
        return "Every model answers."
    changes = [f"{change}: {', '.join(map(printable, answer[change]))}" for change in _CHANGES if answer.get(change)]
    changes += [
        printable(f"label {label} of {name}: {_lost(lost)}")
        for name, labels in answer.get("lost_labels", {}).items()
        for label, lost in labels.items()
    ]
    return "\n".join(changes) or "Nothing has changed."


def _details(model: Any) -> str:
    """What a model is configured with, if the answer says so."""
    if "origin" not in model:
        return ""
    labels = {**model["version_labels"], **model.get("pending_version_labels", {})}
    facts = {
        "base path": model["base_path"],
        "policy": _policy_text(model["model_version_policy"]),
        "labels": ", ".join(f"{label}={version}" for label, version in sorted(labels.items())) or "none",
        # Where its configuration comes from.
        "origin": model["origin"],
    }
    return "".join(f"{printable(f'{name}: {fact}')}\n" for name, fact in facts.items())


def _policy_text(policy: Any) -> str:
    [(kind, details)] = policy.items()
    values = details.get("versions", []) if kind == "specific" else list(details.values())
    return f"{kind}:{','.join(map(str, values))}" if kind != "all" else kind


def _lost(label: Any) -> str:
    after = "gone, since the configuration does not have it" if label["after"] is None else f"version {label['after']}"
    return f"version {label['before']} before, now {after}"


def _table(models: Sequence[Any]) -> str:
    rows: list[tuple[str, ...]] = [("MODEL", "VERSION", "STATE", "LABELS", "SINCE", "REMARK")]
    for model in models:
        rows += (tuple(map(printable, row)) for row in _rows(model))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _rows(model: Any) -> list[tuple[str, ...]]:
    name, labels = model["name"], model["version_labels"]
    rows: list[tuple[str, ...]] = []
    for version in model["versions"]:
        if version["state"] == "END" and not version["error"]:
            continue
        named = ",".join(sorted(label for label, number in labels.items() if number == version["version"]))
        remark = version["error"] or ""
        if version["state"] == "LOADING" and remark:
            remark = f"attempt {version['attempts']} failed: {remark}"
        rows.append((name, str(version["version"]), version["state"], named, version["since"][:19], remark))
    rows += [(name, str(it["version"]), "-", "", "", it["reason"]) for it in model["not_loaded"]]
    shown = {row[1] for row in rows if row[2] != "-"}
    rows += [
        (name, str(version), "-", label, "", f"label {label} -> {version} (not served)")
        for label, version in sorted(labels.items())
        if str(version) not in shown
    ]
    rows += [
        (name, str(version), "-", "", "", f"label {label} -> {version} (set once that is available)")
        for label, version in sorted(model.get("pending_version_labels", {}).items())
    ]
    if model["problem"] or not rows:
        rows.append((name, "-", "-", "", "", model["problem"] or f"no version in {model['base_path']}"))
    return rows
