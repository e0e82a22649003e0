# SPDX-License-Identifier: Apache-2.0
"""Custom ops: the libraries that `--load_op_library` names, and those of installed packages.

The former are loaded before the first model. The latter are loaded when a model turns out to need an op that is not
there: loading them all takes a quarter of a second, which servers whose models need none should not pay.
"""

from __future__ import annotations

import glob
import importlib.util
import logging
import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tensorserve.errors import Code, ServingError

if TYPE_CHECKING:
    from tensorserve._core import TensorFlowRuntime

logger = logging.getLogger(__name__)

# Where packages keep their ops, by the name under which they are imported. Libraries that only training needs are not
# among them. ydf_tf has the ops of tensorflow_decision_forests for newer releases of TensorFlow.
KNOWN_PACKAGES = {
    "tensorflow_text": ("python/ops/_*.so", "python/metrics/_*.so"),
    "ydf_tf": ("inference.so",),
    "tensorflow_decision_forests": ("tensorflow/ops/inference/inference.so",),
}
"""Patterns of the libraries in a package's folder, by the name of the folder."""


class OpLibraries:
    """The op libraries of this process. TensorFlow never unloads one.

    Args:
        runtime: TensorFlow's library.
        load_installed: Whether libraries of installed packages may be loaded.
    """

    def __init__(self, runtime: TensorFlowRuntime, *, load_installed: bool) -> None:
        self._runtime = runtime
        self._may_load_installed = load_installed
        self._has_installed = False
        self._lock = threading.Lock()

    def load_named(self, flag: str) -> None:
        """Loads what `--load_op_library` names.

        Raises:
            ServingError: One cannot be loaded: TensorFlow's code and reason, and which.
        """
        for path in filter(None, flag.split(",")):
            try:
                self._runtime.load_op_library(path)
            except Exception as error:
                wrapped = ServingError.wrap(error)
                text = f"--load_op_library={path} cannot be loaded: {wrapped.message}"
                raise ServingError(wrapped.code, text) from error
            logger.info("Loaded the op library %s", path)

    def load_installed(self) -> bool:
        """Loads the libraries of known packages, if this was not done before.

        Returns:
            Whether there are any, so that a load that failed for want of an op is worth another attempt.
        """
        with self._lock:
            if self._may_load_installed:
                self._may_load_installed = False
                for name in KNOWN_PACKAGES:
                    self._has_installed |= self._load_package(name)
            return self._has_installed

    def _load_package(self, name: str) -> bool:
        libraries = list(libraries_of(name))
        failures = [failure for path in libraries if (failure := self._try(path))]
        if failures:
            logger.warning("%d of the %d op libraries of %s: %s", len(failures), len(libraries), name, failures[0])
        loaded = len(libraries) - len(failures)
        if loaded:
            logger.info("Loaded %d op libraries of %s", loaded, name)
        return loaded > 0

    def _try(self, path: str) -> str | None:
        """Why a library could not be loaded."""
        try:
            self._runtime.load_op_library(path)
        except Exception as error:
            return (
                f"cannot be loaded, probably made for another release of TensorFlow: {ServingError.wrap(error).message}"
            )
        return None


def is_missing_op(error: Exception) -> bool:
    """Whether a model could not be loaded because of an op that nobody has registered."""
    wrapped = ServingError.wrap(error)
    return wrapped.code is Code.NOT_FOUND and "Op type not registered" in wrapped.message


def with_advice(error: Exception) -> ServingError:
    """Any error of a load; one for a missing op goes on with what to do."""
    wrapped = ServingError.wrap(error)
    if not is_missing_op(wrapped):
        return wrapped
    advice = "Name the library that has the op with --load_op_library."
    return ServingError(wrapped.code, f"{wrapped.message.rstrip()} {advice}")


def libraries_of(package: str) -> Iterator[str]:
    """The files with the ops of one of `KNOWN_PACKAGES`; none if it is not installed."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for pattern in KNOWN_PACKAGES[package]:
            yield from sorted(glob.glob(os.path.join(glob.escape(folder), pattern)))
