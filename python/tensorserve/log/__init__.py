# SPDX-License-Identifier: Apache-2.0
"""The log: one stream on stderr, one line per event, `2026-01-01 12:00:00.123456 I text` or a JSON object.

```
logging, sys.stderr, Rust (data_plane) --> Record --pipe to the supervisor--> Journal --> LogWriter --> stderr
TensorFlow's own lines --standard error, read by the supervisor--> NativeLines --^
```

A `record` is one event. The `journal` leaves out what is below the level, folds what is said again and again
(`folding`), takes out `secrets`, and has the `layout` make a line. The `writer` never makes anybody wait: a log that
nobody takes loses lines, and says how many. `lines` escapes what a terminal or a reader of the log could mistake.
`native` reads what TensorFlow writes; `descriptors` sees to it that TensorFlow waits for nobody either. `data_plane`
takes what Rust has to say. Depends on `loops` and `errors`.
"""

from tensorserve.log.descriptors import open_standard_descriptors
from tensorserve.log.journal import Journal
from tensorserve.log.lines import LineFormatter, cleaned, is_one_line, log_line, printable
from tensorserve.log.native import NativeLines
from tensorserve.log.output import (
    FLUSH_SECONDS,
    configure_logging,
    configure_supervised_logging,
    flush_log,
    limit_tensorflow,
    log_level,
    set_log_level,
)
from tensorserve.log.record import Record, about
from tensorserve.log.writer import LogWriter

__all__ = [
    "FLUSH_SECONDS",
    "Journal",
    "LineFormatter",
    "LogWriter",
    "NativeLines",
    "Record",
    "about",
    "cleaned",
    "configure_logging",
    "configure_supervised_logging",
    "flush_log",
    "is_one_line",
    "limit_tensorflow",
    "log_level",
    "log_line",
    "open_standard_descriptors",
    "printable",
    "set_log_level",
]
