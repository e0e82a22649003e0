# SPDX-License-Identifier: Apache-2.0
"""Norms, activations, products of matrices, and compounds of several ops."""

import numpy as np

from tests.soak.recipes.values import Recipe, f32, i32, i64, ints, recipe, scalar, text


def _norms() -> list[Recipe]:
    made = []
    for training in (True, False):
        for op in ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"):
            empty = f32(0) if training else f32(2)
            made.append(
                recipe(
                    "batch_norm",
                    op,
                    {"x": f32(1, 3, 3, 2), "scale": f32(2), "offset": f32(2), "mean": empty, "variance": empty},
                    is_training=training,
                )
            )
        for op in ("FusedBatchNormGrad", "FusedBatchNormGradV2", "FusedBatchNormGradV3"):
            more = {"reserve_space_3": f32(0)} if op.endswith("V3") else {}
            made.append(
                recipe(
                    "batch_norm_grad",
                    op,
                    {
                        "y_backprop": f32(1, 3, 3, 2),
                        "x": f32(1, 3, 3, 2),
                        "scale": f32(2),
                        "reserve_space_1": f32(2),
                        "reserve_space_2": f32(2),
                        **more,
                    },
                    is_training=training,
                )
            )
    made += [
        recipe("lrn", "LRN", {"input": f32(1, 3, 3, 4)}),
        recipe(
            "lrn",
            "LRNGrad",
            {"input_grads": f32(1, 3, 3, 4), "input_image": f32(1, 3, 3, 4), "output_image": f32(1, 3, 3, 4)},
        ),
        recipe("l2", "L2Loss", {"t": f32(3, 2)}),
        recipe("softmax", "Softmax", {"logits": f32(2, 3)}),
        recipe("softmax", "LogSoftmax", {"logits": f32(2, 3)}),
        recipe("softmax", "SoftmaxCrossEntropyWithLogits", {"features": f32(2, 3), "labels": f32(2, 3)}),
        recipe("softmax", "SparseSoftmaxCrossEntropyWithLogits", {"features": f32(2, 3), "labels": i32(0, 1)}),
        recipe("bias", "BiasAdd", {"value": f32(1, 3, 3, 2), "bias": f32(2)}),
        recipe("bias", "BiasAdd", {"value": f32(1, 2, 3, 3), "bias": f32(2)}, data_format="NCHW"),
        recipe("bias", "BiasAddV1", {"value": f32(1, 3, 3, 2), "bias": f32(2)}),
        recipe("bias", "BiasAddGrad", {"out_backprop": f32(1, 3, 3, 2)}),
        recipe("bias", "BiasAddGrad", {"out_backprop": f32(1, 2, 3, 3)}, data_format="NCHW"),
    ]
    for op in ("Relu", "Relu6", "Elu", "Selu", "Softplus", "Softsign", "Tanh", "Sigmoid"):
        made.append(recipe("activation", op, {"x" if op in ("Tanh", "Sigmoid") else "features": f32(2, 3)}))
    for op in ("ReluGrad", "Relu6Grad", "SoftplusGrad", "SoftsignGrad"):
        made.append(recipe("activation", op, {"gradients": f32(2, 3), "features": f32(2, 3)}))
    made += [
        recipe("activation", "EluGrad", {"gradients": f32(2, 3), "outputs": f32(2, 3)}),
        recipe("activation", "TanhGrad", {"y": f32(2, 3), "dy": f32(2, 3)}),
        recipe("activation", "LeakyReluGrad", {"gradients": f32(2, 3), "features": f32(2, 3)}),
        recipe("activation", "LeakyRelu", {"features": f32(2, 3)}),
    ]
    return made


