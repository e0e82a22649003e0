# SPDX-License-Identifier: Apache-2.0
"""`tensorserve check`: says what a server with these flags would find wrong, without serving. For pipelines."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from tensorserve.cli.exit_status import OK, REFUSED, USAGE
from tensorserve.cli.serve import read_options
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
from tensorserve.errors import FlagError, ServingError
from tensorserve.listeners import Endpoints, check_endpoints
from tensorserve.runtimes.registry import RuntimeRegistry
from tensorserve.sources.places import ModelPlaces
from tensorserve.sources.version_selection import select_versions, selection_warnings
from tensorserve.types import TENSORFLOW_PLATFORM, ModelConfig

_HELP = """\
usage: tensorserve check [--flag=value ...]

Takes the flags of `tensorserve serve` and says what is wrong with them, with the files that they name, with the base
paths and with the models in them, one line a finding. Nothing is loaded and no port is opened. The exit status is 0 if
nothing is wrong, 1 if something is, and 2 if the flags cannot be understood.
"""


def run(words: Sequence[str]) -> int:
    """Prints the findings; `words` are the flags. Gives the exit status."""
    if "--help" in words or "-h" in words:
        print(_HELP, end="")
        return OK
    try:
        options = read_options(words)
    except FlagError as error:
        print(f"tensorserve check: {error}", file=sys.stderr)
        return USAGE
    findings = 0
    for finding in _findings(options):
        print(finding)
        findings += 1
    return REFUSED if findings else OK


def _findings(options: ServerOptions) -> Iterator[str]:
    try:
        options = check_options(options)
    except ServingError as error:
        yield f"flags: {error.message}"
        return
    yield from _of_files(options)
    registry = RuntimeRegistry(options, Batching())
    places = ModelPlaces.open(options, frozenset({TENSORFLOW_PLATFORM}))
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
        ports = Endpoints(options.port or None, options.rest_api_port or None, options.grpc_socket_path)
        check_endpoints(ports)

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
    if model.platform == TENSORFLOW_PLATFORM:
        for version in chosen:
            for problem in _of_version(listing.paths[version], options):
                yield f"{where} version {version}: {problem}"


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
