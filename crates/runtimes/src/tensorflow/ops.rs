// SPDX-License-Identifier: Apache-2.0
//! The ops of a serialized graph, read without its constants.

use prost::Message;

/// The parts of `tensorflow.SavedModel` that lead to ops; prost skips all others.
#[derive(Message)]
pub(super) struct SavedModel {
    #[prost(message, repeated, tag = "2")]
    pub(super) meta_graphs: Vec<MetaGraph>,
}

/// The same of `tensorflow.MetaGraphDef`.
#[derive(Message)]
pub(super) struct MetaGraph {
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
    #[prost(message, repeated, tag = "3")]
    nodes: Vec<Node>,
}

#[derive(Message)]
struct Node {
    #[prost(string, tag = "2")]
    op: String,
}

impl MetaGraph {
    /// The op of each node of the graph and of the functions that it may call.
    pub(super) fn ops(&self) -> impl Iterator<Item = &str> {
        let functions = self.graph.iter().flat_map(|graph| &graph.library).flat_map(|library| &library.functions);
        let nodes = self.graph.iter().flat_map(|graph| &graph.nodes);
        nodes.chain(functions.flat_map(|function| &function.nodes)).map(|node| node.op.as_str())
    }
}

#[cfg(test)]
mod tests {
    use tensorserve_protos::tensorflow::{FunctionDef, FunctionDefLibrary, GraphDef, MetaGraphDef, NodeDef};

    use super::*;

    fn meta_graph(in_graph: &str, in_function: &str) -> Vec<u8> {
        let node = |op: &str| NodeDef { name: "n".to_owned(), op: op.to_owned(), ..Default::default() };
        let function = FunctionDef { node_def: vec![node(in_function)], ..Default::default() };
        let library = FunctionDefLibrary { function: vec![function], ..Default::default() };
        let graph = GraphDef { node: vec![node(in_graph)], library: Some(library), ..Default::default() };
        MetaGraphDef { graph_def: Some(graph), ..Default::default() }.encode_to_vec()
    }

    #[test]
    fn ops_are_found_in_graphs_and_functions() {
        let bytes = meta_graph("Mul", "AddV2");
        assert_eq!(MetaGraph::decode(&*bytes).expect("a message").ops().collect::<Vec<_>>(), ["Mul", "AddV2"]);
    }
}
