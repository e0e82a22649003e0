# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.soak.attackers KIND GRPC_PORT REST_PORT SECONDS`: one attack; prints what happened, as JSON."""

import contextlib
import os
import resource
import sys
import threading
from collections.abc import Iterator

from tests.soak.attackers.attack import Attack
from tests.soak.attackers.kinds import KINDS, large_messages
from tests.soak.attackers.large_calls import call_until


@contextlib.contextmanager
def large_calls(port: int) -> Iterator[None]:
    stop = threading.Event()
    caller = threading.Thread(target=call_until, args=(stop, port))
    caller.start()
    try:
        yield
    finally:
        stop.set()
        caller.join()


def main() -> None:
    kind, grpc_port, rest_port, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.nice(5)  # On a small machine an attack must not win by taking the processor of those who are measured.
    attack = Attack(KINDS[kind](grpc_port, rest_port))
    with large_calls(grpc_port) if kind == large_messages.__name__ else contextlib.nullcontext():
        attack.run(seconds)
    print(attack.close())


if __name__ == "__main__":
    main()
