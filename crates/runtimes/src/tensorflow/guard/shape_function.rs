// SPDX-License-Identifier: Apache-2.0
//! Asks TensorFlow's own shape function what it says of an op with these very inputs.

use prost::Message;
use tensorserve_protos::tensorflow::attr_value;
use tensorserve_protos::tensorflow::tensor_shape_proto::Dim;
use tensorserve_protos::tensorflow::{AttrValue, GraphDef, NodeDef, TensorProto, TensorShapeProto};
use tensorserve_tensors::Result;

use super::c_api::GuardFunctions;
use super::values::Value;
use crate::tensorflow::functions::{Functions, TfBuffer};
use crate::tensorflow::graph::Graph;
use crate::tensorflow::status::Status;

/// Lists of whole numbers up to this length are shapes, axes and the like, which a shape function wants to see.
const SHOWN: usize = 64;

/// OK, or the error with TensorFlow's text. `node` has no inputs yet.
pub(super) fn ask(
    functions: &'static Functions,
    guard: &GuardFunctions,
    node: &NodeDef,
    inputs: &[Value],
) -> Result<()> {
    let mut graph_def = GraphDef::default();
    let mut node = node.clone();
    node.input.clear();
    for (number, value) in inputs.iter().enumerate() {
        let input = source(format!("input_{number}"), value);
        node.input.push(input.name.clone());
        graph_def.node.push(input);
    }
    graph_def.node.push(node);
    let bytes = graph_def.encode_to_vec();
    let buffer = TfBuffer { data: bytes.as_ptr().cast(), length: bytes.len(), deallocator: None };
    let (graph, status) = (Graph::new(functions), Status::new(functions));
    // SAFETY: all objects are live, and TensorFlow keeps none of the pointers.
    unsafe {
        let options = (guard.new_import_options)();
        (guard.import_graph_def)(graph.as_ptr(), &raw const buffer, options, status.as_ptr());
        (guard.delete_import_options)(options);
    }
    status.into_result()
}

fn source(name: String, value: &Value) -> NodeDef {
    let dim = value.dims.iter().map(|&size| Dim { size, ..Dim::default() }).collect();
    let shape = TensorShapeProto { dim, unknown_rank: false };
    let dtype = ("dtype".to_owned(), attribute(attr_value::Value::Type(value.dtype)));
    let is_shown =
        value.is_integer() && value.elements() <= SHOWN as i64 && value.elements() * 4 <= value.bytes.len() as i64;
    let (op, more) = if is_shown {
        let tensor_content = value.bytes.clone().into();
        let tensor =
            TensorProto { dtype: value.dtype, tensor_shape: Some(shape), tensor_content, ..TensorProto::default() };
        ("Const", ("value".to_owned(), attribute(attr_value::Value::Tensor(tensor))))
    } else {
        ("Placeholder", ("shape".to_owned(), attribute(attr_value::Value::Shape(shape))))
    };
    NodeDef { name, op: op.to_owned(), attr: [dtype, more].into(), ..NodeDef::default() }
}

fn attribute(value: attr_value::Value) -> AttrValue {
    AttrValue { value: Some(value) }
}
