// SPDX-License-Identifier: Apache-2.0
//! Which of TensorFlow's executors a model gets.
//!
//! The default executor schedules every op as a closure, so that branches can run in parallel. A small graph has no
//! branches worth that; TensorFlow's single-threaded executor runs it as a plain list of kernels, which takes less
//! time around the kernels. It cannot run control flow, reference types, or graphs on several devices.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use prost::Message;
use tensorserve_protos::tensorflow::ConfigProto;
use tensorserve_protos::tensorflow::config_proto::Experimental;
use tensorserve_tensors::ServingError;

use super::metagraph::{MetaGraph, SavedModel};
use super::{rehearsal, run_time, version_directory};
use crate::{InterOp, IntraOp, RunOptions};

/// The options of every run of a session with [`lean_options`]: nothing for TensorFlow to read, since the session runs in
/// the calling thread anyway.
pub(super) const LEAN_RUN: RunOptions = RunOptions { timeout: None, inter_op: InterOp::Pool };

const SINGLE_THREADED: &str = "SINGLE_THREADED_EXECUTOR";

/// Graphs in larger files may have branches that are worth to be run in parallel.
const MAX_FILE_BYTES: u64 = 64 << 10;
const MAX_NODES: usize = 256;

/// A model with more bytes of variables is not loaded a second time for its error texts.
const MAX_VARIABLE_BYTES: u64 = 16 << 20;

/// Ops that the single-threaded executor cannot run, that are turned into such ones, or that run other graphs in ways
/// that could. Ops that wait are no better there: runs without a time limit cannot be interrupted.
const UNSUITABLE_OPS: [&str; 21] = [
    "Case",
    "Enter",
    "Exit",
    "For",
    "If",
    "LoopCond",
    "MapDefun",
    "Merge",
    "NextIteration",
    "RefEnter",
    "RefExit",
    "RefMerge",
    "RefNextIteration",
    "RefSwitch",
    "RemoteCall",
    "StatelessCase",
    "StatelessIf",
    "StatelessWhile",
    "Switch",
    "While",
    "_While",
];

/// The session options with which a model is tried first, if it is small and simple; `None` if only the given ones will
/// do, among them options that already choose an executor.
///
/// With [`IntraOp::Caller`] all of a run happens in one thread, which is said by the second result; not if the options
/// choose a number of threads.
pub(super) fn lean_options(
    version_directory: &Path,
    config_proto: &[u8],
    intra_op: IntraOp,
) -> Option<(Vec<u8>, IntraOp)> {
    let mut config = ConfigProto::decode(config_proto).ok()?;
    let experimental = config.experimental.get_or_insert_with(Experimental::default);
    if !experimental.executor_type.is_empty() || !is_small_and_simple(version_directory) {
        return None;
    }
    experimental.executor_type = SINGLE_THREADED.to_owned();
    // Runs happen in the calling thread without each having to ask for it.
    config.inter_op_parallelism_threads = -1;
    let intra_op = if config.intra_op_parallelism_threads == 0 { intra_op } else { IntraOp::SharedPool };
    if intra_op == IntraOp::Caller {
        config.intra_op_parallelism_threads = 1;
    }
    Some((config.encode_to_vec(), intra_op))
}

/// Whether `error` says that a graph cannot be run by the single-threaded executor.
pub(super) fn is_unsuited(error: &ServingError) -> bool {
    error.message.contains("ingle-threaded executor does not support")
}

fn is_small_and_simple(version_directory: &Path) -> bool {
    if version_directory::variable_bytes(version_directory).is_none_or(|bytes| bytes > MAX_VARIABLE_BYTES) {
        return false;
    }
    let Some(model) = read_small_model(&version_directory.join("saved_model.pb")) else { return false };
    model.meta_graphs.iter().all(is_suitable)
}

fn is_suitable(graph: &MetaGraph) -> bool {
    let suits = |op: &str| !UNSUITABLE_OPS.contains(&op) && !run_time::of_op(op).may_wait();
    // Only a rehearsal tells for certain, so that all signatures must have one.
    let rehearsed = graph.signature_def.keys().all(|name| rehearsal::is_for(name, &graph.signature_def));
    rehearsed && graph.ops().count() <= MAX_NODES && graph.ops().all(suits)
}

