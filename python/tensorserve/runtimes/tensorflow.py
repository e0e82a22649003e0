# SPDX-License-Identifier: Apache-2.0
"""Models of platform `tensorflow`: SavedModels, computed by the C library of the installed TensorFlow package."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tensorserve.config.batching import Batching, VersionBatching
from tensorserve.config.flags import ServerOptions
from tensorserve.config.model_settings import ModelSettings
from tensorserve.config.session_config import session_config
from tensorserve.errors import ServingError
from tensorserve.files import refuse_special_files
from tensorserve.runtimes.op_libraries import OpLibraries, is_missing_op, with_advice
from tensorserve.runtimes.tensorflow_library import find_library

if TYPE_CHECKING:
    from tensorserve._core import Servable, TensorFlowRuntime

logger = logging.getLogger(__name__)


def open_library(explicit_path: str = "") -> TensorFlowRuntime:
    """Opens TensorFlow's C library; see `find_library`."""
    from tensorserve import _core

    path = find_library(explicit_path)
    try:
        return _core.TensorFlowRuntime(path)
    except _core.ServingError as error:
        raise ServingError.wrap(error) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How one SavedModel is loaded. An attribute that is a flag's value has the flag's name, and is explained there.

    Attributes:
        tags: The tag set of the meta graph to load.
        session_config: A serialized `tensorflow.ConfigProto`.
        batching: How its requests share batches; None if they do not.
    """

    tags: tuple[str, ...]
    session_config: bytes
    load_niceness: int = 0
    inter_op_threading: str = "auto"
    batching: VersionBatching | None = None


@dataclass(frozen=True, slots=True)
class SavedModelOptions:
    """How all SavedModels are loaded.

    Attributes:
        load: What is the same for all.
        batching: How requests are batched, which a version may say for itself.
    """

    load: LoadOptions
    batching: Batching

    @classmethod
    def of(cls, options: ServerOptions, batching: Batching) -> SavedModelOptions:
        """What the flags say."""
        load = LoadOptions(
            tags=tuple(options.saved_model_tags.split(",")),
            session_config=session_config(options),
            load_niceness=options.load_niceness,
            inter_op_threading=options.inter_op_threading,
        )
        return cls(load, batching)

    def version(self, path: str) -> LoadOptions:
        """How the version in this directory is loaded. Raises ServingError: its batching parameters are none."""
        return replace(self.load, batching=self.batching.version(path))


@dataclass(frozen=True, slots=True)
class SavedModelLoader:
    """Loads one SavedModel.

    Attributes:
        runtime: The open library.
        path: The version's directory.
        options: How.
        op_libraries: May have ops that the model needs.
    """

    runtime: TensorFlowRuntime
    path: str
    options: SavedModelOptions
    op_libraries: OpLibraries

    def load(self) -> Servable:
        refuse_special_files(self.path)
        options = self.options.version(self.path)
        servable = self._load_with_ops(options)
        for warning in servable.warnings:
            logger.warning("The model at %s: %s", self.path, warning)
        if options.batching is not None:
            logger.info("Wrapping session to perform batch processing")
        return servable

    def _load_with_ops(self, options: LoadOptions) -> Servable:
        try:
            try:
                return self.runtime.load(self.path, options)
            except Exception as error:
                if not (is_missing_op(error) and self.op_libraries.load_installed()):
                    raise
            return self.runtime.load(self.path, options)
        except Exception as error:
            raise with_advice(error) from error


class TensorFlow:
    """Makes loaders that share one library, its ops, and the options."""

    def __init__(self, runtime: TensorFlowRuntime, options: SavedModelOptions, op_libraries: OpLibraries) -> None:
        self._runtime = runtime
        self._options = options
        self._op_libraries = op_libraries

    @classmethod
    def open(cls, options: ServerOptions, batching: Batching) -> TensorFlow:
        """Opens the library that the flags name, or the installed one."""
        how = SavedModelOptions.of(options, batching)
        runtime = open_library(options.tensorflow_library)
        logger.info("TensorFlow %s", runtime.version)
        op_libraries = OpLibraries(runtime, load_installed=options.load_installed_op_libraries)
        op_libraries.load_named(options.load_op_library)
        return cls(runtime, how, op_libraries)

    def refresh(self, options: ServerOptions) -> None:
        """Versions are loaded as these flags and the files that they name say from now on."""
        self._options = SavedModelOptions.of(options, Batching.of(options))

    def loader(self, path: str) -> SavedModelLoader:
        return SavedModelLoader(self._runtime, path, self._options, self._op_libraries)

    def loader_with(self, path: str, settings: ModelSettings) -> SavedModelLoader:
        how = replace(self._options, batching=self._options.batching.of_model(settings.batching))
        return SavedModelLoader(self._runtime, path, how, self._op_libraries)
