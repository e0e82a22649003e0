// SPDX-License-Identifier: Apache-2.0
//! The ops of TensorFlow 2.21 whose kernels end the process, and what they need so that they do not. Found by the abort
//! fuzzer (`make soak SUITE=aborts`); reports of users are named where there are any.

use super::needs::Need::{
    self, AtLeast, AtMost, Finite, Index, Joined, Keys, One, OutputSizes, Parts, Rank, SameRank, SameSize, Shapes,
    Sizes, Steps, Volume, Windows, Within,
};

/// Ops that only need ranks, which follow from the graph for all but the first of a network: the inputs with their ranks.
const RANKS: [(&str, &[(usize, usize)]); 10] = [
    // tensorflow#95415, #111453: the kernels of oneDNN ask a shape for the dimension that is the channels.
    ("Conv2D", &[(0, 4), (1, 4)]),
    ("DepthwiseConv2dNative", &[(0, 4), (1, 4)]),
    ("Conv3D", &[(0, 5), (1, 5)]),
    ("AvgPool", &[(0, 4)]),
    ("AvgPool3D", &[(0, 5)]),
    ("MaxPool", &[(0, 4)]),
    ("MaxPool3D", &[(0, 5)]),
    ("MaxPoolWithArgmax", &[(0, 4)]),
    ("LRN", &[(0, 4)]),
    ("ExtractImagePatches", &[(0, 4)]),
];

/// The most elements of a list of tensors.
const LONGEST: i64 = 1 << 24;

const INPUT_2D: &[Need] = &[OutputSizes(0, 4), Rank(1, 4), Rank(2, 4), Shapes];
const FILTER_2D: &[Need] = &[Rank(0, 4), Sizes(1, 4), Rank(2, 4), Shapes];
const SCATTER: &[Need] = &[Shapes];
const FRACTIONAL_MAX: &[Need] = &[
    Rank(0, 4),
    Rank(1, 4),
    Rank(2, 4),
    SameSize(1, 0, 0),
    SameSize(1, 0, 3),
    SameSize(2, 1, 0),
    SameSize(2, 1, 1),
    SameSize(2, 1, 2),
    SameSize(2, 1, 3),
    Steps(3, 0, 1, 1),
    Steps(4, 0, 1, 2),
];
const FRACTIONAL_AVERAGE: &[Need] =
    &[Sizes(0, 4), Rank(1, 4), SameSize(1, 0, 0), SameSize(1, 0, 3), Steps(2, 0, 1, 1), Steps(3, 0, 1, 2)];
const SCALES: &[Need] = &[Shapes];
const LSTM: &[Need] = &[Rank(1, 3), Rank(2, 2), Rank(3, 2), Rank(4, 2), AtLeast(0, 0), Within(0, 1), Shapes];