fn read_small_model(path: &Path) -> Option<SavedModel> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).ok()?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return None;
    }
    SavedModel::decode(&*bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tensorserve_protos::tensorflow::{
        FunctionDef, FunctionDefLibrary, GraphDef, MetaGraphDef, NodeDef, SavedModel,
    };
    use tensorserve_tensors::Code;

    use super::{
        ConfigProto, Experimental, File, IntraOp, MAX_NODES, MAX_VARIABLE_BYTES, Message, Path, SINGLE_THREADED,
    };
    use super::{ServingError, is_unsuited, lean_options};

    fn node(op: &str) -> NodeDef {
        NodeDef { name: op.to_owned(), op: op.to_owned(), ..Default::default() }
    }

    /// What [`lean_options`] says of a model with these nodes, in the graph or in a function of it.
    fn options_for(
        name: &str,
        in_graph: Vec<NodeDef>,
        in_function: Vec<NodeDef>,
        config: &ConfigProto,
    ) -> Option<ConfigProto> {
        let function = FunctionDef { node_def: in_function, ..Default::default() };
        let library = FunctionDefLibrary { function: vec![function], ..Default::default() };
        let graph = GraphDef { node: in_graph, library: Some(library), ..Default::default() };
        let meta_graph = MetaGraphDef { graph_def: Some(graph), ..Default::default() };
        let model = SavedModel { meta_graphs: vec![meta_graph], ..Default::default() };
        let folder = std::env::temp_dir().join(format!("tensorserve-executor-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("saved_model.pb"), model.encode_to_vec()).expect("a file");
        let options = lean_options(&folder, &config.encode_to_vec(), IntraOp::SharedPool);
        let single = lean_options(&folder, &config.encode_to_vec(), IntraOp::Caller);
        fs::remove_dir_all(&folder).expect("the folder is ours");
        let decoded = |(bytes, _): (Vec<u8>, IntraOp)| ConfigProto::decode(&*bytes).expect("a message");
        if let Some((bytes, intra_op)) = single {
            let chosen = config.intra_op_parallelism_threads;
            let expected = if chosen == 0 { (1, IntraOp::Caller) } else { (chosen, IntraOp::SharedPool) };
            assert_eq!((decoded((bytes, intra_op)).intra_op_parallelism_threads, intra_op), expected);
        }
        options.map(decoded)
    }

    #[test]
    fn a_small_graph_gets_the_single_threaded_executor_beside_its_own_options() {
        let config = ConfigProto { intra_op_parallelism_threads: 3, ..Default::default() };
        let options = options_for("small", vec![node("Mul")], vec![node("AddV2")], &config).expect("suited");
        assert_eq!(options.experimental.expect("set").executor_type, SINGLE_THREADED);
        assert_eq!(options.intra_op_parallelism_threads, 3);
        assert_eq!(options.inter_op_parallelism_threads, -1);
    }

    #[test]
    fn control_flow_and_large_graphs_keep_the_default() {
        let config = ConfigProto::default();
        assert!(options_for("switch", vec![node("Switch")], vec![], &config).is_none());
        assert!(options_for("while", vec![], vec![node("While")], &config).is_none());
        assert!(options_for("large", vec![node("Mul"); MAX_NODES + 1], vec![], &config).is_none());
        assert!(lean_options(Path::new("/nowhere"), &[], IntraOp::Caller).is_none());
    }

    #[test]
    fn many_variables_keep_the_default() {
        let folder = std::env::temp_dir().join(format!("tensorserve-variables-{}", std::process::id()));
        fs::create_dir_all(folder.join("variables")).expect("a folder");
        let shard = File::create(folder.join("variables/shard")).expect("a file");
        fs::write(folder.join("saved_model.pb"), SavedModel::default().encode_to_vec()).expect("a file");
        assert!(lean_options(&folder, &[], IntraOp::Caller).is_some());
        shard.set_len(MAX_VARIABLE_BYTES + 1).expect("a sparse file");
        let options = lean_options(&folder, &[], IntraOp::Caller);
        fs::remove_dir_all(&folder).expect("the folder is ours");
        assert!(options.is_none());
    }

    #[test]
    fn a_chosen_executor_stays() {
        let experimental = Experimental { executor_type: "DEFAULT".to_owned(), ..Default::default() };
        let config = ConfigProto { experimental: Some(experimental), ..Default::default() };
        assert!(options_for("chosen", vec![node("Mul")], vec![], &config).is_none());
    }

    #[test]
    fn the_executors_refusal_is_known_by_its_text() {
        let text = "Single-threaded executor does not support reference-typed edges.";
        assert!(is_unsuited(&ServingError::new(Code::Unimplemented, text)));
        assert!(!is_unsuited(&ServingError::internal("something else")));
    }
}
