# SPDX-License-Identifier: Apache-2.0
"""The model server: wires the path of a model, from files to the table that answers requests.

```
FileSystemSource -> Manager -> Runtime's loader -> DataPlane
                       `-> EventBus -> states, labels, Startup
```
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from tensorserve.config.flags import ServerOptions, schedulable_cpus
from tensorserve.config.model_config import checked, model_configs
from tensorserve.config.parser import check_keywords
from tensorserve.config.validation import check_options
from tensorserve.data_plane import DataPlane, open_data_plane
from tensorserve.errors import Code, ServingError, UnknownFlagError
from tensorserve.lifecycle.events import Event, EventBus, SourceProblem, StateChange, VersionsIncomplete
from tensorserve.lifecycle.labels import LabelKeeper
from tensorserve.lifecycle.loader import Loader
from tensorserve.lifecycle.manager import Manager, ManagerOptions
from tensorserve.lifecycle.startup import Startup
from tensorserve.listeners import BoundPorts, Endpoints, check_endpoints, open_ports
from tensorserve.runtimes.registry import RuntimeFactory, RuntimeRegistry
from tensorserve.security import Security
from tensorserve.sources.file_system import FileSystemSource
from tensorserve.sources.storages import Storages
from tensorserve.sources.version_directory import LocalStorage
from tensorserve.types import TENSORFLOW_PLATFORM, AspiredVersion, ModelConfig

if TYPE_CHECKING:
    from tensorserve._core import Servable

logger = logging.getLogger(__name__)

# In Python 0 and None mean something else than on the command line, so the gRPC port has a name of its own.
_PORT_FLAGS = {"port": "grpc_port", "rest_api_port": "rest_api_port"}


class ModelServer:
    """Serves models over gRPC and HTTP/REST until it is stopped. Several can live in one process.

    ```python
    with ModelServer(model_name="half_plus_two", model_base_path="models/half_plus_two") as server:
        print(server.grpc_port, server.rest_port)
    ```

    Args:
        grpc_port: TCP port for gRPC; 0 takes any free port, None means no gRPC over TCP.
        rest_api_port: The same for HTTP/REST.
        models: The models to serve, instead of those that `model_base_path` or `model_config_file` name.
        runtimes: Runtimes by platform, instead of TensorFlow's.
        data_plane: Makes what answers the requests, instead of the one in Rust.
        flags: Any other flag of the table, such as `model_base_path`; see `docs/flags.md`.

    Raises:
        FlagError: A keyword argument is no flag, or its value does not fit.
    """

    def __init__(
        self,
        *,
        grpc_port: int | None = 0,
        rest_api_port: int | None = 0,
        models: Iterable[ModelConfig] | None = None,
        runtimes: Mapping[str, RuntimeFactory] | None = None,
        data_plane: Callable[[ServerOptions], DataPlane] = open_data_plane,
        **flags: object,
    ) -> None:
        if misplaced := _PORT_FLAGS.keys() & flags:
            name = misplaced.pop()
            raise UnknownFlagError(name, _PORT_FLAGS[name])
        self._options = ServerOptions(**check_keywords(flags))  # type: ignore[arg-type]  # checked one by one
        self._endpoints = Endpoints(
            grpc_port,
            rest_api_port,
            self._options.grpc_socket_path,
            self._options.rest_socket_path,
            self._options.host,
        )
        self._given_models = None if models is None else tuple(models)
        self._runtime_factories = runtimes
        self._open_data_plane = data_plane
        self._ports = BoundPorts()
        self._running: _Running | None = None

    @classmethod
    def from_options(
        cls,
        options: ServerOptions,
        *,
        runtimes: Mapping[str, RuntimeFactory] | None = None,
        data_plane: Callable[[ServerOptions], DataPlane] = open_data_plane,
    ) -> ModelServer:
        """A server as the command line describes it, where port 0 means no port."""
        return cls(
            grpc_port=options.port or None,
            rest_api_port=options.rest_api_port or None,
            runtimes=runtimes,
            data_plane=data_plane,
            **{name: value for name, value in vars(options).items() if name not in _PORT_FLAGS},
        )

    @property
    def grpc_port(self) -> int | None:
        """The TCP port that answers gRPC, once the server has started."""
        return self._ports.grpc

    @property
    def rest_port(self) -> int | None:
        """The TCP port that answers HTTP/REST, once the server has started."""
        return self._ports.rest

    @property
    def rest_api_port(self) -> int | None:
        """The same as `rest_port`."""
        return self._ports.rest

    def start(self, timeout_seconds: float | None = None) -> None:
        """Loads the models, waits until they answer, then opens the ports.

        Args:
            timeout_seconds: How long the models may take; None means for ever.

        Raises:
            ServingError: The flags or the model config are wrong, no model could be loaded, or a port is taken.
        """
        self.load_models(timeout_seconds)
        self.open_ports()

    def load_models(self, timeout_seconds: float | None = None) -> None:
        """The first half of `start`: nothing listens yet."""
        if self._running is not None:
            raise ServingError(Code.FAILED_PRECONDITION, "The server is running already.")
        check_endpoints(self._endpoints)
        options = check_options(self._options)
        registry = RuntimeRegistry(options, self._runtime_factories)
        models = self._models(options, registry)
        loaders = {model.name: registry.runtime(model.platform).loader for model in models}
        # What a plug-in or a test loads has files that only it knows.
        checked_platforms = frozenset() if self._runtime_factories else frozenset({TENSORFLOW_PLATFORM})
        storages = Storages(LocalStorage(checked_platforms), ObjectStore(), options.object_store_poll_wait_seconds)
        self._running = _Running(options, models, loaders, storages, self._open_data_plane(options))
        try:
            self._running.load(timeout_seconds)
        except BaseException:
            self.stop(0.0)
            raise

    def open_ports(self) -> None:
        """The second half of `start`."""
        if self._running is None:
            raise ServingError(Code.FAILED_PRECONDITION, "No models are loaded.")
        try:
            self._ports = open_ports(self._running.data_plane, self._endpoints)
        except BaseException:
            self.stop(0.0)
            raise

    def wait_until_available(self, timeout_seconds: float | None = None) -> bool:
        """Waits until every model has a version that answers. False if that took longer than the timeout."""
        return self._running is not None and self._running.startup.wait_until_available(timeout_seconds)

    def stop(self, drain_seconds: float | None = None) -> bool:
        """Refuses new connections, lets the requests in flight finish, and unloads everything.

        Args:
            drain_seconds: How long to wait for requests; by default `drain_timeout_seconds`.

        Returns:
            Whether everything could finish.
        """
        running, self._running, self._ports = self._running, None, BoundPorts()
        if running is None:
            return True
        return running.stop(self._options.drain_timeout_seconds if drain_seconds is None else drain_seconds)

    def __enter__(self) -> ModelServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _models(self, options: ServerOptions, registry: RuntimeRegistry) -> tuple[ModelConfig, ...]:
        if self._given_models is not None:
            return checked(self._given_models, registry.knows)
        return model_configs(options, registry.knows)


class _Running:
    """What exists from start to stop. Listens to the source on behalf of the manager."""

    def __init__(
        self,
        options: ServerOptions,
        models: tuple[ModelConfig, ...],
        loaders: Mapping[str, Callable[[str], Loader[Servable]]],
        storages: Storages,
        data_plane: DataPlane,
    ) -> None:
        self.data_plane = data_plane
        self._security = Security(options, data_plane)
        self.startup = Startup(model.name for model in models)
        self._models = models
        self._loaders = loaders
        self._bus = EventBus()
        self._labels = LabelKeeper(
            models, data_plane.set_labels, allow_unavailable=options.allow_version_labels_for_unavailable_models
        )
        # The data plane comes first: who hears of a state from another subscriber can rely on it.
        for subscriber in (self._report_state, self._labels, self.startup):
            self._bus.subscribe(subscriber)
        self._manager: Manager[Servable] = Manager(data_plane, self._bus, _manager_options(options))
        self._source = FileSystemSource(models, self, options.file_system_poll_wait_seconds, storages)

    def load(self, timeout_seconds: float | None) -> None:
        logger.info("Adding/updating models.")
        for model in self._models:
            logger.info(" (Re-)adding model: %s", model.name)
        self._manager.start()
        self._source.start()
        self.startup.wait(timeout_seconds)
        self._manager.end_initial_load()
        for refusal in self._labels.refusals():
            logger.error("%s; the label is set once it is.", refusal.message)
        logger.info("Finished adding/updating models")

    def stop(self, drain_seconds: float) -> bool:
        self._source.stop()
        self._security.stop()
        drained = self.data_plane.shutdown(drain_seconds)
        return self._manager.stop(drain_seconds) and drained

    def aspire(self, model: str, versions: tuple[AspiredVersion, ...]) -> None:
        loader = self._loaders[model]
        self._manager.set_aspired(model, {version.id.version: loader(version.path) for version in versions})

    def report_problem(self, model: str, error: ServingError) -> None:
        self._bus.publish(SourceProblem(model, error))

    def report_incomplete(self, model: str, reasons: Mapping[int, str]) -> None:
        self._bus.publish(VersionsIncomplete(model, reasons))

    def _report_state(self, event: Event) -> None:
        if isinstance(event, StateChange):
            code, message = (event.error.code, event.error.message) if event.error else (Code.OK, "")
            self.data_plane.set_version_state(event.id.name, event.id.version, int(event.state), int(code), message)


def _manager_options(options: ServerOptions) -> ManagerOptions:
    return ManagerOptions(
        load_threads=max(options.num_load_threads, 1),
        initial_load_threads=4 * schedulable_cpus(),
        unload_threads=options.num_unload_threads if options.num_unload_threads > 0 else None,
        max_load_retries=options.max_num_load_retries,
        load_retry_interval_seconds=options.load_retry_interval_micros / 1e6,
    )
