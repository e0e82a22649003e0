// SPDX-License-Identifier: Apache-2.0
//! What TensorFlow itself says of each op that this process knows, custom ones included.

use std::collections::HashMap;
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};

use prost::Message;
use tensorserve_protos::tensorflow::attr_value::Value;
use tensorserve_protos::tensorflow::{AttrValue, NodeDef};

use super::functions::{Functions, TfBuffer};

/// `tensorflow.OpList`.
#[derive(Message)]
struct OpList {
    #[prost(message, repeated, tag = "1")]
    ops: Vec<OpDef>,
}

/// The parts of `tensorflow.OpDef` that say whether an op can change something.
#[derive(Message)]
struct OpDef {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    inputs: Vec<ArgDef>,
    #[prost(message, repeated, tag = "4")]
    attributes: Vec<AttrDef>,
    #[prost(bool, tag = "17")]
    is_stateful: bool,
}

/// An attribute; models leave it out if it has its default.
#[derive(Message)]
struct AttrDef {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "3")]
    default: Option<AttrValue>,
}

/// An input: of one type, of as many of it as an attribute says, or of a list of types.
#[derive(Message)]
struct ArgDef {
    #[prost(int32, tag = "3")]
    dtype: i32,
    #[prost(string, tag = "4")]
    type_attr: String,
    #[prost(string, tag = "5")]
    number_attr: String,
    #[prost(string, tag = "6")]
    type_list_attr: String,
    #[prost(bool, tag = "16")]
    is_ref: bool,
}

/// The ops by name.
pub(super) struct OpRegistry(HashMap<String, OpDef>);

/// What was read last. Op libraries add to the registry.
static READ: Mutex<Option<Arc<OpRegistry>>> = Mutex::new(None);

impl OpRegistry {
    /// As it is now. The first call takes some milliseconds, and so does one after [`forget`].
    pub(super) fn get(functions: &Functions) -> Arc<OpRegistry> {
        let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(read.get_or_insert_with(|| Arc::new(OpRegistry::read(functions))))
    }

    fn read(functions: &Functions) -> OpRegistry {
        // SAFETY: the function has no requirements; what it returns is a live buffer or null, and ours to delete.
        let buffer = unsafe { (functions.get_all_op_list)() };
        if buffer.is_null() {
            return OpRegistry::of(&[]);
        }
        // SAFETY: the buffer is live, and its data is as long as it says.
        let registry = unsafe {
            let TfBuffer { data, length, .. } = *buffer;
            OpRegistry::of(if data.is_null() { &[] } else { slice::from_raw_parts(data.cast(), length) })
        };
        // SAFETY: nothing refers to the buffer any more.
        unsafe { (functions.delete_buffer)(buffer) }
        registry
    }

    /// Of a serialized list; what cannot be read knows no op.
    pub(super) fn of(op_list: &[u8]) -> OpRegistry {
        let mut ops = OpList::decode(op_list).unwrap_or_default().ops;
        // The others say nothing about the types of inputs.
        let is_asked_for = |attribute: &AttrDef| {
            let default = attribute.default.as_ref().and_then(|default| default.value.as_ref());
            matches!(default, Some(Value::Type(_) | Value::I(_)))
        };
        ops.iter_mut().for_each(|op| op.attributes.retain(is_asked_for));
        let ops = ops.into_iter();
        OpRegistry(ops.map(|op| (op.name.clone(), op)).collect())
    }

    /// Whether TensorFlow says that the op may do more than compute, since it is stateful or takes a reference to
    /// something; `None` if TensorFlow does not know it.
    pub(super) fn may_change_state(&self, op: &str) -> Option<bool> {
        self.0.get(op).map(|op| op.is_stateful || op.inputs.iter().any(|input| input.is_ref))
    }

    /// The number of the type of each input of a node; `None` if its op is not known, or it lacks an attribute.
    pub(super) fn input_types(&self, node: &NodeDef) -> Option<Vec<i32>> {
        let op = self.0.get(&node.op)?;
        let default = |name: &str| op.attributes.iter().find(|attribute| attribute.name == name)?.default.as_ref();
        let value = |name: &str| node.attr.get(name).or_else(|| default(name))?.value.as_ref();
        let mut types = Vec::with_capacity(node.input.len());
        for input in &op.inputs {
            if !input.type_list_attr.is_empty() {
                let Value::List(list) = value(&input.type_list_attr)? else { return None };
                types.extend(&list.r#type);
                continue;
            }
            let dtype = match input.type_attr.as_str() {
                "" => input.dtype,
                name => match value(name)? {
                    Value::Type(dtype) => *dtype,
                    _ => return None,
                },
            };
            let count = match input.number_attr.as_str() {
                "" => 1,
                name => match value(name)? {
                    Value::I(count) => usize::try_from(*count).ok()?,
                    _ => return None,
                },
            };
            types.extend(std::iter::repeat_n(dtype, count));
        }
        Some(types)
    }
}

/// Has the ops read again: an op library was loaded.
pub(super) fn forget() {
    *READ.lock().unwrap_or_else(PoisonError::into_inner) = None;
}
