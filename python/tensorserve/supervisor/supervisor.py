# SPDX-License-Identifier: Apache-2.0
"""The parent process: owns the sockets, starts the server, and starts it anew when it dies.

```
bind sockets -> start the server --ready--> serving --SIGTERM--> stopping -> end with its status
                   ^      | died                | died    | SIGUSR2
                   `- wait (back-off) <---------'         `-> start another one beside it, which takes its place
```

One loop waits for signals, for what the servers say, and for their logs; nothing in it blocks.
"""

import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TextIO

from tensorserve.config.flags import LOG_FORMATS, LOG_LEVELS, ServerOptions
from tensorserve.errors import Code, ServingError
from tensorserve.given_sockets import GivenSockets
from tensorserve.listeners import Endpoints, Listeners
from tensorserve.log import configure_logging, flush_log, set_log_level
from tensorserve.supervisor.backoff import Backoff
from tensorserve.supervisor.channel import Message
from tensorserve.supervisor.child import Child, command_line
from tensorserve.supervisor.deaths import Death, oom_kills, say_not_started, why_not_started
from tensorserve.supervisor.inquest import Inquests
from tensorserve.supervisor.service_manager import ServiceManager
from tensorserve.supervisor.state_store import StateStore
from tensorserve.supervisor.watchdog import Watchdog, is_ending, look_seconds, looks, read_threads

logger = logging.getLogger(__name__)

FAILURE = 255
_CRASH_LOOP_DEATHS = 10

# A server that was told to stop is ended when it takes this much longer than its flags allow.
_STOP_GRACE_SECONDS = 15.0

# How long the threads of a server that hangs have to print their stacks.
_DUMP_SECONDS = 3.0

# A server that ended well unasked: time for the signal that made it, if it was for this process, too.
_UNASKED_END_SECONDS = 0.2

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (*_STOP_SIGNALS, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD)


