// SPDX-License-Identifier: Apache-2.0
//! Makes the copies: functions and nodes that are as they were but for the guards in front of some, and for what they
//! are called.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::c_int;

use prost::Message;
use tensorserve_protos::tensorflow::attr_value::{ListValue, Value};
use tensorserve_protos::tensorflow::{AttrValue, FunctionDef, FunctionDefLibrary, GraphDef, NodeDef};

use super::declared::{self, Expected};
use super::kernel::{self, Spec};
use super::ranks::{self, Edge, Nodes};
use super::table;
use crate::tensorflow::metagraph::node_name;
use crate::tensorflow::op_registry::OpRegistry;

/// What is added to the name of a function.
const SUFFIX: &str = "_tensorserve_guarded";

/// What is to be added to a loaded graph.
#[derive(Default)]
pub(super) struct Copies {
    pub(super) graph: GraphDef,
    /// The nodes that have a copy.
    pub(super) names: HashSet<String>,
    /// What the copies take from nodes that have none: an output, or the order only.
    pub(super) inputs: BTreeSet<(String, Option<c_int>)>,
}

/// Copies of all that depends on a node that needs a guard; nothing if none does.
pub(super) fn copies(graph: GraphDef, registry: &OpRegistry) -> Copies {
    let library = graph.library.unwrap_or_default();
    let mut functions = Functions::new(&library, registry);
    let changed = functions.guarded(&graph.node, false);
    if changed.is_empty() {
        return Copies::default();
    }
    let names = dependents(&graph.node, &changed);
    let mut made = Copies { names, ..Copies::default() };
    for node in &graph.node {
        if made.names.contains(&node.name) {
            let copy = changed.get(&node.name).cloned().unwrap_or_else(|| vec![node.clone()]);
            made.graph.node.extend(copy.into_iter().map(without_place));
        }
    }
    let own: HashSet<&str> = made.graph.node.iter().map(|node| node.name.as_str()).collect();
    let outside = made.graph.node.iter().flat_map(|node| &node.input).filter(|input| !own.contains(node_name(input)));
    made.inputs = outside.map(|input| outside_input(input)).collect();
    let function = functions.made.into_values().flatten().collect();
    made.graph.library = Some(FunctionDefLibrary { function, ..FunctionDefLibrary::default() });
    made.graph.versions = graph.versions;
    made
}

/// Where nodes are, and beside which others, was decided when the model was loaded.
fn without_place(mut node: NodeDef) -> NodeDef {
    node.attr.remove("_class");
    node
}

fn outside_input(input: &str) -> (String, Option<c_int>) {
    if let Some(name) = input.strip_prefix('^') {
        return (name.to_owned(), None);
    }
    let (name, index) = input.rsplit_once(':').unwrap_or((input, "0"));
    (name.to_owned(), Some(index.parse().unwrap_or(0)))
}

/// The names of these nodes and of all that take from them.
fn dependents(nodes: &[NodeDef], from: &HashMap<String, Vec<NodeDef>>) -> HashSet<String> {
    let mut users: HashMap<&str, Vec<&str>> = HashMap::new();
    for node in nodes {
        for input in &node.input {
            users.entry(node_name(input)).or_default().push(&node.name);
        }
    }
    let mut found: HashSet<String> = from.keys().cloned().collect();
    let mut ahead: Vec<String> = from.keys().cloned().collect();
    while let Some(name) = ahead.pop() {
        for user in users.get(name.as_str()).into_iter().flatten() {
            if found.insert((*user).to_owned()) {
                ahead.push((*user).to_owned());
            }
        }
    }
    found
}

/// The functions of a graph, and the guarded versions that were made so far.
struct Functions<'a> {
    by_name: HashMap<&'a str, &'a FunctionDef>,
    registry: &'a OpRegistry,
    /// `None` for those that need no guard, and for one that is being made.
    made: HashMap<String, Option<FunctionDef>>,
}

impl<'a> Functions<'a> {
    fn new(library: &'a FunctionDefLibrary, registry: &'a OpRegistry) -> Self {
        let named = |function: &'a FunctionDef| Some((function.signature.as_ref()?.name.as_str(), function));
        Functions { by_name: library.function.iter().filter_map(named).collect(), registry, made: HashMap::new() }
    }

