# SPDX-License-Identifier: Apache-2.0
"""File descriptors: each connection takes one, and systems let programs have few until they ask for more."""

import contextlib
import resource


def raise_limit() -> None:
    """Asks for as many descriptors as this process may have. It goes on with what it has if that fails."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Some systems refuse to set what they say is allowed.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
