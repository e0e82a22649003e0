# SPDX-License-Identifier: Apache-2.0
"""Asks TensorFlow alone and the product the same bent requests: what TensorFlow answers, the product answers alike.

Each asks in child processes of its own, so that a kernel which ends the process costs one request.
`python -m tests.soak.abort_agreement SECONDS [OP ...]` prints what they disagree about, and fails if that is anything.
"""

from __future__ import annotations

import argparse
import os
import pickle
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tests.soak import abort_graphs, abort_hunt
from tests.soak.recipes import ALL
from tests.soak.recipes.values import Array, Recipe

v1 = tf.compat.v1

TABLE = Path(__file__).parents[2] / "crates/runtimes/src/tensorflow/guard/table.rs"
REQUESTS, FEW_REQUESTS = 16, 5
"""Requests to each graph, and where each recipe has its turn once."""

LARGEST_EMPTY = 1 << 24
"""The documented bound of a dimension of a tensor without elements; beyond it the product refuses on purpose."""

PATIENCE_SECONDS = 20
DIED = None

CONTRADICT = (
    *("RaggedTensorToTensor", "FractionalAvgPoolGrad", "FractionalMaxPoolGrad"),
    *("IRFFT", "IRFFT2D", "IRFFT3D"),
)
"""Ops whose guards see inputs that contradict each other or ask for a transform of length 0, which kernels survive at
times, with any answer."""

Outcome = list[Array] | str | None
"""What was answered, the text of an error, or `DIED`."""

Run = Callable[[list[Array]], list[Array]]


@dataclass(frozen=True)
class Disagreement:
    """A request that TensorFlow answers and the product does not, or not alike."""

    recipe: str
    wrapping: str
    declared: bool
    inputs: tuple[str, ...]
    said: str


@dataclass
class Findings:
    """The outcome of a comparison."""

    requests: int = 0
    answered: int = 0
    died: int = 0
    ops: set[str] = field(default_factory=set)
    disagreements: list[Disagreement] = field(default_factory=list)


def guarded_recipes() -> list[Recipe]:
    """The recipes of ops that have a guard, and those of several ops."""
    names = set(re.findall(r'"(\w+)"', TABLE.read_text()))
    return [recipe for recipe in ALL if recipe.op in names or recipe.op.endswith("+")]


def compare(seconds: float, seed: int, recipes: list[Recipe]) -> Findings:
    """Compares for this long, one recipe after another; with 0 seconds each of them once."""
    chance, findings, end = random.Random(seed), Findings(), time.monotonic() + seconds
    order = recipes.copy()
    while True:
        chance.shuffle(order)
        for recipe in order:
            if seconds and time.monotonic() > end:
                return findings
            _compare(recipe, chance, findings, REQUESTS if seconds else FEW_REQUESTS)
        if not seconds:
            return findings


def _compare(recipe: Recipe, chance: random.Random, findings: Findings, count: int) -> None:
    wrapping, declared = chance.choice(abort_hunt.WRAPPINGS), chance.random() < 0.5
    right = abort_graphs.flat_inputs(recipe)
    requests = [right, *(abort_graphs.bent(right, chance) for _ in range(count))]
    requests = [inputs for inputs in requests if not any(map(_is_huge_empty, inputs))]
    alone = _outcomes(_alone, recipe, wrapping, declared, requests)
    guarded = _outcomes(_guarded, recipe, wrapping, declared, requests)
    findings.requests += len(requests)
    findings.ops.add(recipe.op)
    for inputs, theirs, ours in zip(requests, alone, guarded, strict=True):
        findings.died += theirs is DIED
        if not isinstance(theirs, list):
            continue
        findings.answered += 1
        said = _difference(theirs, ours)
        if said and _is_sound(recipe, right, inputs, declared=declared):
            described = tuple(abort_hunt._described(value) for value in inputs)
            findings.disagreements.append(Disagreement(recipe.name, wrapping, declared, described, said))


def _is_sound(recipe: Recipe, right: list[Array], inputs: list[Array], *, declared: bool) -> bool:
    """Whether it is no luck that TensorFlow answers: it accepts these shapes where it knows them, too."""
    if recipe.op in CONTRADICT:
        return False
    # The shape functions of gradients look at few of their inputs; `tf.nn.conv1d` makes another graph of a known rank.
    is_gradient = recipe.op == "Conv1D+" or "Backprop" in recipe.op or "Transpose+" in recipe.op or "Grad" in recipe.op
    # What was fused must keep to the ranks that are declared, each of them.
    is_fused = declared and recipe.op == "BatchMatMulMulAdd+"
    if (is_gradient or is_fused) and [value.ndim for value in inputs] != [value.ndim for value in right]:
        return False
    return isinstance(_outcomes(_inferred, recipe, "", False, [inputs])[0], list)


