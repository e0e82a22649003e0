// SPDX-License-Identifier: Apache-2.0
//! Where a request must keep to what a placeholder declares.
//!
//! TensorFlow fuses a product of batches of matrices with the scale and the mask that follow, as in attention, if the declared
//! shapes say that product and mask have 4 dimensions and the scale is one number. The fused kernel believes them and ends the
//! process if a request does not keep to them; without fusion any shapes are fine. Ranks that follow from the graph are right in
//! any case. So it is enough to look at the placeholders that decide on those of the product, the mask and the scale.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tensorserve_protos::tensorflow::attr_value::Value;
use tensorserve_protos::tensorflow::{FunctionDef, NodeDef, TensorShapeProto};

use super::ranks::{self, Edge, Nodes};
use super::table::FUSED_PRODUCT;
use crate::tensorflow::metagraph::node_name;

/// The ranks of what is fused.
const FUSED_RANK: usize = 4;

/// `DT_FLOAT`, `DT_BFLOAT16` and `DT_HALF`, which the fused kernel computes.
const FUSED_TYPES: [i32; 3] = [1, 14, 19];

/// What an input of a node is expected to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// Its rank; 0 is not looked at.
    pub(super) rank: usize,
    /// Whether it is one element.
    pub(super) single: bool,
    /// The op that needs it.
    pub(super) op: String,
}

/// Where placeholders of a graph are to be looked at.
pub(super) fn places(nodes: &Nodes<'_>, functions: &HashMap<&str, &FunctionDef>) -> BTreeMap<Edge, Expected> {
    let mut found = BTreeMap::new();
    let bodies = functions.values().flat_map(|function| &function.node_def);
    if nodes.values().copied().chain(bodies).all(|node| node.op != FUSED_PRODUCT) {
        return found;
    }
    let mut reach = Reach { functions, arguments: HashMap::new() };
    for edge in reach.edges(nodes) {
        let origin = nodes.get(edge.node.as_str()).and_then(|node| nodes.get(node_name(node.input.get(edge.input)?)));
        if let Some(expected) = origin.and_then(|node| declared(node)) {
            found.insert(edge, expected);
        }
    }
    found
}

/// What a placeholder declares.
fn declared(node: &NodeDef) -> Option<Expected> {
    let Value::Shape(shape) = node.attr.get("shape").filter(|_| node.op == "Placeholder")?.value.as_ref()? else {
        return None;
    };
    let TensorShapeProto { dim, unknown_rank: false } = shape else { return None };
    let single = dim.iter().all(|dim| dim.size == 1);
    Some(Expected { rank: dim.len(), single, op: FUSED_PRODUCT.to_owned() })
}

/// What products that may be fused depend on.
struct Reach<'a> {
    functions: &'a HashMap<&'a str, &'a FunctionDef>,
    /// For each function the arguments that such products depend on; none for one that is being looked at.
    arguments: HashMap<String, BTreeSet<usize>>,
}

impl Reach<'_> {
    /// The inputs that the products in these nodes, and in what they call, depend on.
    fn edges(&mut self, nodes: &Nodes<'_>) -> Vec<Edge> {
        let mut ahead: Vec<Edge> = nodes.values().flat_map(|node| fused_inputs(nodes, node)).collect();
        for node in nodes.values() {
            ahead.extend(self.called(node).into_iter().map(|input| Edge { node: node.name.clone(), input }));
        }
        let (mut seen, mut found) = (HashSet::new(), Vec::new());
        while let Some(edge) = ahead.pop() {
            let origin =
                nodes.get(edge.node.as_str()).and_then(|node| nodes.get(node_name(node.input.get(edge.input)?)));
            found.push(edge);
            let Some(origin) = origin.filter(|origin| seen.insert(origin.name.as_str())) else { continue };
            let data = (0..origin.input.len()).filter(|&input| !origin.input[input].starts_with('^'));
            ahead.extend(data.map(|input| Edge { node: origin.name.clone(), input }));
        }
        found
    }

    /// The inputs of a node that products depend on in the functions that it calls.
    fn called(&mut self, node: &NodeDef) -> BTreeSet<usize> {
        let values = node.attr.values().filter_map(|attribute| attribute.value.as_ref());
        let listed = values.flat_map(|value| match value {
            Value::Func(function) => std::slice::from_ref(function),
            Value::List(list) => list.func.as_slice(),
            _ => Default::default(),
        });
        let names: Vec<String> = listed.map(|function| function.name.clone()).chain([node.op.clone()]).collect();
        // These take first which function is called.
        let skipped = usize::from(["If", "StatelessIf", "Case", "StatelessCase"].contains(&node.op.as_str()));
        names.iter().flat_map(|name| self.arguments(name)).map(|argument| argument + skipped).collect()
    }

    fn arguments(&mut self, function: &str) -> BTreeSet<usize> {
        if let Some(known) = self.arguments.get(function) {
            return known.clone();
        }
        let Some(&body) = self.functions.get(function) else { return BTreeSet::new() };
        self.arguments.insert(function.to_owned(), BTreeSet::new());
        let nodes: Nodes<'_> = body.node_def.iter().map(|node| (node.name.as_str(), node)).collect();
        let names =
            body.signature.iter().flat_map(|signature| &signature.input_arg).map(|argument| argument.name.as_str());
        let places: HashMap<&str, usize> = names.enumerate().map(|(at, name)| (name, at)).collect();
        let edges = self.edges(&nodes);
        let origins = edges.iter().filter_map(|edge| nodes.get(edge.node.as_str())?.input.get(edge.input));
        let found: BTreeSet<usize> = origins.filter_map(|origin| places.get(node_name(origin)).copied()).collect();
        self.arguments.insert(function.to_owned(), found.clone());
        found
    }
}

