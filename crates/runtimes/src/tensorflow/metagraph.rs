// SPDX-License-Identifier: Apache-2.0
//! What is read from a serialized `tensorflow.MetaGraphDef`: the signatures, and which op needs which. It is decoded once
//! for each load; constants and whatever else nobody here asks for are skipped.

use std::collections::{BTreeMap, HashMap};

use prost::Message;
use tensorserve_protos::tensorflow::tensor_info::Encoding;
use tensorserve_protos::tensorflow::{SignatureDef, TensorInfo, TensorShapeProto};
use tensorserve_tensors::{Code, Result, ServingError};

use crate::TensorHandle;
use crate::attribution::SignatureTensors;

/// `tensorflow.SavedModel`.
#[derive(Message)]
pub(super) struct SavedModel {
    #[prost(message, repeated, tag = "2")]
    pub(super) meta_graphs: Vec<MetaGraph>,
}

/// `tensorflow.MetaGraphDef`.
#[derive(Message)]
pub(super) struct MetaGraph {
    #[prost(message, optional, tag = "2")]
    pub(super) graph: Option<Graph>,
    #[prost(btree_map = "string, message", tag = "5")]
    pub(super) signature_def: BTreeMap<String, SignatureDef>,
}

#[derive(Message)]
pub(super) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(super) nodes: Vec<Node>,
    #[prost(message, optional, tag = "2")]
    pub(super) library: Option<Library>,
}

#[derive(Message)]
pub(super) struct Library {
    #[prost(message, repeated, tag = "1")]
    pub(super) functions: Vec<Function>,
}

#[derive(Message)]
pub(super) struct Function {
    #[prost(message, optional, tag = "1")]
    pub(super) signature: Option<Named>,
    #[prost(message, repeated, tag = "3")]
    pub(super) nodes: Vec<Node>,
}

/// A message whose field 1 is its name: `OpDef` and `NameAttrList`.
#[derive(PartialEq, Message)]
pub(super) struct Named {
    #[prost(string, tag = "1")]
    pub(super) name: String,
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
    #[prost(bytes = "vec", tag = "2")]
    pub(super) string: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub(super) integer: i64,
    #[prost(message, optional, tag = "8")]
    pub(super) tensor: Option<StringTensor>,
    #[prost(message, optional, tag = "10")]
    pub(super) function: Option<Named>,
}

#[derive(PartialEq, Message)]
pub(super) struct AttributeList {
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) strings: Vec<Vec<u8>>,
    #[prost(int32, repeated, tag = "6")]
    pub(super) types: Vec<i32>,
    #[prost(message, repeated, tag = "7")]
    pub(super) shapes: Vec<TensorShapeProto>,
    #[prost(message, repeated, tag = "9")]
    pub(super) functions: Vec<Named>,
}

/// The strings of a `tensorflow.TensorProto`.
#[derive(PartialEq, Message)]
pub(super) struct StringTensor {
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub(super) strings: Vec<Vec<u8>>,
}

impl MetaGraph {
    /// DATA_LOSS if `bytes` is not a valid message.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        MetaGraph::decode(bytes).map_err(|error| {
            ServingError::new(Code::DataLoss, format!("The meta graph of the SavedModel is damaged: {error}"))
        })
    }

    /// The op of each node of the graph and of the functions that it may call.
    pub(super) fn ops(&self) -> impl Iterator<Item = &str> {
        let functions = self.graph.iter().flat_map(|graph| &graph.library).flat_map(|library| &library.functions);
        let nodes = self.graph.iter().flat_map(|graph| &graph.nodes);
        nodes.chain(functions.flat_map(|function| &function.nodes)).map(|node| node.op.as_str())
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

    /// A whole number of its attributes; 0 if it has none of this name.
    pub(super) fn integer(&self, attribute: &str) -> i64 {
        self.attributes.get(attribute).map_or(0, |attribute| attribute.integer)
    }
}

