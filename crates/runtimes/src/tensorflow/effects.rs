// SPDX-License-Identifier: Apache-2.0
//! Which signatures of a graph do more than compute: they change variables, take from queues or write files.
//!
//! Every SavedModel has such ops somewhere, to restore its variables; what counts is what a signature's outputs need.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use prost::{DecodeError, Message};
use tensorserve_protos::tensorflow::tensor_info::Encoding;
use tensorserve_protos::tensorflow::{SignatureDef, TensorInfo};

/// Beginnings of the names of ops that do more than compute, or that wait for what others do.
const PREFIXES: [&str; 36] = [
    "Accumulator",
    "Apply",
    "Assign",
    "Barrier",
    "Collective",
    "CountUpTo",
    "DestroyTemporaryVariable",
    "EagerPyFunc",
    "IteratorGetNext",
    "LookupTableImport",
    "LookupTableInsert",
    "LookupTableRemove",
    "MapStage",
    "MapUnstage",
    "MergeV2Checkpoints",
    "MutexLock",
    "Print",
    "PyFunc",
    "QueueDequeue",
    "QueueEnqueue",
    "RemoteCall",
    "ResourceApply",
    "ResourceCountUpTo",
    "ResourceScatter",
    "ResourceSparseApply",
    "ResourceStridedSliceAssign",
    "RngReadAndSkip",
    "Save",
    "SparseApply",
    "Stage",
    "StatefulRandom",
    "StatefulStandardNormal",
    "StatefulTruncatedNormal",
    "StatefulUniform",
    "Unstage",
    "Write",
];

/// Whether an op does more than compute. All ops called `Scatter...` change a variable, but for one.
fn has_effect(op: &str) -> bool {
    PREFIXES.iter().any(|prefix| op.starts_with(prefix))
        || op.starts_with("Scatter") && op != "ScatterNd"
        || ["_HostRecv", "_HostSend", "_Recv", "_Send"].contains(&op)
}

/// The parts of `tensorflow.MetaGraphDef` that say which op needs which; prost skips all others.
#[derive(Message)]
struct MetaGraph {
    #[prost(message, optional, tag = "2")]
    graph: Option<Graph>,
}

#[derive(Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<Node>,
    #[prost(message, optional, tag = "2")]
    library: Option<Library>,
}

#[derive(Message)]
struct Library {
    #[prost(message, repeated, tag = "1")]
    functions: Vec<Function>,
}

#[derive(Message)]
struct Function {
    #[prost(message, optional, tag = "1")]
    signature: Option<Named>,
    #[prost(message, repeated, tag = "3")]
    nodes: Vec<Node>,
}

/// A message whose field 1 is its name: `OpDef` and `NameAttrList`.
#[derive(PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Message)]
struct Node {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    op: String,
    #[prost(string, repeated, tag = "3")]
    inputs: Vec<String>,
    #[prost(map = "string, message", tag = "5")]
    attributes: HashMap<String, Attribute>,
}

/// The members of `AttrValue` that name functions.
#[derive(PartialEq, Message)]
struct Attribute {
    #[prost(message, optional, tag = "1")]
    list: Option<AttributeList>,
    #[prost(message, optional, tag = "10")]
    function: Option<Named>,
}

#[derive(PartialEq, Message)]
struct AttributeList {
    #[prost(message, repeated, tag = "9")]
    functions: Vec<Named>,
}

impl Node {
    /// The functions that it may call; an op may be one itself.
    fn functions(&self) -> impl Iterator<Item = &str> {
        let called = self.attributes.values().flat_map(|attribute| {
            let list = attribute.list.iter().flat_map(|list| &list.functions);
            list.chain(&attribute.function)
        });
        called.map(|function| function.name.as_str()).chain(std::iter::once(self.op.as_str()))
    }
}

/// The keys of the signatures that do more than compute, among those of `signature_defs`.
pub(super) fn signatures_with_effects(
    meta_graph_def: &[u8],
    signature_defs: &BTreeMap<String, SignatureDef>,
) -> Result<BTreeSet<String>, DecodeError> {
    let graph = MetaGraph::decode(meta_graph_def)?.graph.unwrap_or_default();
    let functions = functions_with_effects(graph.library.as_ref());
    let nodes: HashMap<&str, &Node> = graph.nodes.iter().map(|node| (node.name.as_str(), node)).collect();
    let matters = |node: &Node| has_effect(&node.op) || node.functions().any(|name| functions.contains(name));
    let has_effects = |def: &SignatureDef| needed(def, &nodes).into_iter().any(matters);
    Ok(signature_defs.iter().filter(|(_, def)| has_effects(def)).map(|(key, _)| key.clone()).collect())
}

/// The functions that do more than compute: a function runs all of its ops that have effects.
fn functions_with_effects(library: Option<&Library>) -> HashSet<&str> {
    let functions = library.map_or(&[][..], |library| &library.functions);
    let mut callers: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut found = Vec::new();
    for function in functions {
        let caller = function.signature.as_ref().map_or("", |signature| signature.name.as_str());
        for node in &function.nodes {
            node.functions().for_each(|called| callers.entry(called).or_default().push(caller));
        }
        if function.nodes.iter().any(|node| has_effect(&node.op)) {
            found.push(caller);
        }
    }
    let mut known = HashSet::new();
    while let Some(function) = found.pop() {
        if known.insert(function) {
            found.extend(callers.get(function).into_iter().flatten());
        }
    }
    known
}