    /// Makes the guarded version of a function, and says whether there is one.
    fn make(&mut self, name: &str) -> bool {
        if let Some(made) = self.made.get(name) {
            return made.is_some();
        }
        let Some(&function) = self.by_name.get(name) else { return false };
        self.made.insert(name.to_owned(), None);
        let mut changed = self.guarded(&function.node_def, true);
        if changed.is_empty() {
            return false;
        }
        let mut copy = function.clone();
        copy.node_def = Vec::with_capacity(function.node_def.len() + changed.len());
        for node in &function.node_def {
            match changed.remove(&node.name) {
                Some(nodes) => copy.node_def.extend(nodes),
                None => copy.node_def.push(node.clone()),
            }
        }
        if let Some(signature) = &mut copy.signature {
            signature.name.push_str(SUFFIX);
        }
        self.made.insert(name.to_owned(), Some(copy));
        true
    }

    /// The nodes that have to be changed: each with the guards in front of it.
    fn guarded(&mut self, nodes: &[NodeDef], in_function: bool) -> HashMap<String, Vec<NodeDef>> {
        let by_name: Nodes<'_> = nodes.iter().map(|node| (node.name.as_str(), node)).collect();
        let mut changed: HashMap<String, Vec<NodeDef>> = HashMap::new();
        let mut edges: BTreeMap<Edge, Expected> = BTreeMap::new();
        for node in nodes {
            for (edge, rank) in ranks::places(&by_name, node) {
                edges.insert(edge, Expected { rank, single: false, op: node.op.clone() });
            }
            if let Some(calling) = self.calling_guarded(node) {
                changed.insert(node.name.clone(), vec![calling]);
            }
            if let Some((guard, guarded)) = self.in_full(&by_name, node, in_function) {
                changed.insert(node.name.clone(), vec![guard, guarded]);
            }
        }
        if !in_function {
            for (edge, expected) in declared::places(&by_name, &self.by_name) {
                edges.entry(edge).or_insert(expected);
            }
        }
        for (edge, expected) in edges {
            let Some(&node) = by_name.get(edge.node.as_str()) else { continue };
            let Some(guard) = self.input_guard(node, edge.input, &expected) else { continue };
            let group = changed.entry(edge.node).or_insert_with(|| vec![node.clone()]);
            if let Some(last) = group.last_mut() {
                last.input[edge.input] = output_of(&guard, in_function);
            }
            group.insert(0, guard);
        }
        changed
    }

    fn input_guard(&self, node: &NodeDef, input: usize, expected: &Expected) -> Option<NodeDef> {
        let dtype = *self.registry.input_types(node)?.get(input)?;
        let Expected { rank, single, op } = expected.clone();
        let spec = Spec { op, rank: u32::try_from(rank).ok()?, node: None, types: vec![dtype], single };
        Some(guard(&format!("{}/guard_{input}", node.name), vec![node.input[input].clone()], &spec))
    }

    /// A guard that looks at all inputs of the node, and the node behind it.
    fn in_full(&self, nodes: &Nodes<'_>, node: &NodeDef, in_function: bool) -> Option<(NodeDef, NodeDef)> {
        if table::needs(&node.op).is_empty() {
            return None;
        }
        let types = self.registry.input_types(node)?;
        let data: Vec<&String> = node.input.iter().filter(|input| !input.starts_with('^')).collect();
        if data.len() != types.len() || data.iter().all(|input| ranks::is_models(nodes, input)) {
            return None;
        }
        let seen: Vec<usize> = (0..types.len()).filter(|&at| kernel::is_seen(types[at])).collect();
        let first = *seen.first()?;
        let mut plain = node.clone();
        plain.input.clear();
        plain.attr.retain(|name, _| !name.starts_with('_'));
        let spec = Spec { op: node.op.clone(), rank: 0, node: Some(plain), types, single: false };
        let inputs = seen.iter().map(|&at| data[at].clone()).collect();
        let guard = guard(&format!("{}/guard", node.name), inputs, &spec);
        let mut guarded = node.clone();
        guarded.input[first] = output_of(&guard, in_function);
        Some((guard, guarded))
    }

