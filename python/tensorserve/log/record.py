# SPDX-License-Identifier: Apache-2.0
"""One thing that is said to the log, and how it travels from a server to its supervisor."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LEVELS = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "fatal",
}

TENSORFLOW = "tensorflow"


@dataclass(frozen=True, slots=True)
class Record:
    """One event.

    Attributes:
        level: A level of `logging`.
        text: What happened; may have several lines.
        seconds: When, since 1970.
        logger: Who says it.
        fields: What it is about: `model`, `version`, `request_id` and others.
        kind: Records of one kind are folded when there are many; empty if only equal texts are.
        is_plain: Whether it is a line that another program wrote, without a level of its own.
    """

    level: int
    text: str
    seconds: float
    logger: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    kind: str = ""
    is_plain: bool = False

    def encoded(self) -> str:
        """The record as one line of JSON."""
        facts = [self.level, self.text, self.seconds, self.logger, dict(self.fields), self.kind, self.is_plain]
        return json.dumps(facts, default=str)

    @classmethod
    def decoded(cls, line: bytes) -> "Record | None":
        """The record of such a line; None if it is none."""
        try:
            level, text, seconds, logger, fields, kind, is_plain = json.loads(line)
            return cls(int(level), str(text), float(seconds), str(logger), dict(fields), str(kind), bool(is_plain))
        except (ValueError, TypeError):
            return None


def about(
    model: str | None = None, version: int | None = None, *, kind: str = "", **fields: object
) -> Mapping[str, object]:
    """What a line is about, as the argument `extra` of a logger's methods.

    Args:
        model: A model's name.
        version: The number of one of its versions.
        kind: Lines of one kind are folded when there are many, even if their texts differ.
        fields: Others, such as `request_id`.
    """
    found = {"model": model, "version": version, **fields}
    return {"fields": {name: value for name, value in found.items() if value is not None}, "kind": kind}
