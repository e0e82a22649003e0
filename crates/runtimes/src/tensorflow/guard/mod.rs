// SPDX-License-Identifier: Apache-2.0
//! Keeps requests from ending the process.
//!
//! Some kernels of TensorFlow end the process if an input has a rank, a size or a value that they did not expect. So a
//! loaded graph gets a second version of whatever depends on such a kernel, in which an op of ours stands before it:
//! [`kernel`] looks at what arrives, whichever way it came there (a request, a batch, a branch, a loop), and fails the
//! run with INVALID_ARGUMENT. [`table`] says which kernels, and what they need; [`ranks`] where nothing can go wrong, so
//! that a network of a hundred convolutions is looked at once; [`rewrite`] makes the nodes. A graph without such kernels
//! is left as it is.

use std::collections::HashSet;
use std::ffi::CString;

use prost::Message;
use tensorserve_protos::tensorflow::MetaGraphDef;
use tensorserve_tensors::{Result, ServingError};

use super::functions::{Functions, TfBuffer, TfOutput};
use super::graph::Graph;
use super::metagraph::{MetaGraph, Node};
use super::op_registry::OpRegistry;
use super::reach::{Index, Scope};
use super::status::Status;
pub(super) use c_api::GuardFunctions;
use rewrite::Copies;

mod c_api;
mod declared;
pub(super) mod kernel;
mod needs;
mod ranks;
mod rewrite;
mod shape_function;
mod table;
mod values;

/// What the names of the copied nodes begin with.
const PREFIX: &str = "tensorserve_guard";

/// The name of a node's copy.
pub(super) fn name_of(node: &str) -> String {
    format!("{PREFIX}/{node}")
}

/// Whether tensors without elements do no harm in any dimensions: whatever the signatures need does no more than hand
/// values on and compute element by element. Other kernels reserve memory by a dimension, or multiply them.
pub(super) fn takes_any_empty(meta_graph: &MetaGraph) -> bool {
    let Some(graph) = &meta_graph.graph else { return false };
    let index = Index::new(graph);
    let copes = |node: &&Node| table::TAKES_ANY_EMPTY.contains(&node.op.as_str()) || index.is_function(&node.op);
    meta_graph.signature_def.values().all(|def| index.needed(def).iter().flat_map(Scope::values).all(copes))
}

/// Adds guarded copies of nodes to a graph that a session was loaded into. Gives the names of those that have one; the
/// session has yet to be told that its graph has grown.
pub(super) fn place(
    functions: &'static Functions,
    graph: &Graph,
    meta_graph: &MetaGraph,
    bytes: &[u8],
    registry: &OpRegistry,
) -> Result<HashSet<String>> {
    if !meta_graph.ops().any(table::has) {
        return Ok(HashSet::new());
    }
    let Some(guard) = kernel::registered(functions) else {
        return Err(ServingError::internal("no op can be registered"));
    };
    let decoded = MetaGraphDef::decode(bytes).map_err(|error| ServingError::internal(error.to_string()))?;
    let Some(graph_def) = decoded.graph_def else { return Ok(HashSet::new()) };
    let copies = rewrite::copies(graph_def, registry);
    if !copies.graph.node.is_empty() {
        import(functions, guard, graph, &copies)?;
    }
    Ok(copies.names)
}

fn import(functions: &'static Functions, guard: &GuardFunctions, graph: &Graph, copies: &Copies) -> Result<()> {
    let bytes = copies.graph.encode_to_vec();
    let buffer = TfBuffer { data: bytes.as_ptr().cast(), length: bytes.len(), deallocator: None };
    let prefix = CString::new(PREFIX).map_err(|error| ServingError::internal(error.to_string()))?;
    let (mut names, mut mapped) = (Vec::new(), Vec::new());
    for (name, index) in &copies.inputs {
        mapped.push((graph.operation(name).ok_or_else(|| missing(name))?, *index));
        names.push(c_name(name)?);
    }
    let status = Status::new(functions);
    // SAFETY: the options are live until they are deleted below, and so are the names, the buffer and the graph; its
    // operations are the graph's own. TensorFlow copies what it keeps.
    unsafe {
        let options = (guard.new_import_options)();
        (guard.import_set_prefix)(options, prefix.as_ptr());
        for (name, (operation, index)) in names.iter().zip(&mapped) {
            match index {
                Some(index) => {
                    let to = TfOutput { operation: *operation, index: *index };
                    (guard.import_add_mapping)(options, name.as_ptr(), *index, to);
                }
                None => (guard.import_remap_control)(options, name.as_ptr(), *operation),
            }
        }
        (guard.import_graph_def)(graph.as_ptr(), &raw const buffer, options, status.as_ptr());
        (guard.delete_import_options)(options);
    }
    status.into_result()
}

fn missing(name: &str) -> ServingError {
    ServingError::internal(format!("the loaded graph has no node {name}"))
}

fn c_name(name: &str) -> Result<CString> {
    CString::new(name).map_err(|error| ServingError::internal(error.to_string()))
}
