# SPDX-License-Identifier: Apache-2.0
"""Runs a server for the life of a process: starts it, waits for a signal, drains it."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import TextIO

from tensorserve.cli.descriptors import raise_limit
from tensorserve.cli.exit_status import FAILURE, OK, end_process
from tensorserve.config.flags import LOG_FORMATS, LOG_LEVELS, ServerOptions
from tensorserve.errors import ServingError
from tensorserve.given_sockets import GivenSockets
from tensorserve.listeners import Endpoints, Listeners
from tensorserve.log import FLUSH_SECONDS, configure_logging, configure_supervised_logging, flush_log, limit_tensorflow
from tensorserve.loops import start_thread
from tensorserve.server import ModelServer
from tensorserve.supervisor.channel import Message
from tensorserve.supervisor.deaths import say_not_started
from tensorserve.supervisor.supervised import Supervised

logger = logging.getLogger(__name__)

# The system may hand a signal to another thread than the main one, where Python handles it; that does not end a wait of
# the main thread, so it looks this often.
_LOOK_SECONDS = 0.1

# So long an HTTP/1 connection without a request stays when another process has taken over: a client that sends one in
# that moment is answered, and told to connect anew.
_REPLACED_IDLE_SECONDS = 5.0

# Whoever has asked for a restart is answered before the server stops.
_REPLACED_DELAY_SECONDS = 1.0


class _Signals:
    """SIGTERM and SIGINT end the process at once, until there is something to drain.

    From then on the first one asks the server to stop, and the second one ends the process, unless a supervisor does
    that. SIGHUP asks for another reading of the configuration files.
    """

    def __init__(self, *, second_ends: bool) -> None:
        self._second_ends = second_ends
        self._received = threading.Event()
        self._deferred = False
        self._hung_up = False
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, self._hang_up)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def defer(self) -> None:
        """From here on there is something to drain."""
        self._deferred = True

    def stop(self) -> None:
        """The same as a first signal."""
        self._received.set()

    def wait(self, reload: Callable[[], None]) -> None:
        """Waits for the first signal that ends the process; calls `reload` when SIGHUP has come."""
        while not self._received.wait(_LOOK_SECONDS):
            if self._hung_up:
                self._hung_up = False
                try:
                    reload()
                except ServingError as error:  # There is no thread for it now.
                    logger.error("%s", error.message)
                    self._hung_up = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._received.is_set():
            if self._second_ends:
                end_process(128 + number, FLUSH_SECONDS)
            return
        if not self._deferred:
            end_process(OK, FLUSH_SECONDS)
        self._received.set()

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        self._hung_up = True


def run_server(
    options: ServerOptions,
    errors: TextIO,
    make_server: Callable[..., ModelServer] = ModelServer.from_options,
    parent: Supervised | None = None,
) -> int:
    """Serves until a signal comes.

    Args:
        options: The flags.
        errors: Where the one line goes that says why the server cannot start.
        make_server: Makes the server.
        parent: The supervisor of this process, if it has one.

    Returns:
        The exit status.
    """
    _open_log(options, parent)
    raise_limit()
    signals = _Signals(second_ends=parent is None)
    stop = _Stop()
    if parent is not None:
        parent.take_signals()
        server = make_server(options, listeners=parent.listeners, supervision=parent)
        parent.on("stop", partial(stop.ask, signals, server))
        parent.start()
        parent.open_page()
    else:
        server = make_server(options, listeners=_with_given_sockets)
    try:
        server.load_models()
        signals.defer()
        server.open_ports()
    except ServingError as error:
        say_not_started(error, errors)
        return FAILURE
    if parent is not None:
        parent.tell("ready")
    signals.wait(partial(_reload_in_background, server))
    _leave(server, stop.delay_seconds(options))
    if parent is not None and not stop.is_replaced:
        parent.close_sockets()
    _drain(server, stop.idle_seconds)
    flush_log()
    return OK


def _with_given_sockets(endpoints: Endpoints) -> Listeners:
    return Listeners.bind(endpoints, GivenSockets.by_environment())


def _open_log(options: ServerOptions, parent: Supervised | None) -> None:
    if parent is not None:
        configure_supervised_logging(parent.log_level, parent.log)
        return
    level = options.log_level if options.log_level in LOG_LEVELS else "info"
    configure_logging(level, options.log_format if options.log_format in LOG_FORMATS else "text")
    limit_tensorflow(level)


class _Stop:
    """How a server stops: at the end of its service, or because another process takes its place.

    Attributes:
        is_replaced: Whether another process answers on the same sockets.
    """

    def __init__(self) -> None:
        self.is_replaced = False

    def ask(self, signals: _Signals, server: ModelServer, message: Message) -> None:
        """The supervisor says that another process has taken its place."""
        self.is_replaced = True
        server.be_replaced()
        signals.stop()

    def delay_seconds(self, options: ServerOptions) -> float:
        return _REPLACED_DELAY_SECONDS if self.is_replaced else options.drain_delay_seconds

    @property
    def idle_seconds(self) -> float:
        return _REPLACED_IDLE_SECONDS if self.is_replaced else 0.0


def _reload_in_background(server: ModelServer) -> None:
    """In a thread of its own, so that a stop needs not wait for a model that loads."""
    start_thread("reload", partial(_reload, server))


def _reload(server: ModelServer) -> None:
    logger.info("Reading the configuration files again.")
    try:
        server.reload()
    except ServingError as error:
        logger.error("The configuration stays as it is, or its new models do not answer: %s", error)


def _leave(server: ModelServer, delay_seconds: float) -> None:
    """Tells probes to send no more requests, and takes those that come all the same for a while."""
    server.leave()
    if delay_seconds > 0:
        logger.info("Not ready any more; stopping in %g seconds.", delay_seconds)
    end = time.monotonic() + delay_seconds
    while (left := end - time.monotonic()) > 0:
        # In pieces, so that a second signal is handled.
        time.sleep(min(left, _LOOK_SECONDS))


def _drain(server: ModelServer, idle_seconds: float) -> None:
    """Stops in a thread of its own, so that a second signal is handled meanwhile."""
    logger.info("Stopping: requests in flight may finish.")
    try:
        stopping = start_thread("stop", partial(_stop, server, idle_seconds))
    except ServingError:
        _stop(server, idle_seconds)
        return
    while stopping.is_alive():
        stopping.join(_LOOK_SECONDS)


def _stop(server: ModelServer, idle_seconds: float) -> None:
    if server.stop(idle_seconds=idle_seconds):
        logger.info("Stopped.")
    else:
        logger.warning("Stopped; some requests did not finish in time.")
