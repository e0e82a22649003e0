# SPDX-License-Identifier: Apache-2.0
"""The model server, as a program starts and stops it. What it consists of is in `running`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType

from tensorserve.config.batching import Batching
from tensorserve.config.data_plane_options import DataPlaneOptions
from tensorserve.config.flags import ServerOptions
from tensorserve.config.model_config import checked, model_configs
from tensorserve.config.parser import check_keywords
from tensorserve.config.validation import check_options
from tensorserve.data_plane import DataPlane, open_data_plane
from tensorserve.errors import Code, ServingError, UnknownFlagError
from tensorserve.lifecycle.quarantine import Supervision, Unsupervised
from tensorserve.listeners import BoundPorts, Endpoints, Listeners
from tensorserve.log import open_standard_descriptors
from tensorserve.running import Running
from tensorserve.runtimes.registry import RuntimeFactory, RuntimeRegistry
from tensorserve.services.catalog import ModelReport, Origin, Wait
from tensorserve.services.reload_plan import ReloadPlan
from tensorserve.sources.places import ModelPlaces
from tensorserve.types import TENSORFLOW_PLATFORM, ModelConfig

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
        listeners: Binds the addresses; by default anew.
        supervision: Who watches over this process, if somebody does.
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
        data_plane: Callable[[DataPlaneOptions], DataPlane] = open_data_plane,
        listeners: Callable[[Endpoints], Listeners] = Listeners.bind,
        supervision: Supervision | None = None,
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
            self._options.health_port or None,
        )
        self._given_models = None if models is None else tuple(models)
        self._runtime_factories = runtimes
        self._open_data_plane = data_plane
        self._bind = listeners
        self._supervision = supervision or Unsupervised()
        self._listeners = Listeners()
        self._ports = BoundPorts()
        self._running: Running | None = None

    @classmethod
    def from_options(
        cls,
        options: ServerOptions,
        *,
        runtimes: Mapping[str, RuntimeFactory] | None = None,
        data_plane: Callable[[DataPlaneOptions], DataPlane] = open_data_plane,
        listeners: Callable[[Endpoints], Listeners] = Listeners.bind,
        supervision: Supervision | None = None,
    ) -> ModelServer:
        """A server as the command line describes it, where port 0 means no port."""
        return cls(
            grpc_port=options.port or None,
            rest_api_port=options.rest_api_port or None,
            runtimes=runtimes,
            data_plane=data_plane,
            listeners=listeners,
            supervision=supervision,
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
        """Binds the ports, loads the models, waits until they answer, then lets the ports listen.

        Args:
            timeout_seconds: How long the models may take; None means for ever.

        Raises:
            ServingError: The flags or the model config are wrong, no model could be loaded, or a port is taken.
        """
        self.load_models(timeout_seconds)
        self.open_ports()

    def load_models(self, timeout_seconds: float | None = None) -> None:
        """The first half of `start`: the ports are bound, and nothing listens yet."""
        if self._running is not None:
            raise ServingError(Code.FAILED_PRECONDITION, "The server is running already.")
        open_standard_descriptors()
        self._listeners = self._bind(self._endpoints)
        try:
            self._running = self._prepare()
            self._running.load(timeout_seconds)
        except BaseException:
            self.stop(0.0)
            raise

    def _prepare(self) -> Running:
        options = check_options(self._options)
        batching = Batching.of(options)
        registry = RuntimeRegistry(options, batching, self._runtime_factories)
        # What a plug-in or a test loads has files that only it knows.
        checked_platforms = frozenset() if self._runtime_factories else frozenset({TENSORFLOW_PLATFORM})
        places = ModelPlaces.open(options, checked_platforms, self._supervision.quarantine)
        models = self._models(options, registry, places)
        for model in models:
            registry.runtime(model.platform)
        data_plane = self._open_data_plane(DataPlaneOptions.of(options, batching))
        running = Running(options, models, registry, places, data_plane, self._supervision)
        try:
            self._listeners.open_health(running.data_plane)
            running.open_control_plane(options)
        except BaseException:
            running.stop(0.0)
            raise
        return running

    def open_ports(self) -> None:
        """The second half of `start`."""
        if self._running is None:
            raise ServingError(Code.FAILED_PRECONDITION, "No models are loaded.")
        try:
            self._ports = self._listeners.open(self._running.data_plane)
        except BaseException:
            self.stop(0.0)
            raise

    def wait_until_available(self, timeout_seconds: float | None = None) -> bool:
        """Waits until every model has a version that answers. False if that took longer than the timeout."""
        return self._running is not None and self._running.catalog.wait_until_ready(timeout_seconds)

    def models(self) -> tuple[ModelReport, ...]:
        """Every model that is configured, and how it does."""
        return () if self._running is None else self._running.catalog.reports()

    def reload(
        self, models: Iterable[ModelConfig] | None = None, timeout_seconds: float | None = None
    ) -> ReloadPlan | None:
        """Serves exactly these models from now on, and waits until those that are new answer.

        Args:
            models: The complete list; None takes the configuration files in again.
            timeout_seconds: How long new models may take; None means for ever.

        Returns:
            What that changed; None if there is no `model_config_file` to take in.

        Raises:
            ServingError: The list is refused, and nothing has changed; or, UNKNOWN: new models do not answer.
        """
        if self._running is None:
            raise ServingError(Code.FAILED_PRECONDITION, "The server is not running.")
        if models is None:
            return self._running.reload_files(Wait(timeout_seconds))
        return self._running.catalog.replace(models, Origin.REQUEST, Wait(timeout_seconds))

    def leave(self) -> None:
        """Tells probes that the server is not ready any more; requests are still answered, until `stop`."""
        if self._running is not None:
            self._running.data_plane.leave()

    def be_replaced(self) -> None:
        """Another process serves on the same sockets: changes are refused here; requests are answered until `stop`."""
        if self._running is not None:
            self._running.be_replaced()

    def stop(self, drain_seconds: float | None = None, idle_seconds: float = 0.0) -> bool:
        """Refuses new connections, lets the requests in flight finish, and unloads everything.

        Args:
            drain_seconds: How long to wait for requests; by default `drain_timeout_seconds`.
            idle_seconds: How long HTTP/1 connections without a request stay.

        Returns:
            Whether everything could finish.
        """
        running, self._running, self._ports = self._running, None, BoundPorts()
        self._listeners.close()
        if running is None:
            return True
        return running.stop(
            self._options.drain_timeout_seconds if drain_seconds is None else drain_seconds, idle_seconds
        )

    def __enter__(self) -> ModelServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _models(
        self, options: ServerOptions, registry: RuntimeRegistry, places: ModelPlaces
    ) -> tuple[ModelConfig, ...]:
        if self._given_models is not None:
            return checked(self._given_models, registry.knows, options.allowed_base_paths)
        if places.repository is not None:
            return checked(places.repository.models(), registry.knows, options.allowed_base_paths)
        return model_configs(options, registry.knows)