/// Ops that are looked at in full each time they run, as no network for requests has many.
const NEEDS: [(&str, &[Need]); 56] = [
    ("Conv2DBackpropInput", INPUT_2D),
    ("Conv2DBackpropFilter", FILTER_2D),
    ("DepthwiseConv2dNativeBackpropInput", INPUT_2D),
    ("DepthwiseConv2dNativeBackpropFilter", FILTER_2D),
    ("Conv3DBackpropInputV2", &[OutputSizes(0, 5), Rank(1, 5), Rank(2, 5), Shapes]),
    ("Conv3DBackpropFilterV2", &[Rank(0, 5), Sizes(1, 5), Rank(2, 5), Shapes]),
    ("AvgPoolGrad", &[Sizes(0, 4), Rank(1, 4), Shapes]),
    ("AvgPool3DGrad", &[Sizes(0, 5), Rank(1, 5), Shapes]),
    ("MaxPoolGrad", &[Rank(0, 4), Rank(1, 4), Rank(2, 4), Shapes]),
    ("MaxPoolGradWithArgmax", &[Rank(0, 4), Rank(1, 4), Rank(2, 4), Index(2, 0), Shapes]),
    ("MaxPoolGradGradWithArgmax", &[Rank(0, 4), Rank(1, 4), Rank(2, 4), Index(2, 0), Shapes]),
    ("MaxPoolGradGrad", &[Rank(0, 4), Rank(1, 4), Rank(2, 4), Shapes]),
    ("MaxPool3DGrad", &[Rank(0, 5), Rank(1, 5), Rank(2, 5), Shapes]),
    ("MaxPool3DGradGrad", &[Rank(0, 5), Rank(1, 5), Rank(2, 5), Shapes]),
    ("MaxPoolV2", &[Rank(0, 4), Windows(1, 4), Windows(2, 4), Shapes]),
    ("MaxPoolGradV2", &[Rank(0, 4), Rank(1, 4), Rank(2, 4), Windows(3, 4), Windows(4, 4), Shapes]),
    ("LRNGrad", &[Rank(0, 4), Rank(1, 4), Rank(2, 4), Shapes]),
    ("TensorScatterUpdate", SCATTER),
    ("TensorScatterAdd", SCATTER),
    ("TensorScatterSub", SCATTER),
    ("TensorScatterMax", SCATTER),
    ("TensorScatterMin", SCATTER),
    ("CropAndResizeGradImage", &[Rank(0, 4), Finite(1), Sizes(3, 4), Shapes]),
    ("CropAndResizeGradBoxes", &[Rank(0, 4), Rank(1, 4), Finite(2), Shapes]),
    ("LSTMBlockCell", &[Rank(0, 2), Rank(1, 2), Rank(2, 2), Rank(3, 2), Shapes]),
    ("GRUBlockCell", &[Rank(0, 2), Rank(1, 2), Rank(2, 2), Rank(3, 2), Shapes]),
    ("RaggedTensorToTensor", &[Parts(1), AtLeast(3, 0), AtMost(3, LONGEST), AtLeast(4, 0), AtMost(4, LONGEST), Shapes]),
    ("RaggedFillEmptyRows", &[AtLeast(2, 0), AtMost(2, LONGEST), Shapes]),
    ("SparseBincount", &[Volume(2), Shapes]),
    ("Conv", &[SameRank(1, 0), Shapes]),
    ("SparseTensorDenseMatMul", &[AtLeast(2, 0), AtMost(2, 1 << 40), Shapes]),
    ("ScatterNd", SCATTER),
    ("QuantizeAndDequantizeV2", SCALES),
    ("QuantizeAndDequantizeV3", SCALES),
    ("QuantizeAndDequantizeV4", SCALES),
    ("FakeQuantWithMinMaxVarsPerChannel", SCALES),
    ("FakeQuantWithMinMaxVarsPerChannelGradient", SCALES),
    (
        "CombinedNonMaxSuppression",
        &[Rank(0, 4), Rank(1, 3), One(2), AtMost(2, LONGEST), One(3), AtMost(3, LONGEST), Shapes],
    ),
    ("FractionalMaxPoolGrad", FRACTIONAL_MAX),
    ("FractionalAvgPoolGrad", FRACTIONAL_AVERAGE),
    ("RaggedGather", &[Shapes]),
    ("NonMaxSuppressionV4", &[One(2), AtMost(2, LONGEST)]),
    ("NonMaxSuppressionV5", &[One(2), AtMost(2, LONGEST)]),
    ("IRFFT", &[AtLeast(1, 1), Shapes]),
    ("IRFFT2D", &[AtLeast(1, 1), Shapes]),
    ("IRFFT3D", &[AtLeast(1, 1), Shapes]),
    ("BlockLSTM", LSTM),
    ("BlockLSTMV2", LSTM),
    ("TensorListGetItem", &[One(1)]),
    ("TensorListSetItem", &[One(1)]),
    ("TensorListReserve", &[One(1), AtMost(1, LONGEST)]),
    ("TensorListResize", &[One(1), AtMost(1, LONGEST)]),
    ("TensorArrayV3", &[One(0), AtMost(0, LONGEST)]),
    ("TensorListScatterV2", &[One(3), AtMost(3, LONGEST)]),
    ("SparseConcat", &[Joined]),
    ("ParseExample", &[Keys]),
];

/// An op whose kernel is fused with what scales its product and adds to it; see [`super::declared`].
pub(super) const FUSED_PRODUCT: &str = "BatchMatMulV2";

/// Ops that take tensors without elements in any dimensions.
pub(super) const TAKES_ANY_EMPTY: [&str; 24] = [
    "Add",
    "AddV2",
    "Cast",
    "Const",
    "Identity",
    "IdentityN",
    "Mul",
    "Neg",
    "NoOp",
    "PartitionedCall",
    "Placeholder",
    "PlaceholderWithDefault",
    "Rank",
    "ReadVariableOp",
    "RealDiv",
    "Relu",
    "Shape",
    "Size",
    "StatefulPartitionedCall",
    "StopGradient",
    "Sub",
    "VarHandleOp",
    "Variable",
    "VariableV2",
];

/// Whether a graph with this op has to be looked at.
pub(super) fn has(op: &str) -> bool {
    !ranks(op).is_empty() || !needs(op).is_empty() || op == FUSED_PRODUCT
}

pub(super) fn ranks(op: &str) -> &'static [(usize, usize)] {
    RANKS.iter().find(|(name, _)| *name == op).map_or(&[], |(_, ranks)| ranks)
}

pub(super) fn needs(op: &str) -> &'static [Need] {
    NEEDS.iter().find(|(name, _)| *name == op).map_or(&[], |(_, needs)| needs)
}