/// The inputs whose shapes decide whether a fused kernel for this sum would survive; none if it is not fused.
fn fused_inputs(nodes: &Nodes<'_>, sum: &NodeDef) -> Vec<Edge> {
    let is_fused_type =
        matches!(sum.attr.get("T").and_then(|t| t.value.as_ref()), Some(Value::Type(t)) if FUSED_TYPES.contains(t));
    if !["Add", "AddV2"].contains(&sum.op.as_str()) || !is_fused_type {
        return Vec::new();
    }
    let side = |product: usize| fused_side(nodes, sum, product).unwrap_or_default();
    [side(0), side(1)].concat()
}

/// The same, if the product is on this side of the sum.
fn fused_side(nodes: &Nodes<'_>, sum: &NodeDef, side: usize) -> Option<Vec<Edge>> {
    let edge = |node: &NodeDef, input: usize| Edge { node: node.name.clone(), input };
    let first = origin(nodes, sum, side)?;
    // The scale is applied to the product, or to what is multiplied.
    let (product, scaled) = match first.op.as_str() {
        "Mul" => ((0..2).filter_map(|at| origin(nodes, first, at)).find(|node| node.op == FUSED_PRODUCT)?, first),
        FUSED_PRODUCT => (first, origin(nodes, first, 0).filter(|node| node.op == "Mul")?),
        _ => return None,
    };
    let rank = ranks::of_input(nodes, product, 0).zip(ranks::of_input(nodes, product, 1)).map(|(x, y)| x.max(y));
    let mask = ranks::of_input(nodes, sum, 1 - side);
    if rank.is_some_and(|rank| rank != FUSED_RANK) || mask.is_some_and(|rank| rank != FUSED_RANK) {
        return None;
    }
    let mut found = Vec::new();
    if rank.is_none() {
        found.extend([edge(product, 0), edge(product, 1)]);
    }
    if mask.is_none() {
        found.push(edge(sum, 1 - side));
    }
    if !(0..2).any(|at| ranks::is_models(nodes, scaled.input.get(at).map_or("", String::as_str))) {
        let is_scale = |at: &usize| origin(nodes, scaled, *at).is_none_or(|node| node.name != product.name);
        found.extend((0..2).filter(is_scale).map(|at| edge(scaled, at)));
    }
    Some(found)
}

