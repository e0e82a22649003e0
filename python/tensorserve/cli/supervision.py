# SPDX-License-Identifier: Apache-2.0
"""Decides whether this process serves, or keeps another one up that does."""

import os
import signal
import sys
from typing import TextIO

from tensorserve.config.flags import ServerOptions
from tensorserve.supervisor.channel import VARIABLE


def run_supervised(options: ServerOptions, errors: TextIO) -> int:
    """Serves until a signal comes, under a supervisor unless `--supervise=false`.

    Args:
        options: The flags.
        errors: Where the one line goes that says why the server cannot start.

    Returns:
        The exit status.
    """
    if VARIABLE not in os.environ and options.supervise and sys.platform == "linux":
        # These would end this process until it can act on them.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP, signal.SIGUSR2))
        from tensorserve.supervisor.supervisor import Supervisor

        return Supervisor(options, errors).run()
    from tensorserve.cli.process import run_server
    from tensorserve.supervisor.supervised import Supervised

    return run_server(options, errors, parent=Supervised.by_environment())
