// SPDX-License-Identifier: Apache-2.0
//! What TensorFlow itself says of each op that this process knows, custom ones included.

use std::collections::HashMap;
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};

use prost::Message;

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
    #[prost(bool, tag = "17")]
    is_stateful: bool,
}

#[derive(Message)]
struct ArgDef {
    #[prost(bool, tag = "16")]
    is_ref: bool,
}

/// The ops by name: whether one is stateful, or takes a reference to something that it may change.
pub(super) struct OpRegistry(HashMap<String, bool>);

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
        let ops = OpList::decode(op_list).unwrap_or_default().ops.into_iter();
        OpRegistry(ops.map(|op| (op.name, op.is_stateful || op.inputs.iter().any(|input| input.is_ref))).collect())
    }

    /// Whether TensorFlow says that the op may do more than compute; `None` if it does not know it.
    pub(super) fn may_change_state(&self, op: &str) -> Option<bool> {
        self.0.get(op).copied()
    }
}

/// Has the ops read again: an op library was loaded.
pub(super) fn forget() {
    *READ.lock().unwrap_or_else(PoisonError::into_inner) = None;
}
