# SPDX-License-Identifier: Apache-2.0
"""Finds the runtime of a platform."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tensorserve.config.batching import Batching
from tensorserve.config.flags import ServerOptions
from tensorserve.errors import Code, ServingError
from tensorserve.runtimes.runtime import Refreshable, Runtime
from tensorserve.types import TENSORFLOW_PLATFORM

ENTRY_POINT_GROUP = "tensorserve.runtimes"

RuntimeFactory = Callable[[ServerOptions], Runtime]


class RuntimeRegistry:
    """Opens each platform's runtime when it is first asked for, and keeps it.

    Args:
        options: Handed to each runtime.
        batching: How TensorFlow's batches requests.
        factories: Runtimes by platform; by default the one for TensorFlow. Plug-ins are looked up for other platforms.
    """

    def __init__(
        self, options: ServerOptions, batching: Batching, factories: Mapping[str, RuntimeFactory] | None = None
    ) -> None:
        self._options = options
        default: dict[str, RuntimeFactory] = {TENSORFLOW_PLATFORM: lambda options: _open_tensorflow(options, batching)}
        self._factories = dict(factories or default)
        self._runtimes: dict[str, Runtime] = {}

    def knows(self, platform: str) -> bool:
        """Whether some runtime loads models of this platform."""
        return platform in self._factories or self._find_plug_in(platform)

    def runtime(self, platform: str) -> Runtime:
        """The runtime of a platform.

        Raises:
            ServingError: INVALID_ARGUMENT for an unknown platform, FAILED_PRECONDITION if its library cannot be opened.
        """
        if platform not in self._runtimes:
            if not self.knows(platform):
                raise ServingError(Code.INVALID_ARGUMENT, f"No runtime for platform {platform}")
            self._runtimes[platform] = self._factories[platform](self._options)
        return self._runtimes[platform]

    def refresh(self) -> None:
        """Makes the open runtimes read the files that the flags name again. Raises ServingError."""
        for runtime in self._runtimes.values():
            if isinstance(runtime, Refreshable):
                runtime.refresh(self._options)

    def _find_plug_in(self, platform: str) -> bool:
        # Reading the metadata of every installed package takes long, and almost nobody needs it.
        from importlib.metadata import entry_points

        for entry_point in entry_points(group=ENTRY_POINT_GROUP, name=platform):
            self._factories[platform] = entry_point.load()
            return True
        return False


def _open_tensorflow(options: ServerOptions, batching: Batching) -> Runtime:
    from tensorserve.runtimes.tensorflow import TensorFlow

    return TensorFlow.open(options, batching)
