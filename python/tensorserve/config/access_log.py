# SPDX-License-Identifier: Apache-2.0
"""Which requests get a line in the log: `--access_log`."""

import math
from dataclasses import dataclass

from tensorserve.config.flags import ServerOptions
from tensorserve.errors import Code, ServingError

_WORDS = ("off", "all", "errors")


@dataclass(frozen=True, slots=True)
class AccessLog:
    """Which requests get a line.

    Attributes:
        kind: `off`, `all`, `errors`, `slow` or `sample`.
        number: The microseconds that a slow request takes more than, or N for one in N of a sample.
    """

    kind: str = "off"
    number: int = 0


def access_log(options: ServerOptions) -> AccessLog:
    """What the flag means.

    Raises:
        ServingError: INVALID_ARGUMENT: it is none of the forms.
    """
    given = options.access_log
    found = AccessLog(given) if given in _WORDS else _slow(given) or _sample(given)
    if found is None:
        text = f"access_log must be one of {', '.join(_WORDS)}, slow:MILLISECONDS, 1/N; got {given!r}"
        raise ServingError(Code.INVALID_ARGUMENT, text)
    return found


def _slow(text: str) -> AccessLog | None:
    kind, _, milliseconds = text.partition(":")
    try:
        micros = float(milliseconds) * 1000
    except ValueError:
        return None
    return AccessLog(kind, math.ceil(micros)) if kind == "slow" and 0 <= micros < 2**63 else None


def _sample(text: str) -> AccessLog | None:
    one, _, number = text.partition("/")
    if one == "1" and number.isdecimal() and number.isascii() and len(number) < 19 and int(number) > 0:
        return AccessLog("sample", int(number))
    return None
