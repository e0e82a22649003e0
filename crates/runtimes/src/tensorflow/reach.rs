// SPDX-License-Identifier: Apache-2.0
//! What the outputs of a signature need of a graph: nodes, and the functions that those may call.

use std::collections::{HashMap, HashSet};

use prost::Message;
use tensorserve_protos::tensorflow::tensor_info::Encoding;
use tensorserve_protos::tensorflow::{SignatureDef, TensorInfo};

/// The parts of `tensorflow.MetaGraphDef` that say which op needs which; prost skips all others.
#[derive(Message)]
pub(super) struct MetaGraph {
    #[prost(message, optional, tag = "2")]
    pub(super) graph: Option<Graph>,
}

#[derive(Message)]
pub(super) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(super) nodes: Vec<Node>,
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
pub(super) struct Named {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Message)]
pub(super) struct Node {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) op: String,
    #[prost(string, repeated, tag = "3")]
    pub(super) inputs: Vec<String>,
    #[prost(map = "string, message", tag = "5")]
    pub(super) attributes: HashMap<String, Attribute>,
}

/// `tensorflow.AttrValue`, without numbers that nobody here asks for.
#[derive(PartialEq, Message)]
pub(super) struct Attribute {
    #[prost(message, optional, tag = "1")]
    pub(super) list: Option<AttributeList>,
    #[prost(int64, tag = "3")]
    pub(super) integer: i64,
    #[prost(message, optional, tag = "8")]
    pub(super) tensor: Option<StringTensor>,
    #[prost(message, optional, tag = "10")]
    function: Option<Named>,
}

#[derive(PartialEq, Message)]
pub(super) struct AttributeList {
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) strings: Vec<Vec<u8>>,
    #[prost(int32, repeated, tag = "6")]
    pub(super) types: Vec<i32>,
    #[prost(message, repeated, tag = "7")]
    pub(super) shapes: Vec<tensorserve_protos::tensorflow::TensorShapeProto>,
    #[prost(message, repeated, tag = "9")]
    functions: Vec<Named>,
}

/// The strings of a `tensorflow.TensorProto`.
#[derive(PartialEq, Message)]
pub(super) struct StringTensor {
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub(super) strings: Vec<Vec<u8>>,
}

impl Graph {
    /// The functions by name, with their nodes.
    pub(super) fn functions(&self) -> impl Iterator<Item = (&str, &[Node])> {
        let functions = self.library.iter().flat_map(|library| &library.functions);
        functions.filter_map(|function| Some((function.signature.as_ref()?.name.as_str(), &function.nodes[..])))
    }
}

impl Node {
    /// The functions that it may call; an op may be one itself.
    pub(super) fn functions(&self) -> impl Iterator<Item = &str> {
        let called = self.attributes.values().flat_map(|attribute| {
            let list = attribute.list.iter().flat_map(|list| &list.functions);
            list.chain(&attribute.function)
        });
        called.map(|function| function.name.as_str()).chain(std::iter::once(self.op.as_str()))
    }
}

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
        let mut ahead: Vec<&str> = def.outputs.values().map(|info| node_name(tensor_name(info))).collect();
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

pub(super) fn tensor_name(info: &TensorInfo) -> &str {
    match &info.encoding {
        Some(Encoding::Name(name)) => name,
        _ => "",
    }
}

/// The node of an input: `^node` is an order, `node:1` and `node:output:0` are outputs.
pub(super) fn node_name(input: &str) -> &str {
    let input = input.strip_prefix('^').unwrap_or(input);
    input.split_once(':').map_or(input, |(name, _)| name)
}
