// SPDX-License-Identifier: Apache-2.0
//! Variables that a signature reads and that nothing in its SavedModel sets.
//!
//! `tf.saved_model.save` gives the variables of a Keras 3 model to the checkpoint under handles of their own, so that
//! the ones which the signature reads are never restored. Such a model loads, and fails at every request.

use std::collections::HashMap;

use tensorserve_protos::tensorflow::SignatureDef;

use super::metagraph::{Graph, MetaGraph, Node, node_name};
use super::reach::{Index, Scope};

/// Ops that take a variable's handle and leave its value as it is.
const READS: [&str; 5] =
    ["ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VarIsInitializedOp", "VariableShape"];

/// Names of variables in a warning; more are counted.
const NAMED: usize = 3;

/// A line for each signature that reads such variables. Whatever takes a variable's handle and is not known to read it
/// only may set it, inside the signature or outside.
pub(super) fn warnings(meta_graph: &MetaGraph) -> Vec<String> {
    let Some(graph) = &meta_graph.graph else { return Vec::new() };
    let (index, setters) = (Index::new(graph), setters(graph));
    let of = |(name, def): (&String, &SignatureDef)| {
        let unset = unset(&index.needed(def), &setters);
        (!unset.is_empty()).then(|| text(name, &unset))
    };
    meta_graph.signature_def.iter().filter_map(of).collect()
}

/// The nodes that may set a variable, by the name of its handle.
type Setters<'a> = HashMap<&'a str, Vec<&'a Node>>;

fn setters(graph: &Graph) -> Setters<'_> {
    let handles = graph.nodes.iter().filter(|node| node.op == "VarHandleOp");
    let mut setters: Setters<'_> = handles.map(|node| (node.name.as_str(), Vec::new())).collect();
    for node in graph.nodes.iter().filter(|node| !READS.contains(&node.op.as_str())) {
        for input in &node.inputs {
            setters.entry(node_name(input)).and_modify(|nodes| nodes.push(node));
        }
    }
    setters
}

/// The handles that a signature takes and nobody sets.
fn unset<'a>(scopes: &[Scope<'a>], setters: &Setters<'_>) -> Vec<&'a str> {
    let Some((top, functions)) = scopes.split_first() else { return Vec::new() };
    if functions.iter().flat_map(Scope::values).any(|node| is_assignment(node)) {
        return Vec::new();
    }
    let only_reads = |node: &&Node| top.contains_key(node.name.as_str()) && !is_assignment(node);
    let is_unset = |handle: &&str| setters.get(handle).is_some_and(|nodes| nodes.iter().all(only_reads));
    let mut unset: Vec<&str> = top.keys().copied().filter(is_unset).collect();
    unset.sort_unstable();
    unset
}

fn is_assignment(node: &Node) -> bool {
    node.op.starts_with("Assign")
}

fn text(signature: &str, unset: &[&str]) -> String {
    let named = unset[..unset.len().min(NAMED)].join(", ");
    let more = if unset.len() > NAMED { ", ..." } else { "" };
    format!(
        "Signature {signature} reads {} variable(s) that nothing in the SavedModel sets ({named}{more}), so its requests \
         will fail. Export a Keras 3 model with model.export(path), not with tf.saved_model.save",
        unset.len()
    )
}

#[cfg(test)]
mod tests {
    use tensorserve_protos::tensorflow::TensorInfo;
    use tensorserve_protos::tensorflow::tensor_info::Encoding;

    use super::super::metagraph::{Attribute, Function, Library, Named};
    use super::*;

    fn node(name: &str, op: &str, inputs: &[&str]) -> Node {
        let inputs = inputs.iter().map(|&input| input.to_owned()).collect();
        Node { name: name.to_owned(), op: op.to_owned(), inputs, attributes: HashMap::new() }
    }

    fn call(name: &str, function: &str, inputs: &[&str]) -> Node {
        let function = Attribute { function: Some(Named { name: function.to_owned() }), ..Default::default() };
        Node { attributes: [("f".to_owned(), function)].into(), ..node(name, "StatefulPartitionedCall", inputs) }
    }

    fn function(name: &str, op: &str) -> Function {
        Function { signature: Some(Named { name: name.to_owned() }), nodes: vec![node("n", op, &[])] }
    }

    fn said(others: Vec<Node>) -> Option<String> {
        let mut nodes = vec![node("kernel", "VarHandleOp", &[]), node("x", "Placeholder", &[])];
        nodes.extend(others);
        let functions = vec![
            function("serve", "ReadVariableOp"),
            function("train", "AssignAddVariableOp"),
            function("restore", "RestoreV2"),
        ];
        let graph = Some(Graph { nodes, library: Some(Library { functions }) });
        let info = TensorInfo { encoding: Some(Encoding::Name("y:0".to_owned())), ..Default::default() };
        let def = SignatureDef { outputs: [("y".to_owned(), info)].into(), ..Default::default() };
        warnings(&MetaGraph { graph, signature_def: [("s".to_owned(), def)].into() }).pop()
    }

    #[test]
    fn a_variable_that_is_only_read_is_named() {
        let serve = || call("y", "serve", &["x", "kernel"]);
        let copy = || node("copy", "ReadVariableOp", &["kernel"]);
        let text = said(vec![serve(), copy()]).expect("nothing sets it");
        assert!(text.contains("1 variable(s)") && text.contains("(kernel)") && text.contains("model.export"), "{text}");
    }

    #[test]
    fn what_may_set_a_variable_is_enough() {
        let serve = || call("y", "serve", &["x", "kernel"]);
        assert_eq!(said(vec![serve(), call("load", "restore", &["kernel"])]), None);
        assert_eq!(said(vec![serve(), node("set", "AssignVariableOp", &["kernel:0", "x"])]), None);
        assert_eq!(said(vec![call("y", "train", &["x", "kernel"])]), None);
        assert_eq!(said(vec![node("y", "Identity", &["x"])]), None);
    }
}
