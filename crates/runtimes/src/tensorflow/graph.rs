// SPDX-License-Identifier: Apache-2.0
//! A loaded graph and the tensors in it.

use std::collections::HashSet;
use std::ffi::{CStr, CString};

use tensorserve_tensors::{Code, Result, ServingError};

use super::functions::{Functions, TfGraph, TfOperation, TfOutput};
use super::guard;
use super::status::Status;

/// Numbers of element types above this one are reference types: handles of memory that ops may overwrite.
const LAST_VALUE_TYPE: i32 = 100;
/// Ops that give out a reference although running them changes nothing, and `Assign`, which every restore runs: a graph
/// that serves requests with it is not told apart.
const HARMLESS_REFERENCE_OPS: [&[u8]; 3] = [b"Variable", b"VariableV2", b"Assign"];

/// A graph object of TensorFlow's.
pub(super) struct Graph {
    functions: &'static Functions,
    pointer: *mut TfGraph,
    /// The nodes that have a guarded copy, which is what runs instead.
    guarded: HashSet<String>,
}

// SAFETY: the graph is changed only while a session is loaded into it, by the one thread that does that; look-ups take
// a lock inside TensorFlow.
unsafe impl Send for Graph {}
// SAFETY: as above.
unsafe impl Sync for Graph {}

/// A tensor of the graph: an operation and which of its outputs. Valid while the graph lives.
#[derive(Clone, Copy)]
pub(super) struct Port(TfOutput);

// SAFETY: operations of a loaded graph do not change; the pointer is only passed back to TensorFlow.
unsafe impl Send for Port {}
// SAFETY: as above.
unsafe impl Sync for Port {}

impl Port {
    pub(super) fn as_output(self) -> TfOutput {
        self.0
    }
}

impl Graph {
    pub(super) fn new(functions: &'static Functions) -> Self {
        // SAFETY: TF_NewGraph has no requirements and does not return null.
        Graph { functions, pointer: unsafe { (functions.new_graph)() }, guarded: HashSet::new() }
    }

    /// From now on tensors of these nodes are those of their copies.
    pub(super) fn use_guarded(&mut self, nodes: HashSet<String>) {
        self.guarded = nodes;
    }

    pub(super) fn as_ptr(&self) -> *mut TfGraph {
        self.pointer
    }

    /// The tensor of this name: `operation:output`, or `operation` for its output 0. NOT_FOUND if there is no such
    /// operation; OUT_OF_RANGE, with TensorFlow's text, if it has no such output.
    pub(super) fn port(&self, tensor_name: &str) -> Result<Port> {
        let not_found = || ServingError::not_found(format!("The graph has no tensor named \"{tensor_name}\""));
        let (name, index) = tensor_name.rsplit_once(':').unwrap_or((tensor_name, "0"));
        let index = index.parse().map_err(|_| not_found())?;
        let copy = self.guarded.contains(name).then(|| guard::name_of(name));
        let operation = self.operation(copy.as_deref().unwrap_or(name)).ok_or_else(not_found)?;
        // SAFETY: the operation belongs to the live graph.
        let outputs = unsafe { (self.functions.operation_num_outputs)(operation) };
        if (0..outputs).contains(&index) {
            return Ok(Port(TfOutput { operation, index }));
        }
        let kind = self.kind(operation).to_string_lossy();
        let text = format!("Node '{name}' (type: '{kind}', num of outputs: {outputs}) does not have output {index}");
        Err(ServingError::new(Code::OutOfRange, text))
    }

    /// The node of this name itself.
    pub(super) fn operation(&self, name: &str) -> Option<*mut TfOperation> {
        let name = CString::new(name).ok()?;
        // SAFETY: the graph is live and the name a C string.
        let operation = unsafe { (self.functions.graph_operation_by_name)(self.pointer, name.as_ptr()) };
        (!operation.is_null()).then_some(operation)
    }

    /// The op of an operation of this graph.
    fn kind(&self, operation: *mut TfOperation) -> &CStr {
        // SAFETY: the operation belongs to the live graph, and its kind is a C string that lives as long.
        unsafe { CStr::from_ptr((self.functions.operation_op_type)(operation)) }
    }

    /// The number of a tensor's element type; see `tensorflow.DataType`.
    pub(super) fn dtype_number(&self, port: Port) -> i32 {
        // SAFETY: the port's operation belongs to this live graph.
        unsafe { (self.functions.operation_output_type)(port.as_output()) }
    }

    /// The rank of a tensor that an op computes, if TensorFlow knows it; a placeholder takes any.
    pub(super) fn computed_rank(&self, port: Port) -> Option<usize> {
        if self.kind(port.0.operation).to_bytes().starts_with(b"Placeholder") {
            return None;
        }
        let status = Status::new(self.functions);
        // SAFETY: the graph, the status and the port's operation are live; -1 stands for a rank that is not known.
        let rank = unsafe { (self.functions.graph_tensor_rank)(self.pointer, port.as_output(), status.as_ptr()) };
        usize::try_from(rank).ok()
    }

    /// Whether an op of the graph writes into memory that results may share, as reference variables do (TensorFlow 1).
    /// Other state, resource variables for instance, is replaced instead while somebody holds it.
    pub(super) fn changes_results(&self) -> bool {
        let mut position = 0;
        // SAFETY: the graph is live, and `position` is where the previous call left it.
        let next = || unsafe { (self.functions.graph_next_operation)(self.pointer, &mut position) };
        let mut operations = std::iter::repeat_with(next).take_while(|operation| !operation.is_null());
        operations.any(|operation| self.overwrites(operation))
    }

    /// Whether an operation of this graph gives out references to memory that it has written into.
    fn overwrites(&self, operation: *mut TfOperation) -> bool {
        let kind = self.kind(operation);
        // SAFETY: the operation belongs to the live graph.
        let outputs = unsafe { (self.functions.operation_num_outputs)(operation) };
        let is_reference = |index| {
            // SAFETY: as above, and the operation has this output.
            unsafe { (self.functions.operation_output_type)(TfOutput { operation, index }) > LAST_VALUE_TYPE }
        };
        (0..outputs).any(is_reference) && !HARMLESS_REFERENCE_OPS.contains(&kind.to_bytes())
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: the graph is live and not used afterwards; TensorFlow keeps it as long as a session uses it.
        unsafe { (self.functions.delete_graph)(self.pointer) }
    }
}
