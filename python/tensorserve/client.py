# SPDX-License-Identifier: Apache-2.0
"""The client of model servers; all of `tensorserve_client`, which is a package of its own without the server."""

from typing import TYPE_CHECKING, Any

from tensorserve_client import *  # noqa: F403
from tensorserve_client import __all__ as __all__

if TYPE_CHECKING:
    from tensorserve_client import AsyncClient as AsyncClient


def __getattr__(name: str) -> Any:
    import tensorserve_client

    return getattr(tensorserve_client, name)