def _matrices() -> list[Recipe]:
    square = np.array([[4.0, 1.0], [1.0, 3.0]], np.float32)
    made = [
        recipe("matmul", "MatMul", {"a": f32(2, 3), "b": f32(3, 4)}),
        recipe("matmul", "MatMul", {"a": f32(2, 3), "b": f32(4, 3)}, transpose_b=True),
        recipe("matmul", "MatMul", {"a": ints(2, 3), "b": ints(3, 4)}),
        recipe("batch_matmul", "BatchMatMul", {"x": f32(2, 2, 3), "y": f32(2, 3, 4)}),
        recipe("batch_matmul", "BatchMatMulV2", {"x": f32(2, 2, 3), "y": f32(1, 3, 4)}),
        recipe("batch_matmul", "BatchMatMulV2", {"x": f32(2, 2, 3), "y": f32(2, 4, 3)}, adj_y=True),
        recipe("batch_matmul", "BatchMatMulV3", {"x": f32(2, 2, 3), "y": f32(1, 3, 4)}, Tout=np.float32),
        recipe("matmul", "SparseMatMul", {"a": f32(2, 3), "b": f32(3, 4)}),
        recipe(
            "matmul",
            "SparseTensorDenseMatMul",
            {"a_indices": i64([[0, 0], [1, 2]]), "a_values": f32(2), "a_shape": i64(2, 3), "b": f32(3, 4)},
        ),
        recipe("einsum", "Einsum", {"inputs": [f32(2, 3), f32(3, 4)]}, equation="ij,jk->ik"),
        recipe("einsum", "Einsum", {"inputs": [f32(2, 2, 3)]}, equation="...ij->...ji"),
        recipe("einsum", "Einsum", {"inputs": [f32(2, 2)]}, equation="ii->i"),
        recipe("cholesky", "Cholesky", {"input": square}),
        recipe("cholesky", "CholeskyGrad", {"l": square, "grad": square}),
        recipe("svd", "Svd", {"input": f32(3, 2)}),
        recipe("qr", "Qr", {"input": f32(3, 2)}),
        recipe("eig", "SelfAdjointEigV2", {"input": square}),
        recipe("eig", "Eig", {"input": square}, Tout=np.complex64),
        recipe("solve", "MatrixSolve", {"matrix": square, "rhs": f32(2, 1)}),
        recipe(
            "solve", "MatrixSolveLs", {"matrix": f32(3, 2), "rhs": f32(3, 1), "l2_regularizer": scalar(0.1, np.float64)}
        ),
        recipe("solve", "MatrixTriangularSolve", {"matrix": square, "rhs": f32(2, 1)}),
        recipe("solve", "BandedTriangularSolve", {"matrix": f32(2, 3), "rhs": f32(3, 1)}),
        recipe("solve", "TridiagonalSolve", {"diagonals": f32(3, 4), "rhs": f32(4, 1)}),
        recipe(
            "solve",
            "TridiagonalMatMul",
            {"superdiag": f32(1, 4), "maindiag": f32(1, 4), "subdiag": f32(1, 4), "rhs": f32(4, 2)},
        ),
        recipe("inverse", "MatrixInverse", {"input": square}),
        recipe("inverse", "MatrixDeterminant", {"input": square}),
        recipe("inverse", "LogMatrixDeterminant", {"input": square}),
        recipe("inverse", "MatrixLogarithm", {"input": square.astype(np.complex64)}),
        recipe("inverse", "MatrixSquareRoot", {"input": square}),
        recipe("lu", "Lu", {"input": square}),
        recipe(
            "band_part",
            "MatrixBandPart",
            {"input": f32(3, 3), "num_lower": scalar(1, np.int64), "num_upper": scalar(1, np.int64)},
        ),
        recipe("diag", "Diag", {"diagonal": f32(3)}),
        recipe("diag", "DiagPart", {"input": f32(3, 3)}),
        recipe("diag", "MatrixDiag", {"diagonal": f32(2, 3)}),
        recipe("diag", "MatrixDiagPart", {"input": f32(3, 3)}),
        recipe("diag", "MatrixSetDiag", {"input": f32(3, 3), "diagonal": f32(3)}),
        recipe("cross", "Cross", {"a": f32(2, 3), "b": f32(2, 3)}),
    ]
    for version in ("V2", "V3"):
        made += [
            recipe(
                "diag",
                f"MatrixDiag{version}",
                {
                    "diagonal": f32(3),
                    "k": scalar(0),
                    "num_rows": scalar(3),
                    "num_cols": scalar(3),
                    "padding_value": scalar(0.0, np.float32),
                },
            ),
            recipe(
                "diag",
                f"MatrixDiagPart{version}",
                {"input": f32(3, 3), "k": scalar(0), "padding_value": scalar(0.0, np.float32)},
            ),
            recipe("diag", f"MatrixSetDiag{version}", {"input": f32(3, 3), "diagonal": f32(3), "k": scalar(0)}),
        ]
    return made