/// The names of every tensor that the signatures mention. A name may come more than once.
pub(super) fn tensor_names(signatures: &BTreeMap<String, SignatureDef>) -> impl Iterator<Item = &str> {
    let infos = signatures.values().flat_map(|signature| signature.inputs.values().chain(signature.outputs.values()));
    infos.flat_map(names_of)
}

/// Each signature with the tensors of its inputs and of its outputs, as far as they can be resolved.
pub(super) fn tensors_of(
    signatures: &BTreeMap<String, SignatureDef>,
    resolve: impl Fn(&str) -> Option<TensorHandle>,
) -> Vec<SignatureTensors> {
    let handles =
        |infos: &BTreeMap<String, TensorInfo>| infos.values().flat_map(names_of).filter_map(&resolve).collect();
    signatures.iter().map(|(name, def)| (name.clone(), handles(&def.inputs), handles(&def.outputs))).collect()
}

/// The names of the tensors that an input or output consists of.
pub(super) fn names_of(info: &TensorInfo) -> Vec<&str> {
    match &info.encoding {
        Some(Encoding::Name(name)) => vec![name],
        Some(Encoding::CooSparse(sparse)) => {
            vec![&sparse.values_tensor_name, &sparse.indices_tensor_name, &sparse.dense_shape_tensor_name]
        }
        Some(Encoding::CompositeTensor(composite)) => composite.components.iter().flat_map(names_of).collect(),
        None => Vec::new(),
    }
}

/// The node of an input: `^node` is an order, `node:1` and `node:output:0` are outputs.
pub(super) fn node_name(input: &str) -> &str {
    let input = input.strip_prefix('^').unwrap_or(input);
    input.split_once(':').map_or(input, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use tensorserve_protos::tensorflow::tensor_info::CompositeTensor;
    use tensorserve_protos::tensorflow::{FunctionDef, FunctionDefLibrary, GraphDef, MetaGraphDef, NodeDef};

    use super::*;

    fn info(name: &str) -> TensorInfo {
        TensorInfo { encoding: Some(Encoding::Name(name.to_owned())), ..Default::default() }
    }

    #[test]
    fn signatures_are_found_between_other_fields() {
        let ragged = CompositeTensor { components: vec![info("b:0"), info("b:1")], ..Default::default() };
        let ragged = TensorInfo { encoding: Some(Encoding::CompositeTensor(ragged)), ..Default::default() };
        let signature = SignatureDef {
            inputs: BTreeMap::from([("x".to_owned(), info("a:0"))]),
            outputs: BTreeMap::from([("y".to_owned(), ragged)]),
            ..Default::default()
        };
        let node = NodeDef { name: "a".to_owned(), ..Default::default() };
        let meta_graph = MetaGraphDef {
            graph_def: Some(GraphDef { node: vec![node], ..Default::default() }),
            signature_def: BTreeMap::from([("s".to_owned(), signature)]),
            ..Default::default()
        };

        let found = MetaGraph::read(&meta_graph.encode_to_vec()).expect("a valid message").signature_def;

        assert_eq!(found, meta_graph.signature_def);
        assert_eq!(tensor_names(&found).collect::<Vec<_>>(), ["a:0", "b:0", "b:1"]);
    }

    #[test]
    fn ops_are_found_in_graphs_and_functions() {
        let node = |op: &str| NodeDef { name: "n".to_owned(), op: op.to_owned(), ..Default::default() };
        let function = FunctionDef { node_def: vec![node("AddV2")], ..Default::default() };
        let library = FunctionDefLibrary { function: vec![function], ..Default::default() };
        let graph = GraphDef { node: vec![node("Mul")], library: Some(library), ..Default::default() };
        let bytes = MetaGraphDef { graph_def: Some(graph), ..Default::default() }.encode_to_vec();
        assert_eq!(MetaGraph::read(&bytes).expect("a message").ops().collect::<Vec<_>>(), ["Mul", "AddV2"]);
    }

    #[test]
    fn a_damaged_message_is_data_loss() {
        assert_eq!(MetaGraph::read(&[0x2a, 0xff]).expect_err("cut off").code, Code::DataLoss);
    }
}
