# SPDX-License-Identifier: Apache-2.0
"""What takes tensors apart and puts them together."""

import numpy as np

from tests.soak.recipes.values import Recipe, bits, f32, i32, i64, ints, recipe, scalar


def _shapes() -> list[Recipe]:
    made = [
        recipe("space_depth", "SpaceToDepth", {"input": f32(1, 4, 4, 2)}, block_size=2),
        recipe("space_depth", "DepthToSpace", {"input": f32(1, 2, 2, 8)}, block_size=2),
        recipe("space_batch", "SpaceToBatch", {"input": f32(1, 4, 4, 2), "paddings": ints(2, 2) * 0}, block_size=2),
        recipe("space_batch", "BatchToSpace", {"input": f32(4, 2, 2, 2), "crops": ints(2, 2) * 0}, block_size=2),
        recipe(
            "space_batch",
            "SpaceToBatchND",
            {"input": f32(1, 4, 4, 2), "block_shape": i32(2, 2), "paddings": ints(2, 2) * 0},
        ),
        recipe(
            "space_batch",
            "BatchToSpaceND",
            {"input": f32(4, 2, 2, 2), "block_shape": i32(2, 2), "crops": ints(2, 2) * 0},
        ),
        recipe("pad", "Pad", {"input": f32(2, 3), "paddings": i32([[1, 1], [0, 2]])}),
        recipe(
            "pad",
            "PadV2",
            {"input": f32(2, 3), "paddings": i32([[1, 1], [0, 2]]), "constant_values": scalar(0.0, np.float32)},
        ),
        recipe("mirror_pad", "MirrorPad", {"input": f32(3, 3), "paddings": i32([[1, 1], [0, 2]])}, mode="REFLECT"),
        recipe("mirror_pad", "MirrorPad", {"input": f32(3, 3), "paddings": i32([[1, 1], [0, 2]])}, mode="SYMMETRIC"),
        recipe("mirror_pad", "MirrorPadGrad", {"input": f32(5, 5), "paddings": i32([[1, 1], [0, 2]])}, mode="REFLECT"),
        recipe("slice", "Slice", {"input": f32(3, 4), "begin": i32(0, 1), "size": i32(2, -1)}),
        recipe(
            "strided_slice",
            "StridedSlice",
            {"input": f32(3, 4), "begin": i32(0, 1), "end": i32(3, 4), "strides": i32(1, 2)},
        ),
        recipe(
            "strided_slice",
            "StridedSlice",
            {"input": f32(3, 4), "begin": i32(0, 1), "end": i32(3, 4), "strides": i32(1, 2)},
            shrink_axis_mask=1,
            ellipsis_mask=2,
        ),
        recipe(
            "strided_slice",
            "StridedSlice",
            {"input": f32(3, 4), "begin": i32(0, 1), "end": i32(3, 4), "strides": i32(1, 1)},
            new_axis_mask=1,
            begin_mask=2,
            end_mask=1,
        ),
        recipe(
            "strided_slice",
            "StridedSliceGrad",
            {"shape": i32(3, 4), "begin": i32(0, 1), "end": i32(3, 3), "strides": i32(1, 2), "dy": f32(3, 1)},
        ),
        recipe(
            "strided_slice",
            "TensorStridedSliceUpdate",
            {"input": f32(3, 4), "begin": i32(0, 1), "end": i32(3, 3), "strides": i32(1, 2), "value": f32(3, 1)},
        ),
        recipe("gather", "Gather", {"params": f32(3, 2), "indices": i32(0, 2)}),
        recipe("gather", "GatherV2", {"params": f32(3, 2), "indices": i32(0, 2), "axis": scalar(0)}),
        recipe("gather", "GatherV2", {"params": f32(2, 3, 2), "indices": ints(2, 2), "axis": scalar(1)}, batch_dims=1),
        recipe("gather", "GatherNd", {"params": f32(3, 2), "indices": i32([[0], [2]])}),
        recipe("reshape", "Reshape", {"tensor": f32(2, 3), "shape": i32(3, -1)}),
        recipe("reshape", "Reshape", {"tensor": f32(2, 3), "shape": i64(3, -1)}),
        recipe("tile", "Tile", {"input": f32(2, 3), "multiples": i32(1, 2)}),
        recipe("broadcast", "BroadcastTo", {"input": f32(1, 3), "shape": i32(2, 3)}),
        recipe("broadcast", "BroadcastArgs", {"s0": i32(1, 3), "s1": i32(2, 3)}),
        recipe("broadcast", "BroadcastGradientArgs", {"s0": i32(1, 3), "s1": i32(2, 3)}),
        recipe("concat", "Concat", {"concat_dim": scalar(0), "values": [f32(2, 3), f32(1, 3)]}),
        recipe("concat", "ConcatV2", {"values": [f32(2, 3), f32(1, 3)], "axis": scalar(0)}),
        recipe("concat", "ConcatOffset", {"concat_dim": scalar(0), "shape": [i32(2, 3), i32(1, 3)]}),
        recipe("split", "Split", {"axis": scalar(0), "value": f32(4, 3)}, num_split=2),
        recipe("split", "SplitV", {"value": f32(4, 3), "size_splits": i32(1, 3), "axis": scalar(0)}, num_split=2),
        recipe("pack", "Pack", {"values": [f32(2, 3), f32(2, 3)]}),
        recipe("pack", "Pack", {"values": [f32(2, 3), f32(2, 3)]}, axis=1),
        recipe("pack", "Unpack", {"value": f32(2, 3)}, num=2),
        recipe("transpose", "Transpose", {"x": f32(2, 3), "perm": i32(1, 0)}),
        recipe("transpose", "Transpose", {"x": f32(2, 3, 4, 2), "perm": i32(0, 3, 1, 2)}),
        recipe("transpose", "ConjugateTranspose", {"x": f32(2, 3), "perm": i32(1, 0)}),
        recipe("transpose", "InvertPermutation", {"x": i32(2, 0, 1)}),
        recipe("reverse", "ReverseV2", {"tensor": f32(2, 3), "axis": i32([1])}),
        recipe("reverse", "Reverse", {"tensor": f32(2, 3), "dims": bits(2)}),
        recipe("reverse", "ReverseSequence", {"input": f32(2, 3), "seq_lengths": i64(1, 2)}, seq_dim=1),
        recipe("cumsum", "Cumsum", {"x": f32(2, 3), "axis": scalar(0)}),
        recipe("cumsum", "Cumprod", {"x": f32(2, 3), "axis": scalar(1)}, reverse=True),
        recipe("cumsum", "CumulativeLogsumexp", {"x": f32(2, 3), "axis": scalar(0)}),
        recipe("fill", "Fill", {"dims": i32(2, 3), "value": scalar(1.0, np.float32)}),
        recipe("fill", "Empty", {"shape": i32(2, 3)}, dtype=np.float32),
        recipe("range", "Range", {"start": scalar(0), "limit": scalar(5), "delta": scalar(1)}),
        recipe(
            "range",
            "Range",
            {"start": scalar(0.0, np.float32), "limit": scalar(5, np.float32), "delta": scalar(1, np.float32)},
        ),
        recipe(
            "range", "LinSpace", {"start": scalar(0.0, np.float32), "stop": scalar(1, np.float32), "num": scalar(5)}
        ),
        recipe(
            "one_hot",
            "OneHot",
            {
                "indices": i32(0, 1),
                "depth": scalar(3),
                "on_value": scalar(1.0, np.float32),
                "off_value": scalar(0.0, np.float32),
            },
        ),
        recipe(
            "one_hot",
            "OneHot",
            {
                "indices": i32(0, 1),
                "depth": scalar(3),
                "on_value": scalar(1.0, np.float32),
                "off_value": scalar(0.0, np.float32),
            },
            axis=0,
        ),
        recipe("shape", "ExpandDims", {"input": f32(2, 3), "axis": scalar(1)}),
        recipe("shape", "Squeeze", {"input": f32(1, 3)}, axis=[0]),
        recipe("shape", "Shape", {"input": f32(2, 3)}),
        recipe("shape", "ShapeN", {"input": [f32(2, 3), f32(1)]}),
        recipe("shape", "Size", {"input": f32(2, 3)}),
        recipe("shape", "Rank", {"input": f32(2, 3)}),
        recipe("shape", "EnsureShape", {"input": f32(2, 3)}, shape=[2, None]),
        recipe("shape", "UnravelIndex", {"indices": i32(1, 2), "dims": i32(2, 3)}),
        recipe("shape", "Bitcast", {"input": f32(2, 4)}, type=np.uint8),
        recipe("shape", "Bitcast", {"input": ints(2, 4, dtype=np.uint8)}, type=np.float32),
        recipe("roll", "Roll", {"input": f32(2, 3), "shift": i32([1]), "axis": i32([0])}),
        recipe("roll", "Roll", {"input": f32(2, 3), "shift": scalar(1), "axis": scalar(0)}),
    ]
    for op in ("Sum", "Mean", "Max", "Min", "Prod", "EuclideanNorm"):
        made.append(recipe("reduce", op, {"input": f32(2, 3), "axis": i32([1])}))
        made.append(recipe("reduce", op, {"input": f32(2, 3, 2), "axis": scalar(0)}, keep_dims=True))
    for op in ("All", "Any"):
        made.append(recipe("reduce", op, {"input": bits(2, 3), "axis": i32([1])}))
    for op in ("ArgMax", "ArgMin"):
        made.append(recipe("argmax", op, {"input": f32(2, 3), "dimension": scalar(1)}))
    for op in ("AddV2", "Sub", "Mul", "RealDiv", "Maximum", "Minimum", "Pow", "SquaredDifference", "FloorMod", "Atan2"):
        made.append(recipe("broadcast_math", op, {"x": f32(2, 3), "y": f32(1, 3)}))
    for op in (
        "FloorDiv",
        "FloorMod",
        "TruncateDiv",
        "TruncateMod",
        "Mod",
        "Div",
        "LeftShift",
        "RightShift",
        "BitwiseAnd",
    ):
        made.append(recipe("integer_math", op, {"x": ints(2, 3) + 4, "y": ints(1, 3) + 1}))
    made.append(recipe("integer_math", "Pow", {"x": ints(2, 3), "y": ints(1, 3)}))
    for op in ("Equal", "Less"):
        made.append(recipe("broadcast_math", op, {"x": f32(2, 3), "y": f32(1, 3)}))
    made += [
        recipe("broadcast_math", "AddN", {"inputs": [f32(2, 3), f32(2, 3)]}),
        recipe("broadcast_math", "AccumulateNV2", {"inputs": [f32(2, 3), f32(2, 3)]}, shape=[2, 3]),
        recipe("broadcast_math", "ApproximateEqual", {"x": f32(2, 3), "y": f32(2, 3)}),
        recipe("select", "Select", {"condition": bits(2), "x": f32(2, 3), "y": f32(2, 3)}),
        recipe("select", "SelectV2", {"condition": bits(2, 1), "t": f32(2, 3), "e": f32(1, 3)}),
        recipe("where", "Where", {"condition": bits(2, 3)}),
        recipe(
            "clip",
            "ClipByValue",
            {"t": f32(2, 3), "clip_value_min": scalar(0.2, np.float32), "clip_value_max": scalar(0.5, np.float32)},
        ),
        recipe("special", "Betainc", {"a": f32(2), "b": f32(2), "x": f32(2)}),
        recipe("special", "Zeta", {"x": f32(2) + 1, "q": f32(2)}),
        recipe("special", "Polygamma", {"a": f32(2), "x": f32(2)}),
    ]
    return made