/// The nodes that a signature's outputs need.
fn needed<'a>(def: &SignatureDef, nodes: &HashMap<&str, &'a Node>) -> Vec<&'a Node> {
    let mut ahead: Vec<&'a Node> =
        def.outputs.values().filter_map(|info| nodes.get(node_name(tensor_name(info)))).copied().collect();
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    while let Some(node) = ahead.pop() {
        if seen.insert(node.name.as_str()) {
            found.push(node);
            ahead.extend(node.inputs.iter().filter_map(|input| nodes.get(node_name(input))));
        }
    }
    found
}

fn tensor_name(info: &TensorInfo) -> &str {
    match &info.encoding {
        Some(Encoding::Name(name)) => name,
        _ => "",
    }
}

/// `^node` is an order, `node:1` an output.
fn node_name(input: &str) -> &str {
    let input = input.strip_prefix('^').unwrap_or(input);
    input.split_once(':').map_or(input, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use tensorserve_protos::tensorflow::attr_value::Value;
    use tensorserve_protos::tensorflow::{
        AttrValue, FunctionDef, FunctionDefLibrary, GraphDef, MetaGraphDef, NameAttrList, NodeDef, OpDef,
    };

    use super::*;

    fn node(name: &str, op: &str, inputs: &[&str]) -> NodeDef {
        let input = inputs.iter().map(|&input| input.to_owned()).collect();
        NodeDef { name: name.to_owned(), op: op.to_owned(), input, ..Default::default() }
    }

    fn call(name: &str, function: &str) -> NodeDef {
        let value = Value::Func(NameAttrList { name: function.to_owned(), ..Default::default() });
        let attr = [("f".to_owned(), AttrValue { value: Some(value) })].into();
        NodeDef { attr, ..node(name, "StatefulPartitionedCall", &[]) }
    }

    fn function(name: &str, nodes: Vec<NodeDef>) -> FunctionDef {
        let signature = Some(OpDef { name: name.to_owned(), ..Default::default() });
        FunctionDef { signature, node_def: nodes, ..Default::default() }
    }

    fn with_output(tensor: &str) -> SignatureDef {
        let info = TensorInfo { encoding: Some(Encoding::Name(tensor.to_owned())), ..Default::default() };
        SignatureDef { outputs: [("y".to_owned(), info)].into(), ..Default::default() }
    }

    fn found(nodes: Vec<NodeDef>, functions: Vec<FunctionDef>, outputs: &[&str]) -> Vec<String> {
        let library = Some(FunctionDefLibrary { function: functions, ..Default::default() });
        let graph_def = Some(GraphDef { node: nodes, library, ..Default::default() });
        let meta_graph = MetaGraphDef { graph_def, ..Default::default() }.encode_to_vec();
        let signatures = outputs.iter().map(|&output| (output.to_owned(), with_output(output))).collect();
        signatures_with_effects(&meta_graph, &signatures).unwrap().into_iter().collect()
    }

    #[test]
    fn only_what_an_output_needs_counts() {
        let nodes = vec![
            node("x", "Placeholder", &[]),
            node("y", "Mul", &["x"]),
            node("restore", "AssignVariableOp", &["x"]),
            node("step", "AssignAddVariableOp", &["x:0"]),
            node("z", "Identity", &["y:0", "^step"]),
        ];
        assert_eq!(found(nodes, vec![], &["y:0", "z:0"]), ["z:0"]);
    }

    #[test]
    fn functions_are_looked_into() {
        let functions = vec![
            function("restores", vec![node("a", "AssignVariableOp", &[])]),
            function("outer", vec![call("inner", "trains")]),
            function("trains", vec![node("a", "ResourceApplyGradientDescent", &[])]),
            function("serves", vec![node("a", "MatMul", &[])]),
        ];
        let nodes = vec![call("serve", "serves"), call("train", "outer"), node("legacy", "trains", &[])];
        assert_eq!(found(nodes, functions, &["serve:0", "train:1", "legacy:0"]), ["legacy:0", "train:1"]);
    }

    #[test]
    fn functions_that_call_each_other_come_to_an_end() {
        let functions = vec![
            function("even", vec![call("c", "odd")]),
            function("odd", vec![call("c", "even"), node("p", "PrintV2", &[])]),
        ];
        assert_eq!(found(vec![call("y", "even")], functions, &["y:0"]), ["y:0"]);
    }

    #[test]
    fn ops_that_only_compute_have_no_effect() {
        for op in ["ScatterNd", "StatefulPartitionedCall", "ParseExampleV2", "LookupTableFindV2", "ReadVariableOp"] {
            assert!(!has_effect(op), "{op}");
        }
        for op in ["ScatterNdUpdate", "ScatterAdd", "WriteFile", "AssignSubVariableOp", "QueueDequeueManyV2", "SaveV2"]
        {
            assert!(has_effect(op), "{op}");
        }
    }
}
