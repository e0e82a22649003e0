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
        logger.log(level, "%s", text, extra={"fields": fields})
    if dropped:
        logger.warning("%d lines dropped: the data plane had too much to say.", dropped)


def _step() -> bool:
    take_lines(_WAIT_SECONDS)
    return True
