# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests that need models or a running server. Importing this file imports no TensorFlow."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.models import cache
from tests.server_process import ServerProcess, model_config

if TYPE_CHECKING:
    from tests.clients import GrpcClient, RestClient

StartServer = Callable[..., ServerProcess]

_TENSORFLOW_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_LEVEL_AT_START = os.environ.get(_TENSORFLOW_LOG_LEVEL)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """What an earlier test has set in this process for TensorFlow's log is not set for the servers of this one."""
    os.environ.pop(_TENSORFLOW_LOG_LEVEL, None)
    if _LEVEL_AT_START is not None:
        os.environ[_TENSORFLOW_LOG_LEVEL] = _LEVEL_AT_START


@pytest.fixture(scope="session")
def models() -> Path:
    """Folder of the exported models, `<model>/<version>`; see tests/models."""
    return cache.exported()


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Starts servers that live until the module's tests are done; the arguments are flags."""
    with ExitStack() as stack:

        def start(*arguments: str, ready: bool = True, **options: object) -> ServerProcess:
            log = tmp_path_factory.mktemp("server") / "log"
            server = ServerProcess(arguments, log, **options)  # type: ignore[arg-type]
            if ready:
                return stack.enter_context(server)
            stack.callback(server.stop)
            server.start()
            return server

        yield start


ServeModels = Callable[..., ServerProcess]


@pytest.fixture(scope="module")
def serve_models(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> ServeModels:
    """Starts a server for several models by a configuration file; see `model_config`."""

    def serve(
        entries: Mapping[str, Path], *flags: str, extra: Mapping[str, str] | None = None, **options: object
    ) -> ServerProcess:
        file = tmp_path_factory.mktemp("config") / "models.config"
        file.write_text(model_config(entries, extra))
        return start_server(f"--model_config_file={file}", *flags, **options)

    return serve


@pytest.fixture(scope="module")
def server(serve_models: ServeModels, models: Path) -> ServerProcess:
    """One server with every small model; half_plus_two has its versions 1 to 3 loaded."""
    entries = {path.name: path for path in sorted(models.iterdir()) if path.name != "resnet50"}
    return serve_models(entries, extra={"half_plus_two": "model_version_policy { specific { versions: [1, 2, 3] } }"})


@pytest.fixture(scope="module")
def grpc_client(server: ServerProcess) -> "Iterator[GrpcClient]":
    from tests.clients import GrpcClient

    client = GrpcClient(server.grpc_target)
    yield client
    client.close()


@pytest.fixture(scope="module")
def rest_client(server: ServerProcess) -> "Iterator[RestClient]":
    from tests.clients import RestClient

    client = RestClient(server.rest_url)
    yield client
    client.close()
