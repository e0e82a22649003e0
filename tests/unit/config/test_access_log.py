# SPDX-License-Identifier: Apache-2.0
import pytest

from tensorserve.config.access_log import access_log
from tensorserve.config.flags import ServerOptions
from tensorserve.errors import Code, ServingError


@pytest.mark.parametrize("text", ["off", "all", "errors", "slow:250", "slow:0.5", "1/100"])
def test_each_form(text: str) -> None:
    assert access_log(ServerOptions(access_log=text)) == text


@pytest.mark.parametrize(
    "text", ["", "some", "slow", "slow:", "slow:-1", "slow:nan", "slow:inf", "1/0", "1/x", "2/3", "1/²"]
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ServingError, match="access_log must be one of") as failure:
        access_log(ServerOptions(access_log=text))
    assert failure.value.code is Code.INVALID_ARGUMENT
