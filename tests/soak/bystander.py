# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.soak.bystander FILE`: sleeps, and writes down when the machine woke it too late.

An answer that came late while the bystander was stalled too was late because of the machine, not of the server.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

SLEEP_SECONDS = 0.005
WORTH_A_LINE = 0.002


@dataclass(frozen=True)
class Stall:
    """When the bystander should have woken up (`time.monotonic`), and when it did."""

    begin: float
    end: float

    def within(self, begin: float, end: float) -> float:
        """Seconds of this stall in an interval."""
        return max(0.0, min(end, self.end) - max(begin, self.begin))

    @staticmethod
    def read(path: Path) -> "list[Stall]":
        """All whole lines of a file."""
        text = path.read_text()
        return [Stall(*json.loads(line)) for line in text[: text.rfind("\n") + 1].splitlines()]


def main() -> None:
    with open(sys.argv[1], "w") as lines:
        while True:
            due = time.monotonic() + SLEEP_SECONDS
            time.sleep(SLEEP_SECONDS)
            woken = time.monotonic()
            if woken - due > WORTH_A_LINE:
                lines.write(json.dumps([due, woken]) + "\n")
                lines.flush()


if __name__ == "__main__":
    main()
