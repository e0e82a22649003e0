# SPDX-License-Identifier: Apache-2.0
"""What a row of the table of flags says."""

import dataclasses
import enum
import math
from dataclasses import dataclass
from typing import Any

FlagValue = bool | int | float | str


class Kind(enum.Enum):
    """The type of a flag's value."""

    BOOL = "bool"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT = "float"
    STRING = "string"


class Status(enum.Enum):
    """What a flag does in this server."""

    EFFECTIVE = "effective"
    ACCEPTED_WITHOUT_EFFECT_YET = "accepted without effect yet"
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class Flag:
    """One row of the table.

    Attributes:
        name: Spelling without dashes.
        kind: Type of the value.
        default: Value when the flag is not given.
        default_text: The default as documentation shows it, which may depend on the machine.
        help: One or two sentences.
        status: What it does here.
        aliases: Other spellings.
        repeatable: When given several times, the values are joined with commas; otherwise the last one counts.
        least: The least number that it may be; None for no limit.
        most: The largest.
        choices: The texts that it may be; empty for any.
    """

    name: str
    kind: Kind
    default: FlagValue
    default_text: str
    help: str
    status: Status
    aliases: tuple[str, ...] = ()
    repeatable: bool = False
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()

    def problem(self, value: FlagValue) -> str:
        """Why it may not be this value; empty if it may."""
        if self.choices and value not in self.choices:
            return f"{self.name} must be one of {', '.join(filter(None, self.choices))}."
        if isinstance(value, str) or self.least is None or self.least <= value <= (self.most or math.inf):
            return ""
        if self.most is not None:
            return f"{self.name} must be between {self.least} and {self.most}."
        return f"{self.name} must be above {self.least - 1}." if self.least else f"{self.name} must not be negative."


# A row of the table becomes a dataclass field; the field's own type is what a type checker sees, hence the result Any.
def row(
    kind: Kind,
    default: FlagValue,
    help_text: str,
    status: Status = Status.ACCEPTED_WITHOUT_EFFECT_YET,
    *,
    default_text: str | None = None,
    aliases: tuple[str, ...] = (),
    repeatable: bool = False,
    least: int | None = None,
    most: int | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field that carries what there is to say about a flag; see `Flag`."""
    facts = {
        "kind": kind,
        "default": default,
        "default_text": default_text,
        "help": help_text,
        "status": status,
        "aliases": aliases,
        "repeatable": repeatable,
        "least": least,
        "most": most,
        "choices": choices,
    }
    return dataclasses.field(default=default, metadata=facts)


def flag_of(field: "dataclasses.Field[Any]") -> Flag:
    """The row that a field carries."""
    facts = field.metadata
    default: FlagValue = facts["default"]
    shown = facts["default_text"]
    if shown is None:
        shown = str(default).lower() if isinstance(default, bool) else str(default)
    return Flag(
        field.name,
        facts["kind"],
        default,
        shown,
        facts["help"],
        facts["status"],
        facts["aliases"],
        facts["repeatable"],
        facts["least"],
        facts["most"],
        facts["choices"],
    )
