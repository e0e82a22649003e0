# SPDX-License-Identifier: Apache-2.0
import logging

import pytest

from tensorserve import _core
from tensorserve.log.data_plane import take_lines


def test_lines_of_the_data_plane_keep_their_levels_and_fields(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fields = {"model": "m", "milliseconds": "250"}
    lines = [(logging.WARNING, "A run took 100 % of it.", fields), (logging.DEBUG, "quiet", {})]
    monkeypatch.setattr(_core, "take_log_lines", lambda timeout_seconds: (lines, 3))
    take_lines()
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, "A run took 100 % of it."),
        (logging.DEBUG, "quiet"),
        (logging.WARNING, "3 lines dropped: the data plane had too much to say."),
    ]
    assert vars(caplog.records[0])["fields"] == fields
