# SPDX-License-Identifier: Apache-2.0
"""Runs bent requests in child processes, and notes what ends a child.

A child is forked with TensorFlow in memory, so that a death costs milliseconds. Requests run through `_core`, as those
of a server do: a SavedModel is written, loaded and asked by a file of requests. `guarded=False` runs TensorFlow alone,
to find what there is to be guarded against.
"""

from __future__ import annotations

import argparse
import mmap
import os
import pickle
import random
import resource
import shutil
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tests.soak import abort_graphs
from tests.soak.recipes import ALL
from tests.soak.recipes.values import Array, Recipe

v1 = tf.compat.v1

WRAPPINGS = ("plain", "plain", "function", "nested", "branch", "loop")
REQUESTS = 24
"""Requests to each graph."""

GRAPHS = 40
"""Graphs of a child, after which another goes on: what TensorFlow keeps of each is not given back."""

PATIENCE_SECONDS = 10.0
"""A request that takes longer is taken to have no end."""

MEMORY_BYTES = 2 << 30
"""What a child may take beside what its parent had."""

NOTE_BYTES = 64 << 20


@dataclass(frozen=True)
class Death:
    """What ended a child.

    Attributes:
        op: The recipe's.
        attributes: The recipe's.
        wrapping: Where the op stood.
        declared: Whether the inputs declared shapes.
        inputs: Type, shape and, of few elements, the values of each input.
        signal: By name.
        said: The last lines of the child's standard error.
    """

    op: str
    attributes: str
    wrapping: str
    declared: bool
    inputs: tuple[str, ...]
    signal: str
    said: str


@dataclass
class Findings:
    """The outcome of a hunt."""

    graphs: int = 0
    requests: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    unusable: dict[str, str] = field(default_factory=dict)
    deaths: list[Death] = field(default_factory=list)
    families: set[str] = field(default_factory=set)

    def summary(self) -> str:
        """One line of numbers."""
        return (
            f"{self.requests} requests to {self.graphs} graphs of {len(self.families)} families, "
            f"{sum(self.answered.values())} answered, {len(self.deaths)} deaths, {len(self.unusable)} recipes unusable"
        )


class Note:
    """Memory that outlives a child: the request that it is at, and what it has counted."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, NOTE_BYTES)

    def write(self, value: Any) -> None:
        data = pickle.dumps(value)
        self._memory[16 : 16 + len(data)] = data
        self._memory[8:16] = len(data).to_bytes(8, "little")
        self._memory[:8] = (self.writes + 1).to_bytes(8, "little")

    @property
    def writes(self) -> int:
        """How often something was written."""
        return int.from_bytes(self._memory[:8], "little")

    def read(self) -> Any:
        length = int.from_bytes(self._memory[8:16], "little")
        return pickle.loads(self._memory[16 : 16 + length]) if length else None


def hunt(seconds: float, seed: int, *, guarded: bool = True, chosen: tuple[str, ...] = ()) -> Findings:
    """Hunts for this long. `chosen` are families or ops; empty means all."""
    chance = random.Random(seed)
    known = [recipe for recipe in ALL if not chosen or recipe.family in chosen or recipe.op in chosen]
    findings, end = Findings(), time.monotonic() + seconds
    deaths_of: Counter[str] = Counter()
    while time.monotonic() < end:
        plan: list[tuple[Recipe, str, bool, int]] = []
        while len(plan) < GRAPHS:
            recipe = chance.choice(known)
            # What has ended many children is known by now.
            if chance.random() < 1 / (1 + deaths_of[recipe.op]):
                plan.append((recipe, chance.choice(WRAPPINGS), chance.random() < 0.4, chance.getrandbits(32)))
        death = _child(plan, findings, guarded=guarded, end=end)
        if death is not None:
            deaths_of[death.op] += 1
            findings.deaths.append(death)
    return findings


def _child(plan: list[tuple[Recipe, str, bool, int]], findings: Findings, *, guarded: bool, end: float) -> Death | None:
    note, folder = Note(), Path(tempfile.mkdtemp(prefix="aborts-"))
    errors = folder / "stderr"
    child = os.fork()
    if child == 0:
        _live(plan, note, folder, errors, guarded=guarded, end=end)
    status, timed_out = _wait(child, note)
    at = note.read()
    said = errors.read_text(errors="replace")[-3000:] if errors.exists() else ""
    shutil.rmtree(folder, ignore_errors=True)
    if at is not None:
        _add(findings, at["counts"])
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 and not timed_out:
        return None
    name = (
        "TIMEOUT"
        if timed_out
        else signal.Signals(os.WTERMSIG(status)).name
        if os.WIFSIGNALED(status)
        else f"exit {os.WEXITSTATUS(status)}"
    )
    if at is None or at["recipe"] is None:
        return Death("?", "", "", False, (), name, said)
    recipe = at["recipe"]
    described = tuple(_described(value) for value in at["inputs"])
    return Death(recipe.op, str(dict(recipe.attributes)), at["wrapping"], at["declared"], described, name, said)


def _wait(child: int, note: Note) -> tuple[int, bool]:
    """The child's exit status, and whether it had to be killed because it stayed at one request."""
    writes, since = note.writes, time.monotonic()
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status, False
        if note.writes != writes:
            writes, since = note.writes, time.monotonic()
        if time.monotonic() - since > PATIENCE_SECONDS:
            os.kill(child, signal.SIGKILL)
            return os.waitpid(child, 0)[1], True
        time.sleep(0.005)


