// SPDX-License-Identifier: Apache-2.0
//! What the outputs of a signature need of a graph: nodes, and the functions that those may call.

use std::collections::{HashMap, HashSet};

use tensorserve_protos::tensorflow::SignatureDef;

use super::metagraph::{Function, Graph, Node, names_of, node_name};

/// The nodes of a graph and its functions by name.
pub(super) struct Index<'a> {
    nodes: HashMap<&'a str, &'a Node>,
    functions: HashMap<&'a str, &'a Function>,
}

/// The nodes of one graph or function, by name: inputs of a node are names in its scope.
pub(super) type Scope<'a> = HashMap<&'a str, &'a Node>;

impl<'a> Index<'a> {
    pub(super) fn new(graph: &'a Graph) -> Self {
        let functions = graph.library.iter().flat_map(|library| &library.functions);
        let named = |function: &'a Function| Some((function.signature.as_ref()?.name.as_str(), function));
        Index { nodes: by_name(&graph.nodes), functions: functions.filter_map(named).collect() }
    }

    /// Whether an op is a function of the graph.
    pub(super) fn is_function(&self, op: &str) -> bool {
        self.functions.contains_key(op)
    }

    /// What a signature's outputs need, the graph's part first. A function runs as a whole.
    pub(super) fn needed(&self, def: &SignatureDef) -> Vec<Scope<'a>> {
        let mut scopes = vec![self.needed_nodes(def)];
        let mut seen = HashSet::new();
        let mut at = 0;
        while let Some(scope) = scopes.get(at) {
            let called =
                scope.values().flat_map(|node| node.functions()).filter_map(|name| self.functions.get_key_value(name));
            let new: Vec<_> =
                called.filter(|(name, _)| seen.insert(**name)).map(|(_, function)| by_name(&function.nodes)).collect();
            scopes.extend(new);
            at += 1;
        }
        scopes
    }

    fn needed_nodes(&self, def: &SignatureDef) -> Scope<'a> {
        let mut ahead: Vec<&str> = def.outputs.values().flat_map(names_of).map(node_name).collect();
        let mut found = Scope::new();
        while let Some(name) = ahead.pop() {
            if let Some((&name, &node)) = self.nodes.get_key_value(name)
                && found.insert(name, node).is_none()
            {
                ahead.extend(node.inputs.iter().map(|input| node_name(input)));
            }
        }
        found
    }
}

fn by_name(nodes: &[Node]) -> HashMap<&str, &Node> {
    nodes.iter().map(|node| (node.name.as_str(), node)).collect()
}
