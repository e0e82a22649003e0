# SPDX-License-Identifier: Apache-2.0
"""Sorting, counting, sequences, recurrent cells, transforms."""

import numpy as np

from tests.soak.recipes.values import Recipe, f32, i32, i64, ints, recipe, scalar


def _sequences() -> list[Recipe]:
    return [
        recipe("top_k", "TopKV2", {"input": f32(2, 5), "k": scalar(2)}),
        recipe("top_k", "InTopK", {"predictions": f32(2, 5), "targets": i32(0, 1)}, k=2),
        recipe("top_k", "InTopKV2", {"predictions": f32(2, 5), "targets": i32(0, 1), "k": scalar(2)}),
        recipe("top_k", "ApproxTopK", {"input": f32(2, 5)}, k=2, reduction_dimension=1),
        recipe("unique", "Unique", {"x": i32(1, 2, 1)}),
        recipe("unique", "UniqueV2", {"x": ints(3, 2), "axis": i32([0])}),
        recipe("unique", "UniqueWithCounts", {"x": i32(1, 2, 1)}),
        recipe("unique", "UniqueWithCountsV2", {"x": ints(3, 2), "axis": i32([0])}),
        recipe("unique", "ListDiff", {"x": i32(1, 2, 3), "y": i32([2])}),
        recipe("bincount", "Bincount", {"arr": i32(0, 1, 1), "size": scalar(3), "weights": f32(3)}),
        recipe("bincount", "DenseBincount", {"input": i32(0, 1, 1), "size": scalar(3), "weights": f32(3)}),
        recipe(
            "bincount", "DenseBincount", {"input": ints(2, 3), "size": scalar(3), "weights": f32(0)}, binary_output=True
        ),
        recipe(
            "bincount",
            "SparseBincount",
            {
                "indices": i64([[0, 0], [1, 1]]),
                "values": i32(1, 0),
                "dense_shape": i64(2, 2),
                "size": scalar(3),
                "weights": f32(2),
            },
        ),
        recipe(
            "bincount",
            "RaggedBincount",
            {"splits": i64(0, 2, 3), "values": i32(1, 0, 2), "size": scalar(3), "weights": f32(3)},
        ),
        recipe("bincount", "DenseCountSparseOutput", {"values": ints(2, 3), "weights": f32(0)}, binary_output=False),
        recipe(
            "bincount",
            "SparseCountSparseOutput",
            {"indices": i64([[0, 0], [1, 1]]), "values": i32(1, 0), "dense_shape": i64(2, 2), "weights": f32(2)},
            binary_output=False,
        ),
        recipe(
            "bincount",
            "RaggedCountSparseOutput",
            {"splits": i64(0, 2, 3), "values": i32(1, 0, 2), "weights": f32(3)},
            binary_output=False,
        ),
        recipe("histogram", "HistogramFixedWidth", {"values": f32(5), "value_range": f32(2), "nbins": scalar(4)}),
        recipe("bucketize", "Bucketize", {"input": f32(2, 3)}, boundaries=[0.2, 0.5]),
        recipe("search", "LowerBound", {"sorted_inputs": f32(2, 4), "values": f32(2, 3)}),
        recipe("search", "UpperBound", {"sorted_inputs": f32(2, 4), "values": f32(2, 3)}),
        recipe(
            "ctc",
            "CTCLoss",
            {
                "inputs": f32(4, 1, 5),
                "labels_indices": i64([[0, 0], [0, 1]]),
                "labels_values": i32(0, 1),
                "sequence_length": i32([4]),
            },
        ),
        recipe(
            "ctc",
            "CTCLossV2",
            {
                "inputs": f32(4, 1, 5),
                "labels_indices": i64([[0, 0], [0, 1]]),
                "labels_values": i32(0, 1),
                "sequence_length": i32([4]),
            },
        ),
        recipe("ctc", "CTCGreedyDecoder", {"inputs": f32(4, 1, 5), "sequence_length": i32([4])}),
        recipe(
            "ctc",
            "CTCBeamSearchDecoder",
            {"inputs": f32(4, 1, 5), "sequence_length": i32([4])},
            beam_width=2,
            top_paths=1,
        ),
        recipe(
            "edit",
            "EditDistance",
            {
                "hypothesis_indices": i64([[0, 0]]),
                "hypothesis_values": i32([1]),
                "hypothesis_shape": i64(1, 1),
                "truth_indices": i64([[0, 0]]),
                "truth_values": i32([1]),
                "truth_shape": i64(1, 1),
            },
        ),
        recipe(
            "rnn",
            "LSTMBlockCell",
            {
                "x": f32(1, 2),
                "cs_prev": f32(1, 3),
                "h_prev": f32(1, 3),
                "w": f32(5, 12),
                "wci": f32(3),
                "wcf": f32(3),
                "wco": f32(3),
                "b": f32(12),
            },
        ),
        recipe(
            "rnn",
            "BlockLSTM",
            {
                "seq_len_max": scalar(2, np.int64),
                "x": f32(2, 1, 2),
                "cs_prev": f32(1, 3),
                "h_prev": f32(1, 3),
                "w": f32(5, 12),
                "wci": f32(3),
                "wcf": f32(3),
                "wco": f32(3),
                "b": f32(12),
            },
        ),
        recipe(
            "rnn",
            "BlockLSTMV2",
            {
                "seq_len_max": scalar(2, np.int64),
                "x": f32(2, 1, 2),
                "cs_prev": f32(1, 3),
                "h_prev": f32(1, 3),
                "w": f32(5, 12),
                "wci": f32(3),
                "wcf": f32(3),
                "wco": f32(3),
                "b": f32(12),
            },
        ),
        recipe(
            "rnn",
            "GRUBlockCell",
            {"x": f32(1, 2), "h_prev": f32(1, 3), "w_ru": f32(5, 6), "w_c": f32(5, 3), "b_ru": f32(6), "b_c": f32(3)},
        ),
    ]


