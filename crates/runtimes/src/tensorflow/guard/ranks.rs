// SPDX-License-Identifier: Apache-2.0
//! Where the rank of a tensor follows from the graph, and where it has to be looked at.

use std::collections::HashMap;

use tensorserve_protos::tensorflow::attr_value::Value;
use tensorserve_protos::tensorflow::{AttrValue, NodeDef};

use super::table;
use crate::tensorflow::metagraph::node_name;

/// The nodes of a graph or function, by name.
pub(super) type Nodes<'a> = HashMap<&'a str, &'a NodeDef>;

/// Further than this from its origin, a rank is not known.
const FAR: usize = 64;

/// Ops that give each element of their first input a place in an output of the same rank.
const KEEP: [&str; 38] = [
    "Abs",
    "BatchToSpaceND",
    "BiasAdd",
    "Cast",
    "CheckNumerics",
    "ClipByValue",
    "Elu",
    "EnsureShape",
    "Exp",
    "Floor",
    "Identity",
    "IdentityN",
    "LeakyRelu",
    "Log",
    "MirrorPad",
    "Neg",
    "Pad",
    "PadV2",
    "PreventGradient",
    "QuantizeAndDequantizeV2",
    "Relu",
    "Relu6",
    "Round",
    "Rsqrt",
    "Selu",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToBatchND",
    "Sqrt",
    "Square",
    "StopGradient",
    "Tanh",
    "TensorserveGuard",
    "FakeQuantWithMinMaxVars",
    "Swish",
    "ReverseV2",
];

/// Ops of two inputs whose output has the higher of their ranks.
const BROADCAST: [&str; 10] =
    ["Add", "AddV2", "Div", "Maximum", "Minimum", "Mul", "Pow", "RealDiv", "SquaredDifference", "Sub"];

/// Ops whose output has the rank that is said, or which fail.
const FIXED: [(&str, usize); 22] = [
    ("AvgPool", 4),
    ("AvgPool3D", 5),
    ("BatchToSpace", 4),
    ("Conv2D", 4),
    ("Conv2DBackpropInput", 4),
    ("Conv3D", 5),
    ("Conv3DBackpropInputV2", 5),
    ("CropAndResize", 4),
    ("DepthToSpace", 4),
    ("DepthwiseConv2dNative", 4),
    ("DepthwiseConv2dNativeBackpropInput", 4),
    ("ExtractImagePatches", 4),
    ("LRN", 4),
    ("MaxPool", 4),
    ("MaxPool3D", 5),
    ("MaxPoolV2", 4),
    ("MaxPoolWithArgmax", 4),
    ("ResizeBicubic", 4),
    ("ResizeBilinear", 4),
    ("ResizeNearestNeighbor", 4),
    ("SpaceToBatch", 4),
    ("SpaceToDepth", 4),
];

/// Ops that give what the model has, which no request can change.
const MODEL: [&str; 4] = ["Const", "ReadVariableOp", "VarHandleOp", "VariableV2"];

/// An input of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    pub(super) node: String,
    pub(super) input: usize,
}

/// Where the input of a node has to be looked at so that it has a rank, and which rank it must have there; `None` if
/// nothing can go wrong. That is before what keeps the rank: kernels are fused with padding that comes before them.
pub(super) fn place<'a>(nodes: &Nodes<'a>, node: &'a NodeDef, input: usize, rank: usize) -> Option<(Edge, usize)> {
    let (mut node, mut input, mut rank) = (node, input, rank);
    for _ in 0..FAR {
        let here = Some((Edge { node: node.name.clone(), input }, rank));
        let Some(origin) = node.input.get(input).and_then(|name| nodes.get(node_name(name))) else { return here };
        let op = origin.op.as_str();
        if is_model(nodes, origin, FAR) || rank_of(nodes, origin, FAR) == Some(rank) {
            return None;
        }
        if KEEP.contains(&op) {
            (node, input) = (origin, 0);
        } else if op == "ExpandDims" && rank > 1 {
            (node, input, rank) = (origin, 0, rank - 1);
        } else {
            return here;
        }
    }
    Some((Edge { node: node.name.clone(), input }, rank))
}

/// The rank of an input of a node, if it is known whatever the request is.
pub(super) fn of_input(nodes: &Nodes<'_>, node: &NodeDef, at: usize) -> Option<usize> {
    rank_of(nodes, nodes.get(node_name(node.input.get(at)?))?, FAR)
}

/// Whether an input comes from the model alone.
pub(super) fn is_models(nodes: &Nodes<'_>, input: &str) -> bool {
    nodes.get(node_name(input)).is_some_and(|node| is_model(nodes, node, FAR))
}

fn is_model(nodes: &Nodes<'_>, node: &NodeDef, far: usize) -> bool {
    let op = node.op.as_str();
    let passes = KEEP.contains(&op) || BROADCAST.contains(&op) || ["ExpandDims", "Reshape", "Transpose"].contains(&op);
    let from = || node.input.iter().filter(|input| !input.starts_with('^'));
    let all_from_model =
        || from().all(|input| nodes.get(node_name(input)).is_some_and(|node| is_model(nodes, node, far - 1)));
    MODEL.contains(&op) || far > FAR - 8 && passes && all_from_model()
}

/// The rank of an output of a node, if it is known whatever the request is.
fn rank_of(nodes: &Nodes<'_>, node: &NodeDef, far: usize) -> Option<usize> {
    let input = |at: usize| {
        let origin = nodes.get(node_name(node.input.get(at)?))?;
        rank_of(nodes, origin, far.checked_sub(1)?)
    };
    let op = node.op.as_str();
    if let Some((_, rank)) = FIXED.iter().find(|(name, _)| *name == op) {
        return Some(*rank);
    }
    match op {
        "Const" => constant_rank(node),
        "ExpandDims" => Some(input(0)? + 1),
        "Transpose" => input(0).or_else(|| constant_len(nodes.get(node_name(node.input.get(1)?))?)),
        "ConcatV2" | "FusedBatchNorm" | "FusedBatchNormV2" | "FusedBatchNormV3" => input(0),
        "Reshape" => {
            let shape =
                nodes.get(node_name(node.input.get(1)?)).filter(|shape| shape.op == "Const" || shape.op == "Pack")?;
            if shape.op == "Pack" { Some(shape.input.len()) } else { constant_len(shape) }
        }
        _ if KEEP.contains(&op) => input(0),
        _ if BROADCAST.contains(&op) => Some(input(0)?.max(input(1)?)),
        _ => None,
    }
}

fn constant_rank(node: &NodeDef) -> Option<usize> {
    match node.attr.get("value")? {
        AttrValue { value: Some(Value::Tensor(tensor)) } => {
            Some(tensor.tensor_shape.as_ref().map_or(0, |s| s.dim.len()))
        }
        _ => None,
    }
}

/// The number of elements of a list.
fn constant_len(node: &NodeDef) -> Option<usize> {
    match node.attr.get("value")? {
        AttrValue { value: Some(Value::Tensor(tensor)) } => {
            let shape = tensor.tensor_shape.as_ref()?;
            (shape.dim.len() == 1).then(|| usize::try_from(shape.dim[0].size).ok())?
        }
        _ => None,
    }
}

/// What has to be looked at in front of a node whose op only needs ranks.
pub(super) fn places<'a>(nodes: &Nodes<'a>, node: &'a NodeDef) -> Vec<(Edge, usize)> {
    let ranks = table::ranks(&node.op).iter();
    ranks.filter_map(|&(input, rank)| place(nodes, node, input, rank)).collect()
}
