# SPDX-License-Identifier: Apache-2.0
"""Sparse and ragged tensors, and random numbers."""

import numpy as np

from tests.soak.recipes.values import SERIALIZED, Recipe, f32, i32, i64, ints, recipe, scalar, text


def _sparse() -> list[Recipe]:
    indices, values, shape = i64([[0, 0], [1, 2]]), f32(2), i64(2, 3)
    sparse = {"indices": indices, "values": values, "dense_shape": shape}
    pair = {
        "a_indices": indices,
        "a_values": values,
        "a_shape": shape,
        "b_indices": indices,
        "b_values": values,
        "b_shape": shape,
    }
    return [
        recipe(
            "sparse",
            "SparseToDense",
            {
                "sparse_indices": indices,
                "output_shape": shape,
                "sparse_values": values,
                "default_value": scalar(0.0, np.float32),
            },
        ),
        recipe("sparse", "SparseAdd", {**pair, "thresh": scalar(0.0, np.float32)}),
        recipe(
            "sparse",
            "SparseAddGrad",
            {"backprop_val_grad": values, "a_indices": indices, "b_indices": indices, "sum_indices": indices},
        ),
        recipe(
            "sparse",
            "SparseConcat",
            {"indices": [indices, indices], "values": [values, values], "shapes": [shape, shape]},
            concat_dim=0,
        ),
        recipe(
            "sparse",
            "SparseCross",
            {
                "indices": [indices],
                "values": [i64(1, 2)],
                "shapes": [shape],
                "dense_inputs": [ints(2, 1, dtype=np.int64)],
            },
            hashed_output=True,
            num_buckets=5,
            hash_key=7,
            out_type=np.int64,
            internal_type=np.int64,
        ),
        recipe(
            "sparse",
            "SparseDenseCwiseAdd",
            {"sp_indices": indices, "sp_values": values, "sp_shape": shape, "dense": f32(2, 3)},
        ),
        recipe(
            "sparse",
            "SparseDenseCwiseMul",
            {"sp_indices": indices, "sp_values": values, "sp_shape": shape, "dense": f32(2, 3)},
        ),
        recipe("sparse", "SparseFillEmptyRows", {**sparse, "default_value": scalar(0.0, np.float32)}),
        recipe("sparse", "SparseFillEmptyRowsGrad", {"reverse_index_map": i64(0, 1), "grad_values": f32(3)}),
        recipe(
            "sparse",
            "SparseReduceSum",
            {"input_indices": indices, "input_values": values, "input_shape": shape, "reduction_axes": i32([1])},
        ),
        recipe(
            "sparse",
            "SparseReduceSumSparse",
            {"input_indices": indices, "input_values": values, "input_shape": shape, "reduction_axes": i32([1])},
        ),
        recipe(
            "sparse",
            "SparseReduceMax",
            {"input_indices": indices, "input_values": values, "input_shape": shape, "reduction_axes": i32([1])},
        ),
        recipe("sparse", "SparseReorder", {"input_indices": indices, "input_values": values, "input_shape": shape}),
        recipe("sparse", "SparseReshape", {"input_indices": indices, "input_shape": shape, "new_shape": i64(3, -1)}),
        recipe(
            "sparse",
            "SparseSlice",
            {"indices": indices, "values": values, "shape": shape, "start": i64(0, 0), "size": i64(1, 2)},
        ),
        recipe(
            "sparse",
            "SparseSliceGrad",
            {
                "backprop_val_grad": f32(1),
                "input_indices": indices,
                "input_start": i64(0, 0),
                "output_indices": i64([[0, 0]]),
            },
        ),
        recipe("sparse", "SparseSoftmax", {"sp_indices": indices, "sp_values": values, "sp_shape": shape}),
        recipe("sparse", "SparseSparseMaximum", pair),
        recipe(
            "sparse",
            "SparseSplit",
            {"split_dim": scalar(1, np.int64), "indices": indices, "values": values, "shape": shape},
            num_split=2,
        ),
        recipe(
            "sparse",
            "SparseTensorDenseAdd",
            {"a_indices": indices, "a_values": values, "a_shape": shape, "b": f32(2, 3)},
        ),
        recipe(
            "sparse", "SerializeSparse", {"sparse_indices": indices, "sparse_values": values, "sparse_shape": shape}
        ),
        recipe(
            "sparse", "SerializeManySparse", {"sparse_indices": indices, "sparse_values": values, "sparse_shape": shape}
        ),
        recipe("sparse", "DeserializeSparse", {"serialized_sparse": text(*SERIALIZED)}, dtype=np.float32),
        recipe(
            "sparse", "DeserializeManySparse", {"serialized_sparse": np.array([SERIALIZED], object)}, dtype=np.float32
        ),
        recipe("sets", "SetSize", {"set_indices": indices, "set_values": i32(1, 2), "set_shape": shape}),
        recipe("sets", "DenseToDenseSetOperation", {"set1": ints(2, 3), "set2": ints(2, 2)}, set_operation="union"),
        recipe(
            "sets",
            "DenseToSparseSetOperation",
            {"set1": ints(2, 3), "set2_indices": indices, "set2_values": i32(1, 2), "set2_shape": shape},
            set_operation="intersection",
        ),
        recipe(
            "sets",
            "SparseToSparseSetOperation",
            {
                "set1_indices": indices,
                "set1_values": i32(1, 2),
                "set1_shape": shape,
                "set2_indices": indices,
                "set2_values": i32(1, 2),
                "set2_shape": shape,
            },
            set_operation="a-b",
        ),
        recipe("ragged", "RaggedTensorToSparse", {"rt_nested_splits": [i64(0, 2, 3)], "rt_dense_values": f32(3)}),
        recipe(
            "ragged",
            "RaggedTensorToTensor",
            {
                "shape": i64(2, 3),
                "values": f32(3),
                "default_value": scalar(0.0, np.float32),
                "row_partition_tensors": [i64(0, 2, 3)],
            },
            row_partition_types=["ROW_SPLITS"],
        ),
        recipe(
            "ragged",
            "RaggedTensorToTensor",
            {
                "shape": i64(2, 3),
                "values": f32(3),
                "default_value": scalar(0.0, np.float32),
                "row_partition_tensors": [scalar(2, np.int64), i64(0, 0, 1)],
            },
            row_partition_types=["FIRST_DIM_SIZE", "VALUE_ROWIDS"],
        ),
        recipe(
            "ragged",
            "RaggedGather",
            {"params_nested_splits": [i64(0, 2, 3)], "params_dense_values": f32(3), "indices": i64(1, 0)},
            OUTPUT_RAGGED_RANK=1,
        ),
        recipe("ragged", "RaggedRange", {"starts": i32(0, 1), "limits": i32(3, 4), "deltas": i32(1, 1)}),
        recipe(
            "ragged",
            "RaggedCross",
            {
                "ragged_values": [i64(1, 2, 3)],
                "ragged_row_splits": [i64(0, 2, 3)],
                "sparse_indices": [],
                "sparse_values": [],
                "sparse_shape": [],
                "dense_inputs": [ints(2, 1, dtype=np.int64)],
            },
            input_order="RD",
            hashed_output=True,
            num_buckets=5,
            hash_key=7,
            out_values_type=np.int64,
            out_row_splits_type=np.int64,
        ),
        recipe(
            "ragged",
            "RaggedFillEmptyRows",
            {
                "value_rowids": i64(0, 2),
                "values": f32(2),
                "nrows": scalar(3, np.int64),
                "default_value": scalar(0.0, np.float32),
            },
        ),
        recipe("ragged", "RaggedFillEmptyRowsGrad", {"reverse_index_map": i64(0, 1), "grad_values": f32(3)}),
    ]


