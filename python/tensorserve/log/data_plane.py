# SPDX-License-Identifier: Apache-2.0
"""Takes what the data plane has to say to `logging`, where levels count, and from where all lines go the same way."""

import logging
import threading

from tensorserve.loops import Loop

logger = logging.getLogger("tensorserve.data_plane")

# It wakes up for each line anyway.
_WAIT_SECONDS = 3600.0

_lock = threading.Lock()
_loop: Loop | None = None


def follow_data_plane() -> None:
    """Begins, if it has not begun: there is one queue of lines in a process, however many servers it has.

    Raises:
        ServingError: RESOURCE_EXHAUSTED: there is no thread for it.
    """
    global _loop
    with _lock:
        if _loop is None:
            loop = Loop("data_plane_log", _step)
            loop.start()
            _loop = loop


def take_lines(wait_seconds: float = 0.0) -> None:
    """Takes what is there now; waits for it at most so long."""
    from tensorserve import _core

    lines, dropped = _core.take_log_lines(wait_seconds)
    for level, text, fields in lines:
        _say(level, text, fields)
    if dropped:
        logger.warning("%d lines dropped: the data plane had too much to say.", dropped)


def _say(level: int, text: str, fields: dict[str, str]) -> None:
    """The field `logger` names another logger below `tensorserve` than that of the data plane."""
    name = fields.get("logger")
    about = {key: _typed(key, value) for key, value in fields.items() if key != "logger"}
    chosen = logging.getLogger(f"tensorserve.{name}") if name else logger
    chosen.log(level, "%s", text, extra={"fields": about})


def _typed(key: str, value: str) -> object:
    """Numbers as such."""
    if key == "version":
        return int(value)
    return float(value) if key.endswith("_ms") else value


def _step() -> bool:
    take_lines(_WAIT_SECONDS)
    return True
