# SPDX-License-Identifier: Apache-2.0
"""Which requests get a line in the log: `--access_log`."""

import math

from tensorserve.config.flags import ServerOptions
from tensorserve.errors import Code, ServingError

_WORDS = ("off", "all", "errors")


def access_log(options: ServerOptions) -> str:
    """The flag's value, which the data plane understands.

    Raises:
        ServingError: INVALID_ARGUMENT: it is none of the forms.
    """
    given = options.access_log
    if given in _WORDS or _is_slow(given) or _is_sample(given):
        return given
    text = f"access_log must be one of {', '.join(_WORDS)}, slow:MILLISECONDS, 1/N; got {given!r}"
    raise ServingError(Code.INVALID_ARGUMENT, text)


def _is_slow(text: str) -> bool:
    kind, _, milliseconds = text.partition(":")
    try:
        return kind == "slow" and 0 <= float(milliseconds) < math.inf
    except ValueError:
        return False


def _is_sample(text: str) -> bool:
    one, _, number = text.partition("/")
    return one == "1" and number.isdecimal() and number.isascii() and 0 < int(number) < 2**64