def _is_huge_empty(value: Array) -> bool:
    return value.size == 0 and max(value.shape) > LARGEST_EMPTY


def _difference(theirs: list[Array], ours: Outcome) -> str:
    """Nothing if ours has tensors of the same shapes and types. Some kernels do not give the same values twice."""
    if not isinstance(ours, list):
        return ours or "the process ended"
    for at, (their, our) in enumerate(zip(theirs, ours, strict=True)):
        if their.shape != our.shape or their.dtype.kind != our.dtype.kind:
            return f"output {at}: {their.dtype}{their.shape}, but {our.dtype}{our.shape}"
    return ""


def _outcomes(
    load: Callable[[Recipe, str, bool, Path], Run],
    recipe: Recipe,
    wrapping: str,
    declared: bool,
    requests: list[list[Array]],
) -> list[Outcome]:
    """One for each request; after a death another child asks the rest."""
    found: list[Outcome] = []
    while len(found) < len(requests):
        found += _child(load, recipe, wrapping, declared, requests[len(found) :])
    return found


def _child(load: Any, recipe: Recipe, wrapping: str, declared: bool, requests: list[list[Array]]) -> list[Outcome]:
    read, write = os.pipe()
    folder = Path(tempfile.mkdtemp(prefix="agreement-"))
    child = os.fork()
    if child == 0:
        os.close(read)
        _live(lambda: load(recipe, wrapping, declared, folder), requests, write)
    os.close(write)
    found: list[Outcome] = []
    with os.fdopen(read, "rb") as results:
        while len(found) < len(requests):
            try:
                found.append(pickle.load(results))
            except EOFError:
                found.append(DIED)
                break
    os.waitpid(child, 0)
    shutil.rmtree(folder, ignore_errors=True)
    return found


def _live(load: Callable[[], Run], requests: list[list[Array]], write: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    results = os.fdopen(write, "wb")
    try:
        run = load()
        for inputs in requests:
            # A run without an end is a death of this child alone.
            signal.alarm(PATIENCE_SECONDS)
            outcome: Outcome
            try:
                outcome = [np.asarray(output) for output in run(inputs)]
            except Exception as error:
                outcome = f"{type(error).__name__}: {str(error)[:300]}"
            pickle.dump(outcome, results)
            results.flush()
    finally:
        os._exit(0)


def _alone(recipe: Recipe, wrapping: str, declared: bool, _folder: Path) -> Run:
    from tensorflow.core.protobuf import config_pb2

    graph = tf.Graph()
    with graph.as_default():
        placeholders, outputs = abort_graphs.build(recipe, wrapping, declared=declared)
    session = v1.Session(graph=graph)
    options = config_pb2.CallableOptions(feed=[p.name for p in placeholders], fetch=[o.name for o in outputs])
    call = session._make_callable_from_options(options)
    return lambda inputs: list(call(*inputs))


def _inferred(recipe: Recipe, _wrapping: str, _declared: bool, _folder: Path) -> Run:
    def run(inputs: list[Array]) -> list[Array]:
        with tf.Graph().as_default():
            abort_graphs.infer(recipe, inputs)
        return []

    return run


def _guarded(recipe: Recipe, wrapping: str, declared: bool, folder: Path) -> Run:
    from tensorserve import engine

    path = folder / "model"
    with tf.Graph().as_default(), v1.Session() as session:
        placeholders, outputs = abort_graphs.build(recipe, wrapping, declared=declared)
        names = [f"x{number}" for number in range(len(placeholders))]
        v1.saved_model.simple_save(
            session,
            str(path),
            dict(zip(names, placeholders, strict=True)),
            {f"y{number}": tensor for number, tensor in enumerate(outputs)},
        )
    model = engine.load(str(path))

    def run(inputs: list[Array]) -> list[Array]:
        found = model(**dict(zip(names, inputs, strict=True)))
        return [found[f"y{number}"] for number in range(len(outputs))]

    return run


def main() -> None:
    """Compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float, help="0: each once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("ops", nargs="*", help="all that have a guard if there are none")
    given = parser.parse_args()
    chosen = [recipe for recipe in guarded_recipes() if not given.ops or recipe.op in given.ops]
    found = compare(given.seconds, given.seed, chosen)
    for each in found.disagreements:
        print(each.recipe, each.wrapping, f"declared={each.declared}", *each.inputs, each.said, sep="\n  ")
    print(
        f"{found.requests} requests to {len(found.ops)} ops: TensorFlow answered {found.answered} and ended at "
        f"{found.died}; {len(found.disagreements)} were answered otherwise"
    )
    sys.exit(1 if found.disagreements or not found.answered else 0)


if __name__ == "__main__":
    main()