def _signals() -> list[Recipe]:
    wave = f32(2, 8)
    made = []
    for op in ("FFT", "IFFT", "FFT2D", "IFFT2D", "FFT3D", "IFFT3D"):
        value = f32(2, 4, 4) if "2D" in op or "3D" in op else wave
        made.append(recipe("fft", op, {"input": value.astype(np.complex64)}))
    for op, length in (("RFFT", [8]), ("RFFT2D", [4, 4]), ("RFFT3D", [2, 4, 4])):
        made.append(
            recipe("fft", op, {"input": f32(2, 2, 4, 4) if len(length) > 1 else wave, "fft_length": i32(length)})
        )
    for op, length in (("IRFFT", [8]), ("IRFFT2D", [4, 4]), ("IRFFT3D", [2, 4, 4])):
        value = f32(2, 2, 4, 3) if len(length) > 1 else f32(2, 5)
        made.append(recipe("fft", op, {"input": value.astype(np.complex64), "fft_length": i32(length)}))
    for op in ("FFTND", "IFFTND"):
        made.append(
            recipe("fft", op, {"input": f32(4, 4).astype(np.complex64), "fft_length": i32(4, 4), "axes": i32(0, 1)})
        )
    made.append(recipe("fft", "RFFTND", {"input": f32(4, 4), "fft_length": i32(4, 4), "axes": i32(0, 1)}))
    made.append(
        recipe("fft", "IRFFTND", {"input": f32(4, 3).astype(np.complex64), "fft_length": i32(4, 4), "axes": i32(0, 1)})
    )
    return made


def _quantized() -> list[Recipe]:
    low, high = scalar(0.0, np.float32), scalar(1.0, np.float32)
    return [
        recipe("quantize", "QuantizeV2", {"input": f32(2, 3), "min_range": low, "max_range": high}, T="quint8"),
        recipe(
            "quantize",
            "QuantizeV2",
            {"input": f32(2, 3), "min_range": f32(3) * 0, "max_range": f32(3)},
            T="quint8",
            axis=1,
        ),
        recipe(
            "quantize",
            "QuantizeV2",
            {"input": f32(2, 3), "min_range": low, "max_range": high},
            T="qint8",
            mode="SCALED",
        ),
        recipe("quantize", "QuantizeAndDequantizeV2", {"input": f32(2, 3), "input_min": low, "input_max": high}),
        recipe(
            "quantize",
            "QuantizeAndDequantizeV3",
            {"input": f32(2, 3), "input_min": low, "input_max": high, "num_bits": scalar(8)},
        ),
        recipe("quantize", "QuantizeAndDequantizeV4", {"input": f32(2, 3), "input_min": low, "input_max": high}),
        recipe(
            "quantize",
            "QuantizeAndDequantizeV4Grad",
            {"gradients": f32(2, 3), "input": f32(2, 3), "input_min": low, "input_max": high},
        ),
        recipe(
            "quantize",
            "QuantizeAndDequantizeV2",
            {"input": f32(2, 3), "input_min": f32(3) * 0, "input_max": f32(3)},
            axis=1,
        ),
        recipe("fake_quant", "FakeQuantWithMinMaxArgs", {"inputs": f32(2, 3)}),
        recipe("fake_quant", "FakeQuantWithMinMaxArgsGradient", {"gradients": f32(2, 3), "inputs": f32(2, 3)}),
        recipe("fake_quant", "FakeQuantWithMinMaxVars", {"inputs": f32(2, 3), "min": low, "max": high}),
        recipe(
            "fake_quant",
            "FakeQuantWithMinMaxVarsGradient",
            {"gradients": f32(2, 3), "inputs": f32(2, 3), "min": low, "max": high},
        ),
        recipe(
            "fake_quant", "FakeQuantWithMinMaxVarsPerChannel", {"inputs": f32(2, 3), "min": f32(3) * 0, "max": f32(3)}
        ),
        recipe(
            "fake_quant",
            "FakeQuantWithMinMaxVarsPerChannelGradient",
            {"gradients": f32(2, 3), "inputs": f32(2, 3), "min": f32(3) * 0, "max": f32(3)},
        ),
    ]


def recipes() -> list[Recipe]:
    """All of this file."""
    return [*_sequences(), *_signals(), *_quantized()]