def _scatters() -> list[Recipe]:
    made = [
        recipe("scatter", "ScatterNd", {"indices": i32([[0], [2]]), "updates": f32(2), "shape": i32([4])}),
        recipe("scatter", "ScatterNd", {"indices": i64([[0, 1], [2, 0]]), "updates": f32(2), "shape": i64(4, 2)}),
        recipe("scatter", "ScatterNdNonAliasingAdd", {"input": f32(4), "indices": i32([[0], [2]]), "updates": f32(2)}),
    ]
    for op in ("TensorScatterUpdate", "TensorScatterAdd", "TensorScatterSub", "TensorScatterMax", "TensorScatterMin"):
        made.append(
            recipe("tensor_scatter", op, {"tensor": f32(4, 2), "indices": i32([[0], [2]]), "updates": f32(2, 2)})
        )
    made += [
        recipe("dynamic", "DynamicPartition", {"data": f32(4, 2), "partitions": i32(0, 1, 1, 0)}, num_partitions=2),
        recipe("dynamic", "DynamicStitch", {"indices": [i32(0, 2), i32([1])], "data": [f32(2, 2), f32(1, 2)]}),
        recipe("dynamic", "ParallelDynamicStitch", {"indices": [i32(0, 2), i32([1])], "data": [f32(2, 2), f32(1, 2)]}),
    ]
    return made