def _randoms() -> list[Recipe]:
    made = [
        recipe("random", "RandomUniform", {"shape": i32(2, 3)}, dtype=np.float32),
        recipe("random", "RandomUniformInt", {"shape": i32(2, 3), "minval": scalar(0), "maxval": scalar(5)}),
        recipe("random", "RandomStandardNormal", {"shape": i32(2, 3)}, dtype=np.float32),
        recipe("random", "TruncatedNormal", {"shape": i32(2, 3)}, dtype=np.float32),
        recipe("random", "RandomGamma", {"shape": i32([2]), "alpha": f32(3)}),
        recipe("random", "RandomGammaGrad", {"alpha": f32(3), "sample": f32(3)}),
        recipe("random", "RandomPoissonV2", {"shape": i32([2]), "rate": f32(3)}),
        recipe("random", "RandomShuffle", {"value": f32(3, 2)}),
        recipe("random", "Multinomial", {"logits": f32(2, 3), "num_samples": scalar(4)}),
        recipe(
            "random",
            "ParameterizedTruncatedNormal",
            {"shape": i32(2, 3), "means": f32(2), "stdevs": f32(2), "minvals": f32(2) - 2, "maxvals": f32(2) + 2},
        ),
        recipe(
            "random",
            "RandomIndexShuffle",
            {"index": i32(1, 2), "seed": i32([[1, 2, 3], [1, 2, 3]]), "max_index": i32(5, 5)},
        ),
    ]
    for op in ("StatelessRandomUniform", "StatelessRandomNormal", "StatelessTruncatedNormal"):
        made.append(recipe("random", op, {"shape": i32(2, 3), "seed": i32(1, 2)}))
        version = {
            "shape": i32(2, 3),
            "key": np.array([1], np.uint64),
            "counter": np.array([1, 2], np.uint64),
            "alg": scalar(1),
        }
        made.append(recipe("random", f"{op}V2", version))
    made += [
        recipe(
            "random",
            "StatelessRandomUniformInt",
            {"shape": i32(2, 3), "seed": i32(1, 2), "minval": scalar(0), "maxval": scalar(5)},
        ),
        recipe("random", "StatelessRandomUniformFullInt", {"shape": i32(2, 3), "seed": i32(1, 2)}),
        recipe("random", "StatelessRandomGammaV2", {"shape": i32(2, 3), "seed": i32(1, 2), "alpha": f32(3)}),
        recipe(
            "random", "StatelessRandomPoisson", {"shape": i32(2, 3), "seed": i32(1, 2), "lam": f32(3)}, dtype=np.float32
        ),
        recipe(
            "random",
            "StatelessRandomBinomial",
            {"shape": i32(2, 3), "seed": i32(1, 2), "counts": f32(3), "probs": f32(3)},
        ),
        recipe("random", "StatelessMultinomial", {"logits": f32(2, 3), "num_samples": scalar(4), "seed": i32(1, 2)}),
        recipe(
            "random",
            "StatelessParameterizedTruncatedNormal",
            {
                "shape": i32(2, 3),
                "seed": i32(1, 2),
                "means": f32(3),
                "stddevs": f32(3),
                "minvals": f32(3) - 2,
                "maxvals": f32(3) + 2,
            },
        ),
        recipe(
            "random",
            "StatelessShuffle",
            {
                "value": f32(3, 2),
                "key": np.array([1], np.uint64),
                "counter": np.array([1, 2], np.uint64),
                "alg": scalar(1),
            },
        ),
        recipe("random", "StatelessRandomGetKeyCounter", {"seed": i32(1, 2)}),
        recipe(
            "candidates",
            "UniformCandidateSampler",
            {"true_classes": i64([[1], [2]])},
            num_true=1,
            num_sampled=2,
            unique=True,
            range_max=10,
        ),
        recipe(
            "candidates",
            "LogUniformCandidateSampler",
            {"true_classes": i64([[1], [2]])},
            num_true=1,
            num_sampled=2,
            unique=True,
            range_max=10,
        ),
        recipe(
            "candidates",
            "LearnedUnigramCandidateSampler",
            {"true_classes": i64([[1], [2]])},
            num_true=1,
            num_sampled=2,
            unique=True,
            range_max=10,
        ),
        recipe(
            "candidates",
            "ComputeAccidentalHits",
            {"true_classes": i64([[1], [2]]), "sampled_candidates": i64(1, 2)},
            num_true=1,
        ),
        recipe(
            "candidates",
            "AllCandidateSampler",
            {"true_classes": i64([[1], [2]])},
            num_true=1,
            num_sampled=2,
            unique=True,
        ),
    ]
    return made


def recipes() -> list[Recipe]:
    """All of this file."""
    return [*_sparse(), *_randoms()]