class Supervisor:
    """Keeps one server up.

    Args:
        options: The flags.
        errors: Where the one line goes that says why the server cannot start.
        words: What starts the server; by default what started this process.
    """

    def __init__(self, options: ServerOptions, errors: TextIO, words: Sequence[str] | None = None) -> None:
        self._options = options
        self._errors = errors
        self._words = list(words or command_line())
        self._endpoints = _endpoints(options)
        self._listeners = Listeners()
        self._listening = False
        self._backoff = Backoff()
        self._children: dict[int, Child] = {}
        self._child: Child | None = None
        self._successor: Child | None = None
        self._has_served = False
        self._stopping: int | None = None
        self._start_at: float | None = None
        self._look_at = time.monotonic() if options.watchdog_seconds > 0 else None
        self._manager = ServiceManager()
        self._tell_at = None if self._manager.watchdog_seconds is None else time.monotonic()
        self._oom_kills = 0
        self._status: int | None = None
        self._wakeup, self._wakeup_write = socket.socketpair()
        self._log = configure_logging(
            _one_of(LOG_LEVELS, options.log_level, "info"), _one_of(LOG_FORMATS, options.log_format, "text")
        )
        self._inquests = Inquests(StateStore(options.state_dir))

    def run(self) -> int:
        """Keeps the server up until a signal ends it. Gives the exit status."""
        try:
            self._listeners = Listeners.bind(self._endpoints, GivenSockets.by_environment())
        except ServingError as error:
            say_not_started(error, self._errors)
            return FAILURE
        self._take_signals()
        self._start()
        # One that another has replaced may still finish what it has begun.
        while self._status is None or self._children:
            self._wait()
            self._keep_time()
        self._listeners.close()
        flush_log()
        return self._status

    def _take_signals(self) -> None:
        for end in (self._wakeup, self._wakeup_write):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wakeup_write.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda number, frame: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _wait(self) -> None:
        """Waits for the next thing to do, and does it."""
        poll = select.poll()
        actions: dict[int, Callable[[], object]] = {}
        for child in self._children.values():
            if child.channel.is_open:
                actions[child.channel.fileno()] = partial(self._take_in_messages, child)
            for relay in child.relays:
                if relay.is_open:
                    actions[relay.fileno()] = relay.pump
        # The last: it may end a child.
        actions[self._wakeup.fileno()] = self._take_in_signals
        for number in actions:
            poll.register(number, select.POLLIN)
        ready = {number for number, _event in poll.poll(self._seconds_to_wait() * 1000)}
        for number, action in actions.items():
            if number in ready:
                action()

    def _seconds_to_wait(self) -> float:
        times = [child.kill_at for child in self._children.values() if child.kill_at is not None]
        times += [at for at in (self._start_at, self._look_at, self._tell_at) if at is not None]
        return max(min(times) - time.monotonic(), 0.0) if times else 3600.0

    def _keep_time(self) -> None:
        now = time.monotonic()
        if self._look_at is not None and now >= self._look_at:
            self._look_at = now + look_seconds(self._options.watchdog_seconds)
            for child in self._children.values():
                self._look(child)
        if self._tell_at is not None and now >= self._tell_at:
            self._tell_at = now + (self._manager.watchdog_seconds or 0.0)
            self._manager.alive()
        for child in self._children.values():
            if child.kill_at is not None and now >= child.kill_at:
                if child.hung_at is None:
                    logger.warning("The server (process %d) does not stop in time and is ended.", child.pid)
                child.kill_at = None
                child.signal(signal.SIGKILL)
        if self._start_at is not None and now >= self._start_at:
            self._start_at = None
            self._start()

    def _look(self, child: Child) -> None:
        """Ends a server that hangs."""
        if child.hung_at is not None:
            return
        beats = child.witness.page.beats()
        readings = read_threads(child.pid, beats)
        # Asked last: the threads of a process that ends are gone before it is.
        if is_ending(child.pid) or not child.watchdog.look(beats, readings, is_leaving=child.is_leaving):
            return
        child.was_stopped = any(reading.state == "T" for reading in readings.values())
        logger.error(
            "The server (process %d) hangs: an I/O thread does not answer, or has ended; it is ended.", child.pid
        )
        child.hung_at = time.monotonic()
        child.signal(signal.SIGQUIT)
        # Its stacks are printed meanwhile; who was stopped prints none.
        child.stop_within(0.0 if child.was_stopped else _DUMP_SECONDS)

    def _start(self) -> None:
        if not self._bind_again():
            return
        self._oom_kills = oom_kills()
        try:
            self._child = self._new_child()
        except OSError as error:
            text = f"The program cannot be started: {self._words[0]}: {error.strerror or error}"
            if self._has_served:
                logger.error("%s", text)
                self._start_later(None)
            else:
                say_not_started(ServingError(Code.UNAVAILABLE, text), self._errors)
                self._status = FAILURE

    def _new_child(self) -> Child:
        witness = self._inquests.witness()
        watchdog = Watchdog(looks(self._options.watchdog_seconds))
        child = Child(self._words, self._listeners.descriptors(), witness, watchdog, self._log)
        self._children[child.pid] = child
        return child

    def _bind_again(self) -> bool:
        """Makes sure that the sockets are there, which are given up during a long wait."""
        if self._listeners.descriptors():
            return True
        try:
            self._listeners = Listeners.bind(self._endpoints)
        except ServingError as error:
            logger.error("The ports were given up while the server could not start, and cannot be had again: %s", error)
            self._start_later(None)
            return False
        return True

    def _take_in_signals(self) -> None:
        with suppress(BlockingIOError):
            for number in dict.fromkeys(self._wakeup.recv(4096)):
                if number in _STOP_SIGNALS:
                    self._stop(number)
                elif number == signal.SIGUSR2:
                    self._replace(self._child)
                elif number == signal.SIGHUP:
                    # One that starts may have read the files already.
                    for child in filter(None, (self._child, self._successor)):
                        child.signal(number)
        self._reap()

    def _stop(self, number: int) -> None:
        if self._successor is not None:
            self._successor.signal(signal.SIGKILL)
        if self._stopping is not None:
            for child in self._children.values():
                child.signal(signal.SIGKILL)
            self._status = 128 + number
            return
        self._stopping = number
        self._start_at = None
        self._manager.stopping()
        if self._child is None:
            self._listeners.close()
            self._status = 0
        else:
            self._child.stop_within(self._options.drain_delay_seconds + self._patience)
            self._child.signal(number)

    @property
    def _patience(self) -> float:
        return self._options.drain_timeout_seconds + _STOP_GRACE_SECONDS

    def _take_in_messages(self, child: Child) -> None:
        for message in child.channel.receive():
            try:
                self._take_in(child, message)
            except (KeyError, TypeError, ValueError):
                logger.exception("The server's message %s is not understood", message)

    def _take_in(self, child: Child, message: Message) -> None:
        kind = message.get("kind")
        if kind == "ready":
            self._is_ready(child)
        elif kind == "closing":
            child.is_leaving = True
            if child is self._child:
                self._listeners.close()
            child.tell("closed")
        elif kind in ("loading", "available"):
            child.witness.take_in(message)
        elif kind == "release":
            self._inquests.release(str(message["model"]), int(message["version"]))
        elif kind == "log_level":
            set_log_level(_one_of(LOG_LEVELS, str(message["level"]), "info"))
        elif kind == "restart":
            self._replace(child)

    def _is_ready(self, child: Child) -> None:
        child.ready_since = time.monotonic()
        if child is self._child:
            self._has_served = self._listening = True
            self._listeners.take_paths()
            self._manager.ready()
        elif child is self._successor and self._stopping is None:
            before, self._child, self._successor = self._child, child, None
            logger.info("Process %d serves from now on.", child.pid)
            if before is not None:
                # In this order: whoever has asked for the restart can rely on it that this process takes no change.
                before.tell("stop")
                before.tell("restarted", error="")
                before.stop_within(self._patience)

    def _replace(self, asked: Child | None) -> None:
        """Starts another server beside the present one, which takes its place once it is ready."""
        if self._stopping is not None or self._child is None or not self._child.is_ready:
            self._answer_restart(asked, "the server is not serving now")
        elif self._successor is None:
            try:
                self._successor = self._new_child()
            except OSError as error:
                self._answer_restart(asked, f"{self._words[0]}: {error.strerror or error}")
                return
            logger.info("Starting process %d to take the place of process %d.", self._successor.pid, self._child.pid)

    def _answer_restart(self, child: Child | None, error: str) -> None:
        logger.error("Nothing is restarted: %s", error)
        if child is not None:
            child.tell("restarted", error=error)

    def _reap(self) -> None:
        """Takes in every process that has ended; as the first process of a container also those of others."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is not None:
                self._ended(child, status)

    def _ended(self, child: Child, wait_status: int) -> None:
        while child.channel.is_open:
            before = child.channel.received
            self._take_in_messages(child)
            if child.channel.received == before:
                break
        death = Death.of(
            wait_status,
            hung=child.hung_at is not None,
            stopped=child.was_stopped,
            out_of_memory=oom_kills() > self._oom_kills,
            sender=child.witness.sender(child.pid, os.WTERMSIG(wait_status) if os.WIFSIGNALED(wait_status) else None),
            unasked=child.is_ready and not child.is_leaving,
        )
        for relay in child.relays:
            relay.close()
        if child is self._child:
            self._child = None
            self._died(child, death)
        elif child is self._successor:
            self._successor = None
            if self._stopping is None:
                self._inquest(child, death)
            why = why_not_started(child.log.last_words())
            self._answer_restart(self._child, f"the new process did not get ready ({death}){why}")
        elif self._status is None and (death.signal is not None or death.status):
            self._inquest(child, death)
        child.close()

    def _died(self, child: Child, death: Death) -> None:
        if self._status is not None:
            # It was killed by a second signal.
            return
        if self._stopping is not None:
            self._status = death.status if death.status is not None else 128 + (death.signal or 0)
        elif death.status is not None and not self._has_served:
            self._status = death.status
        elif self._successor is not None:
            # It was about to take its place anyway.
            self._inquest(child, death)
            self._child, self._successor = self._successor, None
        else:
            self._inquest(child, death)
            self._start_later(child, unasked=death.status == 0)

    def _inquest(self, child: Child, death: Death) -> None:
        age = time.monotonic() - child.started
        self._inquests.hold(child.pid, death, child.witness, age, child.log.last_words())

    def _start_later(self, child: Child | None, *, unasked: bool = False) -> None:
        delay = self._backoff.died(child.seconds_of_service() if child else None)
        most = self._options.crash_loop_exit_status
        if most and self._backoff.deaths >= _CRASH_LOOP_DEATHS:
            logger.error("The server died %d times before it was ready; giving up.", self._backoff.deaths)
            self._status = most
            return
        if self._listening and self._backoff.closes_ports(delay) and not self._listeners.has_given:
            self._listeners.close()
            self._listening = False
        if delay:
            logger.warning("The server is started again in %.1f s.", delay)
        self._start_at = time.monotonic() + max(delay, _UNASKED_END_SECONDS if unasked else 0.0)


def _one_of(choices: Sequence[str], word: str, default: str) -> str:
    """The word if it is a choice; the server says what is wrong with others."""
    return word if word in choices else default


def _endpoints(options: ServerOptions) -> Endpoints:
    return Endpoints(
        options.port or None,
        options.rest_api_port or None,
        options.grpc_socket_path,
        options.rest_socket_path,
        options.host,
        options.health_port or None,
    )
