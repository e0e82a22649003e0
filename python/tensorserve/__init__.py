# SPDX-License-Identifier: Apache-2.0
"""A model server: drop-in compatible with TensorFlow Serving, decided in Python and served in Rust.

`ModelServer` is the way in; `server` is the file to read first. Everything is imported when it is first used, so that
the command line starts fast.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorserve._core import __version__ as __version__
    from tensorserve.client import AsyncClient, Client
    from tensorserve.engine.loading import load
    from tensorserve.errors import FlagError, ServingError, TensorServeError
    from tensorserve.server import ModelServer
    from tensorserve.types import All, Latest, ModelConfig, Specific

__all__ = [
    "All",
    "AsyncClient",
    "Client",
    "FlagError",
    "Latest",
    "ModelConfig",
    "ModelServer",
    "ServingError",
    "Specific",
    "TensorServeError",
    "__version__",
    "load",
]

_HOMES = {
    "All": "types",
    "AsyncClient": "client",
    "Client": "client",
    "FlagError": "errors",
    "Latest": "types",
    "ModelConfig": "types",
    "ModelServer": "server",
    "ServingError": "errors",
    "Specific": "types",
    "TensorServeError": "errors",
    "__version__": "_core",
    "load": "engine.loading",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