def _others() -> list[Recipe]:
    return [
        recipe("tensor_list", "EmptyTensorList+", {"element": f32(2), "max": scalar(3)}),
        recipe("tensor_list", "TensorListFromTensor+", {"tensor": f32(3, 2), "index": scalar(1), "shape": i32([2])}),
        recipe(
            "tensor_list",
            "TensorListReserve+",
            {"count": scalar(3), "shape": i32([2]), "index": scalar(1), "item": f32(2)},
        ),
        recipe(
            "tensor_list",
            "TensorListScatter+",
            {"tensor": f32(2, 2), "indices": i32(0, 1), "shape": i32([2]), "count": scalar(3)},
        ),
        recipe("tensor_list", "TensorListSplit+", {"tensor": f32(3, 2), "shape": i32([2]), "lengths": i64(1, 2)}),
        recipe("tensor_list", "TensorListConcat+", {"tensor": f32(3, 2), "shape": i32([2]), "lead": i64(2, 2)}),
        recipe("tensor_list", "TensorListGather+", {"tensor": f32(3, 2), "indices": i32(0, 2), "shape": i32([2])}),
        recipe("tensor_list", "TensorListResize+", {"tensor": f32(3, 2), "size": scalar(5)}),
        recipe("tensor_list", "TensorListPushBackBatch+", {"tensor": f32(3, 2), "more": f32(2)}),
        recipe("tensor_array", "TensorArray+", {"tensor": f32(3, 2), "indices": i32(0, 2), "size": scalar(3)}),
        recipe("ragged", "RaggedVariant+", {"splits": i64(0, 2, 3), "values": f32(3)}),
        recipe("map_fn", "MapFn+", {"x": f32(3, 2)}),
        recipe("lookup", "StaticTable+", {"keys": text(b"a", b"c")}),
        recipe("lookup", "IndexTable+", {"keys": i64(1, 2)}),
        recipe("lookup", "DenseTable+", {"keys": i64(1, 2), "default": scalar(0, np.int64)}),
        recipe("conv1d", "Conv1D+", {"x": f32(1, 6, 2), "kernel": f32(3, 2, 4)}),
        recipe("conv1d", "Conv1DTranspose+", {"x": f32(1, 3, 4), "kernel": f32(3, 2, 4), "shape": i32(1, 3, 2)}),
        recipe(
            "conv2d_transpose",
            "Conv2DTranspose+",
            {"x": f32(1, 3, 3, 4), "kernel": f32(3, 3, 2, 4), "shape": i32(1, 6, 6, 2)},
        ),
        recipe(
            "conv3d_transpose",
            "Conv3DTranspose+",
            {"x": f32(1, 2, 2, 2, 4), "kernel": f32(3, 3, 3, 2, 4), "shape": i32(1, 4, 4, 4, 2)},
        ),
        recipe("fused", "ConvBiasRelu+", {"x": f32(1, 5, 5, 2)}),
        recipe("fused", "ConvBatchNormRelu+", {"x": f32(1, 5, 5, 2)}),
        recipe("fused", "ConvAdd+", {"x": f32(1, 5, 5, 2), "y": f32(1, 5, 5, 4)}),
        recipe("fused", "DepthwiseBiasRelu6+", {"x": f32(1, 5, 5, 2)}),
        recipe("fused", "MatMulBiasGelu+", {"x": f32(2, 3)}),
        recipe("fused", "PadConv+", {"x": f32(1, 5, 5, 2)}),
        recipe("fused", "Conv3DBiasRelu+", {"x": f32(1, 4, 4, 4, 2)}),
        recipe("fused", "BatchNormAddRelu+", {"x": f32(1, 3, 3, 2), "y": f32(1, 3, 3, 2)}),
        recipe("fused", "BatchMatMulMulAdd+", {"x": f32(1, 2, 3, 4), "y": f32(1, 2, 4, 3), "mask": f32(1, 1, 3, 3)}),
        recipe("fused", "LayerNorm+", {"x": f32(2, 3, 4)}),
        recipe("fused", "InstanceNorm+", {"x": f32(1, 4, 4, 3)}),
        recipe("fused", "Mish+", {"x": f32(2, 3)}),
        recipe("fused", "TransposedConv+", {"x": f32(1, 2, 5, 5)}),
    ]


def recipes() -> list[Recipe]:
    """All of this file."""
    return [*_norms(), *_matrices(), *_others()]