def _segments() -> list[Recipe]:
    made = []
    for op in ("SegmentSum", "SegmentMean", "SegmentMax", "SegmentMin", "SegmentProd"):
        made.append(recipe("segment", op, {"data": f32(3, 2), "segment_ids": i32(0, 0, 1)}))
    for op in (
        "SegmentSumV2",
        "SegmentMaxV2",
        "UnsortedSegmentSum",
        "UnsortedSegmentMax",
        "UnsortedSegmentMin",
        "UnsortedSegmentProd",
    ):
        made.append(
            recipe("unsorted_segment", op, {"data": f32(3, 2), "segment_ids": i32(0, 0, 1), "num_segments": scalar(2)})
        )
    for op in ("SparseSegmentSum", "SparseSegmentMean", "SparseSegmentSqrtN"):
        made.append(recipe("sparse_segment", op, {"data": f32(3, 2), "indices": i32(0, 2), "segment_ids": i32(0, 1)}))
        made.append(
            recipe(
                "sparse_segment",
                f"{op}WithNumSegments",
                {"data": f32(3, 2), "indices": i32(0, 2), "segment_ids": i32(0, 1), "num_segments": scalar(3)},
            )
        )
        made.append(
            recipe(
                "sparse_segment",
                f"{op}Grad",
                {"grad": f32(2, 2), "indices": i32(0, 2), "segment_ids": i32(0, 1), "output_dim0": scalar(3)},
            )
        )
        made.append(
            recipe(
                "sparse_segment",
                f"{op}GradV2",
                {"grad": f32(2, 2), "indices": i32(0, 2), "segment_ids": i32(0, 1), "dense_output_dim0": scalar(3)},
            )
        )
    return made


def recipes() -> list[Recipe]:
    """All of this file."""
    return [*_shapes(), *_scatters(), *_segments()]
