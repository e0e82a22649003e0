# SPDX-License-Identifier: Apache-2.0
"""What a model is, without loading it and without TensorFlow: signatures, files, ops, how to ask it.

`inspect_model` is the way in; `description` has the values that it gives, `places` says what can be looked at. A
graph of gigabytes is read in a fraction of a second: constants are skipped, variables are known by their index.

May import `sources` (where models lie, how their files are written), `runtimes` (where ops of packages lie), `protos`
and `errors`; never TensorFlow or NumPy. Called by the command line, and by `export` for its summary.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorserve.inspect.description import Model, Signature, Tensor
    from tensorserve.inspect.places import inspect_model

__all__ = ["Model", "Signature", "Tensor", "inspect_model"]

_HOMES = {"Model": "description", "Signature": "description", "Tensor": "description", "inspect_model": "places"}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{home}"), name)