/// The node that gives an input, past those that only hand it on.
fn origin<'a>(nodes: &Nodes<'a>, node: &NodeDef, input: usize) -> Option<&'a NodeDef> {
    let mut found = *nodes.get(node_name(node.input.get(input)?))?;
    while found.op == "Identity" {
        found = nodes.get(node_name(found.input.first()?))?;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use tensorserve_protos::tensorflow::op_def::ArgDef;
    use tensorserve_protos::tensorflow::tensor_shape_proto::Dim;
    use tensorserve_protos::tensorflow::{AttrValue, NameAttrList, OpDef};

    use super::*;

    fn attribute(name: &str, value: Value) -> (String, AttrValue) {
        (name.to_owned(), AttrValue { value: Some(value) })
    }

    fn node(name: &str, op: &str, inputs: &[&str]) -> NodeDef {
        let input = inputs.iter().map(|&input| input.to_owned()).collect();
        let attr = [attribute("T", Value::Type(1))].into();
        NodeDef { name: name.to_owned(), op: op.to_owned(), input, attr, ..NodeDef::default() }
    }

    fn placeholder(name: &str, dims: &[i64]) -> NodeDef {
        let dim = dims.iter().map(|&size| Dim { size, ..Dim::default() }).collect();
        let shape = Value::Shape(TensorShapeProto { dim, unknown_rank: false });
        NodeDef { attr: [attribute("shape", shape)].into(), ..node(name, "Placeholder", &[]) }
    }

    fn function(name: &str, arguments: &[&str], nodes: Vec<NodeDef>) -> FunctionDef {
        let argument = |&name: &&str| ArgDef { name: name.to_owned(), ..ArgDef::default() };
        let input_arg = arguments.iter().map(argument).collect();
        let signature = OpDef { name: name.to_owned(), input_arg, ..OpDef::default() };
        FunctionDef { signature: Some(signature), node_def: nodes, ..FunctionDef::default() }
    }

    fn calling(name: &str, op: &str, called: &str, inputs: &[&str]) -> NodeDef {
        let mut call = node(name, op, inputs);
        let function = NameAttrList { name: called.to_owned(), ..NameAttrList::default() };
        call.attr.extend([attribute("f", Value::Func(function))]);
        call
    }

    /// The placeholders that are looked at, with their ranks.
    fn looked_at(nodes: &[NodeDef], functions: &[FunctionDef]) -> Vec<(String, usize)> {
        let by_name: Nodes<'_> = nodes.iter().map(|node| (node.name.as_str(), node)).collect();
        let functions = functions.iter().map(|f| (f.signature.as_ref().unwrap().name.as_str(), f)).collect();
        let places = places(&by_name, &functions).into_iter();
        let mut found: Vec<_> = places
            .map(|(edge, expected)| (by_name[edge.node.as_str()].input[edge.input].clone(), expected.rank))
            .collect();
        found.sort();
        found
    }

    fn inputs() -> Vec<NodeDef> {
        ["x", "y", "mask"].map(|name| placeholder(name, &[-1, 1, 3, 3])).into()
    }

    #[test]
    fn what_is_fused_depends_on_what_is_declared() {
        let scale = || [placeholder("s", &[]), node("half", "Const", &[])];
        for (scale_by, mul_first, found) in [
            ("half", false, &["mask", "x", "y"][..]),
            ("s", false, &["mask", "s", "x", "y"]),
            ("half", true, &["mask", "x", "y"]),
        ] {
            let mut nodes = inputs();
            nodes.extend(scale());
            if mul_first {
                nodes.extend([node("q", "Mul", &["x", scale_by]), node("p", FUSED_PRODUCT, &["q", "y"])]);
                nodes.push(node("a", "AddV2", &["p", "mask"]));
            } else {
                nodes.extend([node("p", FUSED_PRODUCT, &["x", "y"]), node("i", "Identity", &["p"])]);
                nodes.extend([node("m", "Mul", &[scale_by, "i"]), node("a", "Add", &["mask", "m"])]);
            }
            let names: Vec<String> = looked_at(&nodes, &[]).into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, found);
        }
    }

    #[test]
    fn what_is_not_fused_is_left_alone() {
        let doubles = |mut node: NodeDef| {
            node.attr.extend([attribute("T", Value::Type(2))]);
            node
        };
        let product = || node("p", FUSED_PRODUCT, &["x", "y"]);
        let half = || node("half", "Const", &[]);
        for rest in [
            vec![product(), half(), node("m", "Mul", &["p", "half"])],
            vec![product(), node("a", "AddV2", &["p", "mask"])],
            vec![product(), half(), node("m", "Mul", &["p", "half"]), doubles(node("a", "AddV2", &["m", "mask"]))],
            vec![
                node("p", "MatMul", &["x", "y"]),
                half(),
                node("m", "Mul", &["p", "half"]),
                node("a", "AddV2", &["m", "mask"]),
            ],
        ] {
            assert!(looked_at(&[inputs(), rest].concat(), &[]).is_empty());
        }
    }

    #[test]
    fn arguments_are_followed_out_of_functions() {
        let inner = vec![node("p", FUSED_PRODUCT, &["a", "b"]), node("half", "Const", &[])];
        let inner =
            [inner, vec![node("m", "Mul", &["p:output:0", "half:output:0"]), node("s", "AddV2", &["m:z:0", "c"])]]
                .concat();
        let functions = [
            function("inner", &["a", "b", "unused", "c"], inner),
            function(
                "outer",
                &["a", "b", "c", "d"],
                vec![calling("call", "PartitionedCall", "inner", &["b", "a", "c", "d"])],
            ),
        ];
        let nodes =
            |call: NodeDef| [inputs(), vec![placeholder("other", &[2]), placeholder("cond", &[]), call]].concat();
        let call = calling("call", "StatefulPartitionedCall", "outer", &["x", "y", "other", "mask"]);
        let expected = ["mask", "x", "y"].map(|name| (name.to_owned(), 4));
        assert_eq!(looked_at(&nodes(call), &functions), expected);
        let branch = calling("call", "If", "outer", &["cond", "x", "y", "other", "mask"]);
        assert_eq!(looked_at(&nodes(branch), &functions), expected);
    }
}
