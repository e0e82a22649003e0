# SPDX-License-Identifier: Apache-2.0
"""The log: one line per event on stderr, in the layout of TensorFlow's own: `2026-01-01 12:00:00.123456 I text`.

Everything of Python's that is written to stderr goes through one `writer`, which never makes anybody wait: a log that
nobody takes loses lines, and says how many. `lines` has the layout and escapes what a terminal or a reader of the log
could mistake. `descriptors` sees to it that TensorFlow's own lines, which it writes itself, wait for nobody either.
`data_plane` takes what Rust has to say. Depends on `loops` and `errors`.
"""

from tensorserve.log.descriptors import open_standard_descriptors
from tensorserve.log.lines import LineFormatter, cleaned, is_one_line, log_line, printable
from tensorserve.log.output import configure_logging, flush_log
from tensorserve.log.writer import LogWriter

__all__ = [
    "LineFormatter",
    "LogWriter",
    "cleaned",
    "configure_logging",
    "flush_log",
    "is_one_line",
    "log_line",
    "open_standard_descriptors",
    "printable",
]
