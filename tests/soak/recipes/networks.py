# SPDX-License-Identifier: Apache-2.0
"""What networks of layers are made of."""

import numpy as np

from tests.soak.recipes.values import Recipe, f32, i32, i64, ints, recipe, scalar


def _reduced(size: int, kernel: int, stride: int, padding: str) -> int:
    """The size of what a window of this size gives."""
    return -(-(size if padding == "SAME" else size - kernel + 1) // stride)


def _convolutions() -> list[Recipe]:
    made = []
    for padding in ("SAME", "VALID"):
        for strides in ([1, 1, 1, 1], [1, 2, 2, 1]):
            out = _reduced(5, 3, strides[1], padding)
            made += [
                recipe(
                    "conv2d",
                    "Conv2D",
                    {"input": f32(1, 5, 5, 2), "filter": f32(3, 3, 2, 4)},
                    strides=strides,
                    padding=padding,
                ),
                recipe(
                    "conv2d_backprop_input",
                    "Conv2DBackpropInput",
                    {"input_sizes": i32(1, 5, 5, 2), "filter": f32(3, 3, 2, 4), "out_backprop": f32(1, out, out, 4)},
                    strides=strides,
                    padding=padding,
                ),
                recipe(
                    "conv2d_backprop_filter",
                    "Conv2DBackpropFilter",
                    {"input": f32(1, 5, 5, 2), "filter_sizes": i32(3, 3, 2, 4), "out_backprop": f32(1, out, out, 4)},
                    strides=strides,
                    padding=padding,
                ),
                recipe(
                    "depthwise",
                    "DepthwiseConv2dNative",
                    {"input": f32(1, 5, 5, 2), "filter": f32(3, 3, 2, 2)},
                    strides=strides,
                    padding=padding,
                ),
                recipe(
                    "depthwise_backprop",
                    "DepthwiseConv2dNativeBackpropInput",
                    {"input_sizes": i32(1, 5, 5, 2), "filter": f32(3, 3, 2, 2), "out_backprop": f32(1, out, out, 4)},
                    strides=strides,
                    padding=padding,
                ),
                recipe(
                    "depthwise_backprop",
                    "DepthwiseConv2dNativeBackpropFilter",
                    {"input": f32(1, 5, 5, 2), "filter_sizes": i32(3, 3, 2, 2), "out_backprop": f32(1, out, out, 4)},
                    strides=strides,
                    padding=padding,
                ),
            ]
        for strides in ([1, 1, 1, 1, 1], [1, 2, 2, 2, 1]):
            out = _reduced(4, 2, strides[1], padding)
            made += [
                recipe(
                    "conv3d",
                    "Conv3D",
                    {"input": f32(1, 4, 4, 4, 2), "filter": f32(2, 2, 2, 2, 3)},
                    strides=strides,
                    padding=padding,
                ),
                recipe(
                    "conv3d_backprop",
                    "Conv3DBackpropInputV2",
                    {
                        "input_sizes": i32(1, 4, 4, 4, 2),
                        "filter": f32(2, 2, 2, 2, 3),
                        "out_backprop": f32(1, out, out, out, 3),
                    },
                    strides=strides,
                    padding=padding,
                ),
                recipe(
                    "conv3d_backprop",
                    "Conv3DBackpropFilterV2",
                    {
                        "input": f32(1, 4, 4, 4, 2),
                        "filter_sizes": i32(2, 2, 2, 2, 3),
                        "out_backprop": f32(1, out, out, out, 3),
                    },
                    strides=strides,
                    padding=padding,
                ),
            ]
        made += [
            recipe(
                "dilation",
                "Dilation2D",
                {"input": f32(1, 5, 5, 2), "filter": f32(2, 2, 2)},
                strides=[1, 1, 1, 1],
                rates=[1, 1, 1, 1],
                padding=padding,
            ),
            recipe(
                "dilation",
                "Dilation2DBackpropInput",
                {
                    "input": f32(1, 5, 5, 2),
                    "filter": f32(2, 2, 2),
                    "out_backprop": f32(1, *[_reduced(5, 2, 1, padding)] * 2, 2),
                },
                strides=[1, 1, 1, 1],
                rates=[1, 1, 1, 1],
                padding=padding,
            ),
            recipe(
                "dilation",
                "Dilation2DBackpropFilter",
                {
                    "input": f32(1, 5, 5, 2),
                    "filter": f32(2, 2, 2),
                    "out_backprop": f32(1, *[_reduced(5, 2, 1, padding)] * 2, 2),
                },
                strides=[1, 1, 1, 1],
                rates=[1, 1, 1, 1],
                padding=padding,
            ),
        ]
    made += [
        recipe(
            "conv2d",
            "Conv2D",
            {"input": f32(1, 7, 7, 2), "filter": f32(3, 3, 2, 4)},
            strides=[1, 1, 1, 1],
            padding="SAME",
            dilations=[1, 2, 2, 1],
        ),
        recipe(
            "conv2d",
            "Conv2D",
            {"input": f32(1, 7, 7, 2), "filter": f32(3, 3, 2, 4)},
            strides=[1, 1, 1, 1],
            padding="EXPLICIT",
            explicit_paddings=[0, 0, 1, 1, 2, 2, 0, 0],
        ),
        recipe(
            "conv2d",
            "Conv2D",
            {"input": f32(1, 5, 5, 4), "filter": f32(3, 3, 2, 4)},
            strides=[1, 1, 1, 1],
            padding="SAME",
        ),
        recipe(
            "conv2d",
            "Conv2D",
            {"input": f32(1, 5, 5, 2).astype(np.float64), "filter": f32(3, 3, 2, 4).astype(np.float64)},
            strides=[1, 1, 1, 1],
            padding="SAME",
        ),
        recipe(
            "conv2d",
            "Conv2D",
            {"input": ints(1, 5, 5, 2), "filter": ints(3, 3, 2, 4)},
            strides=[1, 1, 1, 1],
            padding="SAME",
        ),
        recipe(
            "conv2d",
            "Conv2D",
            {"input": f32(1, 5, 5, 2).astype(np.float16), "filter": f32(3, 3, 2, 4).astype(np.float16)},
            strides=[1, 1, 1, 1],
            padding="SAME",
        ),
        recipe(
            "conv", "Conv", {"input": f32(1, 5, 5, 2), "filter": f32(3, 3, 2, 4)}, strides=[1, 1, 1, 1], padding="SAME"
        ),
        recipe(
            "conv3d",
            "Conv3D",
            {"input": f32(1, 4, 4, 4, 2).astype(np.float64), "filter": f32(2, 2, 2, 2, 3).astype(np.float64)},
            strides=[1, 1, 1, 1, 1],
            padding="SAME",
        ),
        recipe(
            "conv2d_backprop_input",
            "Conv2DBackpropInput",
            {"input_sizes": i32(1, 5, 5, 2), "filter": f32(3, 3, 2, 4), "out_backprop": f32(1, 5, 5, 4)},
            strides=[1, 1, 1, 1],
            padding="SAME",
            dilations=[1, 2, 2, 1],
        ),
        recipe(
            "depthwise",
            "DepthwiseConv2dNative",
            {"input": f32(1, 5, 5, 2).astype(np.float64), "filter": f32(3, 3, 2, 2).astype(np.float64)},
            strides=[1, 1, 1, 1],
            padding="SAME",
        ),
        recipe(
            "fused_conv",
            "FusedResizeAndPadConv2D",
            {"input": f32(1, 4, 4, 2), "size": i32(6, 6), "paddings": ints(4, 2), "filter": f32(3, 3, 2, 4)},
            mode="REFLECT",
            strides=[1, 1, 1, 1],
            padding="VALID",
        ),
        recipe(
            "fused_conv",
            "FusedPadConv2D",
            {"input": f32(1, 4, 4, 2), "paddings": i32([[0, 0], [1, 1], [1, 1], [0, 0]]), "filter": f32(3, 3, 2, 4)},
            mode="REFLECT",
            strides=[1, 1, 1, 1],
            padding="VALID",
        ),
    ]
    return made


def _pools() -> list[Recipe]:
    made = []
    for padding in ("SAME", "VALID"):
        two = {"ksize": [1, 2, 2, 1], "strides": [1, 2, 2, 1], "padding": padding}
        three = {"ksize": [1, 2, 2, 2, 1], "strides": [1, 2, 2, 2, 1], "padding": padding}
        made += [
            recipe("avg_pool", "AvgPool", {"value": f32(1, 4, 4, 2)}, **two),
            recipe("avg_pool", "AvgPool", {"value": f32(1, 4, 4, 2).astype(np.float64)}, **two),
            recipe(
                "avg_pool_grad", "AvgPoolGrad", {"orig_input_shape": i32(1, 4, 4, 2), "grad": f32(1, 2, 2, 2)}, **two
            ),
            recipe("max_pool", "MaxPool", {"input": f32(1, 4, 4, 2)}, **two),
            recipe("max_pool", "MaxPool", {"input": f32(1, 4, 4, 2).astype(np.float64)}, **two),
            recipe("max_pool", "MaxPool", {"input": ints(1, 4, 4, 2)}, **two),
            recipe(
                "max_pool_v2",
                "MaxPoolV2",
                {"input": f32(1, 4, 4, 2), "ksize": i32(1, 2, 2, 1), "strides": i32(1, 2, 2, 1)},
                padding=padding,
            ),
            recipe("max_pool_argmax", "MaxPoolWithArgmax", {"input": f32(1, 4, 4, 2)}, **two),
            recipe(
                "max_pool_grad",
                "MaxPoolGrad",
                {"orig_input": f32(1, 4, 4, 2), "orig_output": f32(1, 2, 2, 2), "grad": f32(1, 2, 2, 2)},
                **two,
            ),
            recipe(
                "max_pool_grad",
                "MaxPoolGradV2",
                {
                    "orig_input": f32(1, 4, 4, 2),
                    "orig_output": f32(1, 2, 2, 2),
                    "grad": f32(1, 2, 2, 2),
                    "ksize": i32(1, 2, 2, 1),
                    "strides": i32(1, 2, 2, 1),
                },
                padding=padding,
            ),
            recipe(
                "max_pool_grad",
                "MaxPoolGradGrad",
                {"orig_input": f32(1, 4, 4, 2), "orig_output": f32(1, 2, 2, 2), "grad": f32(1, 4, 4, 2)},
                **two,
            ),
            recipe(
                "max_pool_grad",
                "MaxPoolGradWithArgmax",
                {"input": f32(1, 4, 4, 2), "grad": f32(1, 2, 2, 2), "argmax": ints(1, 2, 2, 2, dtype=np.int64)},
                **two,
            ),
            recipe(
                "max_pool_grad",
                "MaxPoolGradGradWithArgmax",
                {"input": f32(1, 4, 4, 2), "grad": f32(1, 4, 4, 2), "argmax": ints(1, 2, 2, 2, dtype=np.int64)},
                **two,
            ),
            recipe("pool3d", "AvgPool3D", {"input": f32(1, 4, 4, 4, 2)}, **three),
            recipe("pool3d", "MaxPool3D", {"input": f32(1, 4, 4, 4, 2)}, **three),
            recipe("pool3d", "AvgPool3D", {"input": f32(1, 4, 4, 4, 2).astype(np.float64)}, **three),
            recipe(
                "pool3d_grad",
                "AvgPool3DGrad",
                {"orig_input_shape": i32(1, 4, 4, 4, 2), "grad": f32(1, 2, 2, 2, 2)},
                **three,
            ),
            recipe(
                "pool3d_grad",
                "MaxPool3DGrad",
                {"orig_input": f32(1, 4, 4, 4, 2), "orig_output": f32(1, 2, 2, 2, 2), "grad": f32(1, 2, 2, 2, 2)},
                **three,
            ),
            recipe(
                "pool3d_grad",
                "MaxPool3DGradGrad",
                {"orig_input": f32(1, 4, 4, 4, 2), "orig_output": f32(1, 2, 2, 2, 2), "grad": f32(1, 4, 4, 4, 2)},
                **three,
            ),
        ]
    ratio = {"pooling_ratio": [1.0, 1.44, 1.73, 1.0]}
    for op in ("FractionalAvgPool", "FractionalMaxPool"):
        made.append(recipe("fractional_pool", op, {"value": f32(1, 6, 6, 2)}, **ratio))
    made += [
        recipe(
            "fractional_pool",
            "FractionalAvgPoolGrad",
            {
                "orig_input_tensor_shape": i64(1, 6, 6, 2),
                "out_backprop": f32(1, 4, 3, 2),
                "row_pooling_sequence": i64(0, 1, 3, 4, 6),
                "col_pooling_sequence": i64(0, 2, 4, 6),
            },
        ),
        recipe(
            "fractional_pool",
            "FractionalMaxPoolGrad",
            {
                "orig_input": f32(1, 6, 6, 2),
                "orig_output": f32(1, 4, 3, 2),
                "out_backprop": f32(1, 4, 3, 2),
                "row_pooling_sequence": i64(0, 1, 3, 4, 6),
                "col_pooling_sequence": i64(0, 2, 4, 6),
            },
        ),
        recipe("nth_element", "NthElement", {"input": f32(2, 5), "n": scalar(2)}),
    ]
    return made


def recipes() -> list[Recipe]:
    """All of this file."""
    return [*_convolutions(), *_pools()]
