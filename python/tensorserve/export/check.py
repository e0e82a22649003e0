# SPDX-License-Identifier: Apache-2.0
"""Compares what an export answers with what the model answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tensorserve.errors import Code, ServingError
from tensorserve.export.signatures import Built

TOLERANCE = 1e-5
"""How far an answer may be off, as a part of the largest value of its output."""
_PLACES = ("Graph execution error:", "Detected at node", "<stack traces unavailable>", "[[{{", "File ")
_REASON_CHARACTERS = 500
_ROUNDS = 10
_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike two sets of answers are.

    Attributes:
        difference: The largest difference of two numbers, as a part of the largest value of that output.
        same_best: Part of the rows whose largest value is in the same column, of outputs with several columns.
    """

    difference: float = 0.0
    same_best: float = 1.0


class RefusedInputsError(Exception):
    """The model does not take some inputs, which says nothing of its export if they were made up."""


def answers(built: Built, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What the model itself answers, as arrays.

    Raises:
        RefusedInputsError: It does not take these inputs.
        ServingError: The signature does not fit the model.
    """
    try:
        return {alias: tensor.numpy() for alias, tensor in built.call(inputs).items()}
    except ServingError:
        raise
    except Exception as error:
        text = f"the model does not take the inputs it was tried with ({_reason(str(error))})"
        raise RefusedInputsError(text) from error


def _reason(text: str) -> str:
    """What went wrong, on one line: TensorFlow puts lines before and behind it that say where."""
    lines = (line.strip() for line in text.splitlines())
    reason = " ".join(line for line in lines if line and not line.startswith(_PLACES))
    reason = reason.partition(" [[{{")[0]
    return reason[:_REASON_CHARACTERS] or text.strip()[:_REASON_CHARACTERS]


def answers_of(folder: str, asked: Mapping[str, tuple[Built, Mapping[str, Any]]]) -> dict[str, Mapping[str, Any]]:
    """What a version answers that was written, loaded again as anybody would.

    Args:
        folder: The version.
        asked: Each signature with its inputs, by name.
    """
    import tensorflow as tf

    from tensorserve.export.saving import as_arguments

    loaded = tf.saved_model.load(folder)
    found: dict[str, Mapping[str, Any]] = {}
    for name, (built, inputs) in asked.items():
        outputs = loaded.signatures[name](**as_arguments(built, inputs))
        found[name] = {alias: tensor.numpy() for alias, tensor in outputs.items()}
    return found


def best_seconds(runs: Sequence[Callable[[], object]]) -> list[float]:
    """Seconds of the fastest of a few runs of each, in turns, after one that does not count."""
    for run in runs:
        run()
    best, end = [float("inf")] * len(runs), time.perf_counter() + _SECONDS
    for _ in range(_ROUNDS):
        for number, run in enumerate(runs):
            start = time.perf_counter()
            run()
            best[number] = min(best[number], time.perf_counter() - start)
        if time.perf_counter() > end:
            break
    return best


def agreement(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Agreement:
    """Compares arrays by alias.

    Raises:
        ServingError: INTERNAL, aliases, shapes or texts differ.
    """
    import numpy as np

    if wanted.keys() != found.keys():
        raise ServingError(Code.INTERNAL, f"the export gives {', '.join(found)}, the model {', '.join(wanted)}")
    difference, same_best = 0.0, 1.0
    for alias, expected in wanted.items():
        given = found[alias]
        if expected.shape != given.shape:
            text = f"output {alias} of the export has the shape {given.shape}, that of the model {expected.shape}"
            raise ServingError(Code.INTERNAL, text)
        if expected.dtype.kind not in "fc":
            if not np.array_equal(expected, given) and expected.dtype.kind in "OSU":
                raise ServingError(Code.INTERNAL, f"output {alias} of the export differs from that of the model")
            difference = max(
                difference,
                _difference(expected.astype(float), given.astype(float)) if expected.dtype.kind in "iub" else 0.0,
            )
            continue
        difference = max(difference, _difference(expected, given))
        if expected.ndim > 1 and expected.shape[-1] > 1 and expected.size:
            same_best = min(same_best, float((expected.argmax(-1) == given.argmax(-1)).mean()))
    return Agreement(difference, same_best)


def _difference(expected: Any, given: Any) -> float:
    import numpy as np

    if not expected.size:
        return 0.0
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    expected, given = expected.astype(wide), given.astype(wide)
    if not np.array_equal(np.isnan(expected), np.isnan(given)):
        return float("inf")
    expected, given = np.nan_to_num(expected), np.nan_to_num(given)
    largest = float(np.abs(expected).max())
    return float(np.abs(expected - given).max()) / (largest or 1.0)
