# SPDX-License-Identifier: Apache-2.0
"""Models that show what they were run with, or that only fail or change in the company of others.

Usage: ``python tests/models/batching_models.py FOLDER``. Needs TensorFlow.
"""

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf


def save(module: tf.Module, path: Path, **signatures: Any) -> None:
    tf.saved_model.save(module, str(path), signatures=signatures)


def company(path: Path) -> None:
    """y = 2 x, and how many rows the run had; x is float `[batch, any]`. Signature `words` does so with strings."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="x")])
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.shape(x)[0]
        return {"y": 2 * x, "rows": tf.fill([rows], rows), "sum": tf.reduce_sum(x, axis=1)}

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.string, name="text")])
    def words(text: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.shape(text)[0]
        return {"upper": tf.strings.upper(text), "rows": tf.fill([rows], rows)}

    module.serve, module.words = serve, words
    save(module, path, serving_default=serve, words=words)


def divide(path: Path) -> None:
    """y = 12 / x in whole numbers, which fails where x is 0; and how many rows the run had. x is int32 `[batch]`."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="x")])
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.shape(x)[0]
        return {"y": tf.constant(12) // x, "rows": tf.fill([rows], rows)}

    module.serve = serve
    save(module, path, serving_default=serve)


def share(path: Path) -> None:
    """y = x / sum(x) over all rows: the signature looks like that of a model that can be batched, but it is none."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x / tf.reduce_sum(x)}

    module.serve = serve
    save(module, path, serving_default=serve)


def total(path: Path) -> None:
    """y = sum(x), a scalar: an output without the batch dimension."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.reduce_sum(x)}

    module.serve = serve
    save(module, path, serving_default=serve)


def wide_mlp(path: Path) -> None:
    """A perceptron 784-2048-2048-10 with ReLU; x is float `[batch, 784]`, y float `[batch, 10]`."""
    random = np.random.default_rng(11)
    module = tf.Module()
    sizes = (784, 2048, 2048, 10)
    module.weights = [
        tf.Variable(random.normal(0, 1 / np.sqrt(fan_in), (fan_in, fan_out)).astype(np.float32))
        for fan_in, fan_out in itertools.pairwise(sizes)
    ]

    @tf.function(input_signature=[tf.TensorSpec([None, 784], tf.float32, name="x")])
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        for weights in module.weights[:-1]:
            x = tf.nn.relu(x @ weights)
        return {"y": tf.nn.softmax(x @ module.weights[-1])}

    module.serve = serve
    save(module, path, serving_default=serve)


def deep_mlp(path: Path) -> None:
    """A perceptron 784-2048-...-2048-10 with 18 layers, 16 with shared weights: much to compute for a small
    file and small requests. x is float `[batch, 784]`, y float `[batch, 10]`."""
    random = np.random.default_rng(12)
    module = tf.Module()
    module.first, module.middle, module.last = (
        tf.Variable(random.normal(0, np.sqrt(2 / fan_in), (fan_in, fan_out)).astype(np.float32))
        for fan_in, fan_out in ((784, 2048), (2048, 2048), (2048, 10))
    )

    @tf.function(input_signature=[tf.TensorSpec([None, 784], tf.float32, name="x")])
    def serve(x: tf.Tensor) -> dict[str, tf.Tensor]:
        x = tf.nn.relu(x @ module.first)
        for _ in range(16):
            x = tf.nn.relu(x @ module.middle)
        return {"y": tf.nn.softmax(x @ module.last)}

    module.serve = serve
    save(module, path, serving_default=serve)


MODELS: dict[str, Callable[[Path], None]] = {
    function.__name__: function for function in (company, divide, share, total, wide_mlp, deep_mlp)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for name, exporter in MODELS.items():
        exporter(folder / name / "1")


if __name__ == "__main__":
    main()
