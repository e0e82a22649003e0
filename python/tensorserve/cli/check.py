# SPDX-License-Identifier: Apache-2.0
"""`tensorserve check`: says what a server with these flags would find wrong, without serving. For pipelines."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from tensorserve.cli.exit_status import OK, REFUSED, USAGE
from tensorserve.cli.serve import read_options
from tensorserve.cli.terminal import complain
from tensorserve.config.access_log import access_log
from tensorserve.config.batching import Batching, model_weights
from tensorserve.config.channel_arguments import grpc_options
from tensorserve.config.flags import ServerOptions
from tensorserve.config.model_config import checked, model_configs
from tensorserve.config.model_settings import ModelSettings, read_model_settings
from tensorserve.config.monitoring_config import metrics_paths
from tensorserve.config.session_config import session_config
from tensorserve.config.ssl_config import read_ssl_config
from tensorserve.config.validation import check_options
from tensorserve.errors import Code, FlagError, ServingError
from tensorserve.listeners import Endpoints, Listeners, check_endpoints
from tensorserve.runtimes.registry import RuntimeRegistry
from tensorserve.sources.places import ModelPlaces
from tensorserve.sources.version_directory import version_number
from tensorserve.sources.version_selection import select_versions, selection_warnings
from tensorserve.types import TENSORFLOW_PLATFORM, ModelConfig

_HELP = """\
usage: tensorserve check [--flag=value ...]

Takes the flags of `tensorserve serve` and says what is wrong with them, with the files that they name, with the base
paths and with the models in them, one line a finding. Nothing is loaded and no port is opened. The exit status is 0 if
nothing is wrong, which prints nothing, 1 if something is, and 2 if the flags cannot be understood. A port that is in
use now is noted on standard error, and is no finding: it may be the server's that is to be replaced.
"""


def run(words: Sequence[str]) -> int:
    """Prints the findings; `words` are the flags. Gives the exit status."""
    if "--help" in words or "-h" in words:
        print(_HELP, end="")
        return OK
    try:
        options = read_options(words)
    except FlagError as error:
        complain(f"tensorserve check: {error}")
        return USAGE
    for port in _taken(options):
        complain(f"note: port {port} is in use on this machine now; a server could not start before it is free")
    findings = 0
    for finding in _findings(options):
        print(finding)
        findings += 1
    return REFUSED if findings else OK


def _taken(options: ServerOptions) -> Iterator[int]:
    """The ports that somebody listens on: it may be the server that shall be replaced, so this is no finding."""
    for port in (options.port, options.rest_api_port, options.health_port):
        if 0 < port < 1 << 16:
            try:
                Listeners.bind(Endpoints(port, None, host=options.host)).close()
            except ServingError:
                yield port


def _findings(options: ServerOptions) -> Iterator[str]:
    try:
        options = check_options(options)
    except ServingError as error:
        yield f"flags: {error.message}"
        return
    yield from _of_files(options)
    registry = RuntimeRegistry(options, Batching())
    places = ModelPlaces.open(options, frozenset({TENSORFLOW_PLATFORM}))
    if not (options.model_repository or options.model_config_file or options.model_base_path):
        ways = "--model_base_path with --model_name, --model_config_file or --model_repository"
        yield f"models: none is named; give {ways}"
        return
    if options.model_config_file and options.model_base_path:
        yield "model_base_path: it does not count beside --model_config_file; give only one"
    try:
        if places.repository is not None:
            models = checked(places.repository.models(), registry.knows)
        else:
            models = model_configs(options, registry.knows)
    except ServingError as error:
        yield f"models: {error.message}"
        return
    if not models:
        yield "models: none is configured"
    with suppress(ServingError):  # It is a finding of the file.
        for name in sorted(_settings(options).keys() - {model.name for model in models}):
            yield f"model_settings_file: model {name} is not configured"
    for model in models:
        yield from _of_model(model, places, options)


def _of_files(options: ServerOptions) -> Iterator[str]:
    """What is wrong with the files and values that flags give."""

    def endpoints() -> None:
        given = [options.port or None, options.rest_api_port or None, options.health_port or None]
        check_endpoints(Endpoints(given[0], given[1], options.grpc_socket_path, health_port=given[2]))
        ports = [port for port in given if port is not None]
        if shared := {port for port in ports if ports.count(port) > 1}:
            text = f"--port, --rest_api_port and --health_port must differ; {min(shared)} is given twice"
            raise ServingError(Code.INVALID_ARGUMENT, text)

    checks: list[tuple[str, Callable[[], object]]] = [
        ("ports", endpoints),
        ("batching", lambda: Batching.of(options)),
        ("model_weights", lambda: model_weights(options.model_weights)),
        ("grpc_channel_arguments", lambda: grpc_options(options.grpc_channel_arguments)),
        ("model_settings_file", lambda: _settings(options)),
        ("access_log", lambda: access_log(options)),
        ("monitoring_config_file", lambda: metrics_paths(options)),
        ("tensorflow_session_config_file", lambda: session_config(options)),
    ]
    for flag in ("ssl_config_file", "rest_ssl_config_file"):
        path = getattr(options, flag)
        if path:
            checks.append((flag, lambda path=path: read_ssl_config(path)))  # type: ignore[misc]  # bound at once
    for name, check in checks:
        try:
            check()
        except ServingError as error:
            yield f"{name}: {error.message}"


def _settings(options: ServerOptions) -> Mapping[str, ModelSettings]:
    return read_model_settings(options.model_settings_file) if options.model_settings_file else {}


def _of_model(model: ModelConfig, places: ModelPlaces, options: ServerOptions) -> Iterator[str]:
    where = f"model {model.name}"
    storage = places.storages.storage(model)
    try:
        listing = storage.list_versions(model)
    except ServingError as error:
        yield f"{where}: {error.message}"
        return
    for warning in (*listing.warnings, *selection_warnings(model.name, model.policy, listing.paths.keys())):
        yield f"{where}: {warning}"
    chosen = sorted(select_versions(model.policy, listing.paths.keys()))
    for label, version in model.version_labels.items():
        if version not in chosen:
            yield f"{where}: label {label} points to version {version}, which is not served"
    if not listing.paths and (name := _model_below(model.base_path)):
        yield (
            f"{where}: sub-folders of {model.base_path} hold versions: use --model_repository={model.base_path}, or "
            f"--model_base_path={os.path.join(model.base_path, name)}"
        )
    if model.platform == TENSORFLOW_PLATFORM:
        for version in chosen:
            for problem in _of_version(listing.paths[version], options):
                yield f"{where} version {version}: {problem}"


def _model_below(path: str) -> str:
    """The first of a folder's sub-folders that holds versions; empty if none does."""
    with suppress(OSError):
        for name in sorted(os.listdir(path)):
            with suppress(OSError):
                if any(version_number(each) is not None for each in os.listdir(os.path.join(path, name))):
                    return name
    return ""


def _of_version(path: str, options: ServerOptions) -> Iterator[str]:
    from tensorserve.inspect.places import inspect_model

    tags = tuple(filter(None, options.saved_model_tags.split(",")))
    try:
        found = inspect_model(path, tags)
    except ServingError as error:
        yield error.message
        return
    yield from found.problems
    if not found.signatures:
        yield "it has no signature that clients could use"
