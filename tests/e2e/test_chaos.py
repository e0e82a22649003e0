# SPDX-License-Identifier: Apache-2.0
"""A few seconds of `make soak SUITE=chaos`."""

from pathlib import Path

from tests.conftest import StartServer
from tests.soak.test_chaos import survive

SECONDS = 12.0


def test_a_little_chaos(start_server: StartServer, models: Path, tmp_path: Path) -> None:
    survive(start_server, models, tmp_path, SECONDS)