    /// The node with guarded versions of what it calls, if there are any.
    fn calling_guarded(&mut self, node: &NodeDef) -> Option<NodeDef> {
        let mut copy = node.clone();
        let mut any = false;
        if self.make(&node.op) {
            copy.op.push_str(SUFFIX);
            any = true;
        }
        for attribute in copy.attr.values_mut() {
            let called: Vec<_> = match &mut attribute.value {
                Some(Value::Func(function)) => vec![function],
                Some(Value::List(list)) => list.func.iter_mut().collect(),
                _ => continue,
            };
            for function in called {
                if self.make(&function.name) {
                    function.name.push_str(SUFFIX);
                    any = true;
                }
            }
        }
        any.then_some(copy)
    }
}

fn output_of(guard: &NodeDef, in_function: bool) -> String {
    if in_function { format!("{}:y:0", guard.name) } else { guard.name.clone() }
}

fn guard(name: &str, inputs: Vec<String>, spec: &Spec) -> NodeDef {
    let seen: Vec<i32> = spec.types.iter().copied().filter(|&dtype| kernel::is_seen(dtype)).collect();
    let (first, others) = seen.split_first().map_or((0, &[][..]), |(first, others)| (*first, others));
    let others = ListValue { r#type: others.to_vec(), ..ListValue::default() };
    let attribute = |name: &str, value| (name.to_owned(), AttrValue { value: Some(value) });
    let attr = [
        attribute("T", Value::Type(first)),
        attribute("Tothers", Value::List(others)),
        attribute(kernel::SPEC, Value::S(spec.encode_to_vec())),
    ];
    NodeDef { name: name.to_owned(), op: kernel::OP.to_owned(), input: inputs, attr: attr.into(), ..NodeDef::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, op: &str, inputs: &[&str]) -> NodeDef {
        let input = inputs.iter().map(|&input| input.to_owned()).collect();
        let attr = [("T".to_owned(), AttrValue { value: Some(Value::Type(1)) })].into();
        NodeDef { name: name.to_owned(), op: op.to_owned(), input, attr, ..NodeDef::default() }
    }

    fn copied(nodes: Vec<NodeDef>) -> Vec<(String, Vec<String>)> {
        let made = copies(GraphDef { node: nodes, ..GraphDef::default() }, &registry());
        made.graph.node.into_iter().map(|node| (node.name, node.input)).collect()
    }

    fn registry() -> OpRegistry {
        use tensorserve_protos::tensorflow::OpDef;
        use tensorserve_protos::tensorflow::op_def::ArgDef;
        let arg = || ArgDef { type_attr: "T".to_owned(), ..ArgDef::default() };
        let op = |(name, inputs): (&str, usize)| OpDef {
            name: name.to_owned(),
            input_arg: (0..inputs).map(|_| arg()).collect(),
            ..OpDef::default()
        };
        let ops =
            [("Conv2D", 2), ("Pad", 2), ("Relu", 1), ("Identity", 1), ("Placeholder", 0), ("ExpandDims", 2)].map(op);
        let mut bytes = Vec::new();
        ops.iter().for_each(|op| prost::encoding::message::encode(1, op, &mut bytes));
        OpRegistry::of(&bytes)
    }

    #[test]
    fn a_guard_stands_before_the_padding_of_the_first_convolution_only() {
        let nodes = vec![
            node("x", "Placeholder", &[]),
            node("k", "Const", &[]),
            node("p", "Pad", &["x", "k"]),
            node("a", "Conv2D", &["p", "k"]),
            node("r", "Relu", &["a"]),
            node("b", "Conv2D", &["r:0", "k"]),
            node("other", "Identity", &["x"]),
        ];
        let expected = [
            ("p/guard_0", vec!["x"]),
            ("p", vec!["p/guard_0", "k"]),
            ("a", vec!["p", "k"]),
            ("r", vec!["a"]),
            ("b", vec!["r:0", "k"]),
        ];
        let copied = copied(nodes);
        let copied: Vec<_> = copied.iter().map(|(n, i)| (n.as_str(), i.iter().map(String::as_str).collect())).collect();
        assert_eq!(copied, expected);
    }
}