def _add(findings: Findings, counts: Findings) -> None:
    findings.graphs += counts.graphs
    findings.requests += counts.requests
    findings.answered += counts.answered
    findings.refused += counts.refused
    findings.unusable |= counts.unusable
    findings.families |= counts.families


def _described(value: Array) -> str:
    values = f" {value.tolist()}" if value.size <= 24 and max(value.shape, default=0) < 1000 else ""
    return f"{value.dtype}{list(value.shape)}{values}"


def _live(
    plan: list[tuple[Recipe, str, bool, int]], note: Note, folder: Path, errors: Path, *, guarded: bool, end: float
) -> None:
    """The whole life of a child."""
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY_BYTES, taken + MEMORY_BYTES))
    counts, code = Findings(), 0
    try:
        ask = Guarded(folder).ask if guarded else alone
        for recipe, wrapping, declared, seed in plan:
            if time.monotonic() > end:
                break
            state = {"recipe": recipe, "wrapping": wrapping, "declared": declared, "inputs": [], "counts": counts}
            note.write(state)
            chance = random.Random(seed)
            right = abort_graphs.flat_inputs(recipe)
            wrong = [abort_graphs.bent(right, chance) for _ in range(REQUESTS)]
            try:
                run = ask(recipe, wrapping, declared, right)
            except Exception as error:
                counts.unusable[recipe.name] = f"{type(error).__name__}: {str(error)[:300]}"
                continue
            counts.graphs += 1
            counts.families.add(recipe.family)
            for inputs in [right, *wrong]:
                note.write(state | {"inputs": inputs})
                counts.requests += 1
                answered = run(inputs)
                (counts.answered if answered else counts.refused)[recipe.op] += 1
        note.write({"recipe": None, "counts": counts})
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 3
    os._exit(code)


def alone(recipe: Recipe, wrapping: str, declared: bool, right: list[Array]) -> Any:
    """A graph in a session of TensorFlow's. Gives what runs it, which says whether it answered."""
    from tensorflow.core.protobuf import config_pb2

    graph = tf.Graph()
    with graph.as_default():
        placeholders, outputs = abort_graphs.build(recipe, wrapping, declared=declared)
    session = v1.Session(graph=graph)
    options = config_pb2.CallableOptions(feed=[p.name for p in placeholders], fetch=[o.name for o in outputs])
    call = session._make_callable_from_options(options)

    def run(inputs: list[Array]) -> bool:
        try:
            call(*inputs)
        except Exception:
            return False
        return True

    return run


class Guarded:
    """Asks through the product."""

    def __init__(self, folder: Path) -> None:
        from tensorserve import _core
        from tensorserve.config.batching import Batching
        from tensorserve.config.flags import ServerOptions
        from tensorserve.runtimes.tensorflow import TensorFlow

        self._core = _core
        self._tensorflow = TensorFlow.open(options := ServerOptions(), Batching.of(options))
        self._folder = folder
        self._number = 0

    def ask(self, recipe: Recipe, wrapping: str, declared: bool, right: list[Array]) -> Any:
        """As `alone`, of a SavedModel."""
        self._number += 1
        path = self._folder / str(self._number)
        with tf.Graph().as_default(), v1.Session() as session:
            placeholders, outputs = abort_graphs.build(recipe, wrapping, declared=declared)
            v1.saved_model.simple_save(
                session,
                str(path),
                {f"x{number}": tensor for number, tensor in enumerate(placeholders)},
                {f"y{number}": tensor for number, tensor in enumerate(outputs)},
            )
        servable = self._tensorflow.loader(str(path)).load()
        record = path / "request"

        def run(inputs: list[Array]) -> bool:
            record.write_bytes(self._core.tfrecords([_predict_log(inputs)]))
            try:
                servable.replay(str(record))
            except self._core.ServingError:
                return False
            return True

        return run


def _predict_log(inputs: list[Array]) -> bytes:
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.name = "m"
    for number, value in enumerate(inputs):
        proto = request.inputs[f"x{number}"]
        proto.dtype = tf.as_dtype(tf.string if value.dtype == object else value.dtype).as_datatype_enum
        for size in value.shape:
            proto.tensor_shape.dim.add().size = size
        if value.dtype == object:
            proto.string_val.extend(value.ravel().tolist())
        else:
            proto.tensor_content = np.ascontiguousarray(value).tobytes()
    data: bytes = log.SerializeToString()
    return data


def main() -> None:
    """Hunts in TensorFlow alone and prints what is found, each kind once."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guarded", action="store_true", help="through the product instead")
    parser.add_argument("names", nargs="*", help="families or ops; all if there are none")
    given = parser.parse_args()
    findings = hunt(given.seconds, given.seed, guarded=given.guarded, chosen=tuple(given.names))
    print(findings.summary())
    for death in {(death.op, death.signal): death for death in findings.deaths}.values():
        print(death.op, death.attributes, death.wrapping, *death.inputs, death.signal, death.said[-300:], sep="\n  ")


if __name__ == "__main__":
    main()
