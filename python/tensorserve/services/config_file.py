# SPDX-License-Identifier: Apache-2.0
"""Takes in configuration files again: when they have changed, and when somebody asks."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Protocol

from tensorserve.config.model_config import parse_model_config, read_model_config
from tensorserve.config.text_format import TextFormatError, read_text
from tensorserve.errors import ServingError
from tensorserve.files import read_file
from tensorserve.loops import Loop
from tensorserve.services.catalog import ModelCatalog, Origin, Wait
from tensorserve.services.reload_plan import ReloadPlan, merge_file
from tensorserve.types import ModelConfig

logger = logging.getLogger(__name__)

Check = Callable[[Sequence[ModelConfig]], tuple[ModelConfig, ...]]


class Followed(Protocol):
    """A file that can be taken in again."""

    def poll(self) -> None:
        """Takes in what has changed; reports trouble to the log."""


class ModelConfigFile:
    """`--model_config_file`.

    Args:
        path: The file.
        catalog: Whose models it names.
        check: Checks a list of models.
    """

    def __init__(self, path: str, catalog: ModelCatalog, check: Check) -> None:
        self._path = path
        self._catalog = catalog
        self._check = check
        # What the server started with is what the file said.
        self._last: Mapping[str, ModelConfig] = catalog.models
        self._complaint = ""
        self._unreadable: bytes | None = None
        self._lock = threading.RLock()

    def poll(self) -> None:
        """Takes in what has changed in the file. Trouble is logged once, and everything stays as it is."""
        with self._lock:
            self._poll()

    def reload(self, wait: Wait | None = None) -> ReloadPlan | None:
        """Makes the models that the file names be as it says; None if it says nothing.

        Raises:
            ServingError: The file cannot be read, or what it says is refused.
        """
        try:
            return self._apply(partial(read_model_config, self._path), everything=True, wait=wait)
        except TextFormatError as error:
            raise ServingError(error.code, f"{error.message}: {error.reason}") from error

    def models(self) -> Mapping[str, ModelConfig]:
        """The models that the file names now. Raises ServingError."""
        return {model.name: model for model in self._check(read_model_config(self._path) or ())}

    def _poll(self) -> None:
        content = None
        try:
            content = read_text(self._path)
            if content == self._unreadable:
                return
            listed = parse_model_config(self._path, content)
        except ServingError as error:
            # A file that cannot be read may be there the next time; one that makes no sense will not before it changes.
            self._unreadable = content
            self._complain(f"Failed to read ModelServerConfig file: {error.message}")
            return
        self._unreadable = None
        try:
            self._apply(lambda: listed, everything=False, wait=None)
        except ServingError as error:
            # It is tried again, since labels depend on what is loaded.
            self._complain(f"PollFilesystemAndReloadConfig failed to ReloadConfig: {error.message}")
        else:
            self._complaint = ""

    def _apply(
        self, read: Callable[[], list[ModelConfig] | None], *, everything: bool, wait: Wait | None
    ) -> ReloadPlan | None:
        with ExitStack() as waiting:
            with self._lock:  # It is not held while models load, which may take long.
                listed = read()
                if listed is None:
                    return None
                now = {model.name: model for model in self._check(listed)}
                if not everything and now == self._last:
                    return None
                decide = partial(merge_file, last=self._last, now=now, everything=everything)
                change = waiting.enter_context(self._catalog.begin(decide, Origin.CONFIG))
                self._last = now
            if wait is not None:
                change.wait(wait)
            return change.plan

    def _complain(self, text: str) -> None:
        """Says the same only once, however often the file is read."""
        if text != self._complaint:
            logger.error("%s", text)
            self._complaint = text


class FileFollower:
    """Polls files at an interval, and at once when told to.

    Args:
        files: What to poll.
        poll_wait_seconds: Pause between two polls; 0 or less polls only when told to.
    """

    def __init__(self, files: Sequence[Followed], poll_wait_seconds: float) -> None:
        self._files = tuple(files)
        self._poll_wait_seconds = poll_wait_seconds
        self._stopped = threading.Event()
        self._loop = Loop("config_files", self._step)

    def start(self) -> None:
        """Begins to poll. Raises ServingError (RESOURCE_EXHAUSTED): there is no thread for it."""
        if self._files and self._poll_wait_seconds > 0:
            self._loop.start()

    def stop(self) -> None:
        """Polls no more."""
        self._stopped.set()

    def poll(self) -> None:
        """Polls every file once, in this thread."""
        for file in self._files:
            try:
                file.poll()
            except BaseException:  # A panic in Rust is no Exception.
                logger.exception("Reading configuration again failed")

    def _step(self) -> bool:
        if self._stopped.wait(self._poll_wait_seconds):
            return False
        self.poll()
        return True


class OptionsFile:
    """A file with options that apply from when it is read; such as batching parameters.

    Args:
        path: The file.
        apply: Reads the file and makes its options count. Raises ServingError, and changes nothing then.
    """

    def __init__(self, path: str, apply: Callable[[], None]) -> None:
        self._path = path
        self._apply = apply
        self._seen: bytes | None = None
        with suppress(ServingError):
            self._seen = _content(path)
        self._complaint = ""
        self._lock = threading.Lock()

    def poll(self) -> None:
        with suppress(ServingError):
            self.reload()

    def reload(self) -> None:
        """Takes in what has changed.

        Raises:
            ServingError: The file cannot be read, or what it says is refused. The log says so once.
        """
        with self._lock:
            try:
                seen = _content(self._path)
                if seen != self._seen:
                    self._apply()
                    self._seen = seen
                    logger.info("The options of %s count from now on.", self._path)
            except ServingError as error:
                # It is tried again, since it may be the system that lacks something.
                text = f"The options of {self._path} stay as they were: {error.message}"
                if text != self._complaint:
                    logger.error("%s", text)
                self._complaint = text
                raise ServingError(error.code, text) from error
            self._complaint = ""


def _content(path: str) -> bytes:
    """Raises ServingError."""
    try:
        return read_file(path)
    except OSError as error:
        raise ServingError.wrap(error) from error
