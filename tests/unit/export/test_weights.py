# SPDX-License-Identifier: Apache-2.0
"""Weights in fewer bits, and weights that were pruned."""

from pathlib import Path

import numpy as np
import pytest

from tensorserve.errors import ServingError
from tensorserve.export import export
from tensorserve.inspect.saved_model import read_meta_graphs
from tests.unit.export.asking import ask


@pytest.mark.parametrize(("kind", "tolerance", "share"), [("float16", 1e-3, 0.51), ("int8", 2e-2, 0.27)])
def test_quantized_weights(kind: str, tolerance: float, share: float, tmp_path: Path) -> None:
    import keras

    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [keras.Input((64,), name="x"), keras.layers.Dense(256, "relu"), keras.layers.Dense(64, name="y")]
    )
    done = export(model, tmp_path / "m", quantize=kind)
    report = done.quantization
    assert report is not None
    assert (report.weights, report.kind) == (2, kind)
    assert report.bytes_after / report.bytes_before < share
    assert 0 < report.difference < tolerance
    assert report.same_best > 0.6
    assert report.widened_in_runs == 0
    assert report.seconds_before > 0
    assert done.model.size < 4 * model.count_params() * (share + 0.3)
    x = np.random.default_rng(1).random((5, 64), np.float32)
    expected = model.predict(x, verbose=0)
    assert np.abs(ask(done, x=x)["y"] - expected).max() < tolerance * np.abs(expected).max()
    assert "accuracy" in str(done)


def test_weights_that_each_run_widens_are_told(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((1700,), name="x"), keras.layers.Dense(1700, name="y")])
    done = export(model, tmp_path / "m", quantize="float16")
    assert done.quantization is not None
    assert done.quantization.widened_in_runs == 1
    assert "NOTE      1 are above 10 MB" in str(done)


@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_rows_of_a_narrow_table_are_widened_after_they_were_looked_up(kind: str, tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    model = keras.Sequential(
        [keras.Input((3,), dtype="int32", name="ids"), keras.layers.Embedding(500, 8, name="rows")]
    )
    done = export(model, tmp_path / "m", quantize=kind, outputs=["rows"])
    ids = np.array([[0, 7, 499]], np.int32)
    expected = model.predict(ids, verbose=0)
    assert np.abs(ask(done, ids=ids)["rows"] - expected).max() < 0.01 * np.abs(expected).max()
    with open(Path(done.path) / "saved_model.pb", "rb") as file:
        (graph,) = read_meta_graphs(file)
    nodes = [node for function in graph.graph.library.function for node in function.node_def]
    (gather,) = (node for node in nodes if node.op == "GatherV2")
    assert gather.attr["Tparams"].type == tf.as_dtype(kind).as_datatype_enum


def test_what_cannot_be_quantized(tmp_path: Path) -> None:
    import keras

    small = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    with pytest.raises(ServingError, match="nothing to quantize"):
        export(small, tmp_path / "m", quantize="int8")
    words = keras.Sequential(
        [keras.Input((1,), dtype="string"), keras.layers.StringLookup(vocabulary=["a"]), keras.layers.Embedding(900, 9)]
    )
    with pytest.raises(ServingError, match="looks things up in tables"):
        export(words, tmp_path / "m", quantize="int8")
    with pytest.raises(ServingError, match="there is no quantization int4; there are: float16, int8"):
        export(small, tmp_path / "m", quantize="int4")
    assert not (tmp_path / "m").exists()


def test_weights_that_training_pruned(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((64,), name="x"), keras.layers.Dense(64, name="dense")])
    weights = model.layers[0].get_weights()
    weights[0][:, :48] = 0
    model.layers[0].set_weights(weights)
    done = export(model, tmp_path / "m")
    (zeros,) = done.pruned.values()
    assert zeros == 0.75
    assert "pruned: 75% of" in str(done)
