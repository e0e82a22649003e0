# SPDX-License-Identifier: Apache-2.0
import pytest

from tensorserve.config.access_log import AccessLog, access_log
from tensorserve.config.flags import ServerOptions
from tensorserve.errors import Code, ServingError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("off", AccessLog()),
        ("all", AccessLog("all")),
        ("errors", AccessLog("errors")),
        ("slow:250", AccessLog("slow", 250_000)),
        ("slow:0.5", AccessLog("slow", 500)),
        ("1/100", AccessLog("sample", 100)),
    ],
)
def test_each_form(text: str, found: AccessLog) -> None:
    assert access_log(ServerOptions(access_log=text)) == found


@pytest.mark.parametrize(
    "text", ["", "some", "slow", "slow:", "slow:-1", "slow:nan", "slow:inf", "slow:1e300", "1/0", "1/x", "2/3", "1/²"]
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ServingError, match="access_log must be one of") as failure:
        access_log(ServerOptions(access_log=text))
    assert failure.value.code is Code.INVALID_ARGUMENT
