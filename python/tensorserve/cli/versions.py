# SPDX-License-Identifier: Apache-2.0
"""Prints the versions of the server and of TensorFlow."""

import os
import re

from tensorserve.cli.exit_status import OK
from tensorserve.errors import ServingError

# The folders in which pip notes what is installed, of the packages that bring TensorFlow's library.
_INSTALLED = re.compile(r"(?:tensorflow(?:_cpu|_gpu|_intel|_macos|_rocm)?|tf_nightly(?:_cpu)?)-(\d[^-]*)\.dist-info")


def print_versions(tensorflow_library: str = "") -> int:
    """Prints two lines like TensorFlow Serving's and gives the exit status."""
    from tensorserve import _core

    try:
        tensorflow = (not tensorflow_library and installed_version()) or _opened_version(tensorflow_library)
    except ServingError as error:
        tensorflow = f"none ({error.message})"
    print(f"TensorFlow ModelServer: {_core.__version__} (tensorserve)")
    print(f"TensorFlow Library: {tensorflow}")
    return OK


def installed_version() -> str:
    """The version of the installed package; empty if there are several notes of it, or none.

    Opening the library to ask it takes a third of a second.

    Raises:
        ServingError: TensorFlow is not installed.
    """
    from tensorserve.runtimes.tensorflow_library import find_library

    packages = os.path.dirname(os.path.dirname(find_library()))
    found = [match.group(1) for name in os.listdir(packages) if (match := _INSTALLED.fullmatch(name))]
    return found[0] if len(found) == 1 else ""


def _opened_version(path: str) -> str:
    from tensorserve.runtimes.tensorflow import open_library

    return open_library(path).version
