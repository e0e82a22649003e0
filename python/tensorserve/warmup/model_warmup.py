# SPDX-License-Identifier: Apache-2.0
"""Warms up a version after it was loaded and before it is published."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar, runtime_checkable

from tensorserve.config.flags import ServerOptions
from tensorserve.config.model_settings import WarmupSettings
from tensorserve.errors import ServingError
from tensorserve.lifecycle.load_meter import LoadMeter
from tensorserve.lifecycle.loader import Loader

logger = logging.getLogger(__name__)

WARMUP_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
"""Where a version directory has its recorded requests: a TFRecord file of PredictionLogs."""

MAX_RECORDS = 1000
"""A warm-up file with more records fails the load; the original's limit."""

S = TypeVar("S")


@runtime_checkable
class Warmable(Protocol):
    """A servable that can run requests before it is published; `_core.Servable` is one."""

    def replay(
        self,
        path: str,
        *,
        model_name: str = "warmup",
        iterations: int = 1,
        max_records: int = 1000,
        enable_signature_method_name_check: bool = False,
    ) -> list[tuple[int, list[float]]]:
        """Runs the requests of a file; gives for each its kind and the seconds of its runs. Raises its first error."""

    def synthesize_warmup(self) -> list[tuple[str, str, float | None]]:
        """Runs made-up requests; gives for each signature the seconds, or why it did not run."""


@dataclass(frozen=True, slots=True)
class WarmupOptions:
    """How versions are warmed up.

    Attributes:
        model_name: The model, as the log and the report of batching call it.
        enabled: Whether they are at all.
        iterations: How often each recorded request is run.
        synthesize: Whether a version without a file runs made-up requests.
        enable_signature_method_name_check: Whether recorded requests must suit the `method_name` of their signature.
    """

    model_name: str = "warmup"
    enabled: bool = True
    iterations: int = 1
    synthesize: bool = True
    enable_signature_method_name_check: bool = False

    @classmethod
    def of(cls, options: ServerOptions) -> WarmupOptions:
        """What the flags say."""
        return cls(
            enabled=options.enable_model_warmup,
            iterations=max(options.num_request_iterations_for_warmup, 1),
            synthesize=options.synthesize_warmup,
            enable_signature_method_name_check=options.enable_signature_method_name_check,
        )

    def of_model(self, settings: WarmupSettings) -> WarmupOptions:
        """The same for one model with settings of its own."""
        given = {
            name: value
            for name in ("enabled", "iterations", "synthesize")
            if (value := getattr(settings, name)) is not None
        }
        return replace(self, **given)


@dataclass(frozen=True, slots=True)
class WarmingLoader(Generic[S]):
    """Loads a version and warms it up.

    Attributes:
        loader: Loads it.
        path: The version's directory.
        options: How to warm it up.
        meter: Counts warm-ups with recorded requests.
    """

    loader: Loader[S]
    path: str
    options: WarmupOptions
    meter: LoadMeter | None = None

    def load(self) -> S:
        """The servable, warm. A recorded request that fails fails the load."""
        servable = self.loader.load()
        if self.options.enabled and isinstance(servable, Warmable):
            warm_up(servable, self.path, self.options, self.meter)
        return servable


def warming(
    make_loader: Callable[[str], Loader[S]],
    options: ServerOptions,
    meter: object = None,
    settings: Callable[[], WarmupSettings] = WarmupSettings,
    model_name: str = "warmup",
) -> Callable[[str], Loader[S]]:
    """Makes loaders that load as those of `make_loader` do, and warm up what they have loaded.

    Warm-ups with recorded requests are counted if `meter` can. `settings` gives those of the model, when it loads.
    """
    warmup = replace(WarmupOptions.of(options), model_name=model_name)
    counting = meter if isinstance(meter, LoadMeter) else None
    return lambda path: WarmingLoader(make_loader(path), path, warmup.of_model(settings()), counting)


def warm_up(servable: Warmable, directory: str, options: WarmupOptions, meter: LoadMeter | None = None) -> None:
    """Runs the version's recorded requests or, if there are none, made-up ones.

    Raises:
        ServingError: Of the data plane: the file is no warm-up file, or one of its requests fails.
    """
    path = os.path.join(directory, WARMUP_FILE)
    if os.path.exists(path):
        _replay(servable, directory, options, meter)
        return
    logger.info("No warmup data file found at %s", path)
    if options.synthesize:
        _synthesize(servable, directory)


def _replay(servable: Warmable, directory: str, options: WarmupOptions, meter: LoadMeter | None) -> None:
    path = os.path.join(directory, WARMUP_FILE)
    logger.info(
        "Starting to read warmup data for model at %s with model-warmup-options num_request_iterations: %d",
        path,
        options.iterations,
    )
    start = time.monotonic()
    try:
        replayed = servable.replay(
            path,
            model_name=options.model_name,
            iterations=options.iterations,
            max_records=MAX_RECORDS,
            enable_signature_method_name_check=options.enable_signature_method_name_check,
        )
    except Exception as error:
        wrapped = ServingError.wrap(error)
        if meter is not None:
            meter.record_warmup(directory, f"{wrapped.code.name}: {wrapped.message}", time.monotonic() - start)
        raise
    if meter is not None:
        meter.record_warmup(directory, "OK", time.monotonic() - start, len(replayed))
    logger.info(
        "Finished reading warmup data for model at %s. Number of warmup records read: %d. "
        "Elapsed time (microseconds): %d.",
        path,
        len(replayed),
        (time.monotonic() - start) * 1e6,
    )


def _synthesize(servable: Warmable, directory: str) -> None:
    """Nothing that goes wrong here matters: a model may refuse inputs that are made up."""
    ran = 0
    for signature, reason, seconds in servable.synthesize_warmup():
        if seconds is None:
            logger.debug("Signature %s of the model at %s was not warmed up: %s", signature, directory, reason)
        else:
            ran += 1
            logger.debug(
                "A made-up request to signature %s of the model at %s took %.1f ms", signature, directory, seconds * 1e3
            )
    logger.info("Warmed up the model at %s with made-up requests to %d signature(s).", directory, ran)
