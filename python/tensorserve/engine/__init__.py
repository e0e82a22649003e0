# SPDX-License-Identifier: Apache-2.0
"""Models in the program itself, on the server's own runtime: NumPy in and out, no server, no TensorFlow in Python.

    import tensorserve

    model = tensorserve.load("models/half_plus_two")
    model(x=[1.0, 2.0])["y"]

`model` is the file to read first. May import `runtimes`, `config` and `tensorserve_client` (which converts values).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorserve.engine.loading import load
    from tensorserve.engine.model import Function, Model

__all__ = ["Function", "Model", "load"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    home = {"load": "loading", "Model": "model", "Function": "model"}.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
