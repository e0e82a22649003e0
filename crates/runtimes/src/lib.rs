// SPDX-License-Identifier: Apache-2.0
//! Engines that load a model and compute with it, behind two traits.
//!
//! May depend on `tensors` and `protos`. The only crate with hand-written `unsafe`. Called by `servables` (run) and by
//! the control plane through `bindings` (load). Read the traits here first, then [`tensorflow`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tensorserve_protos::tensorflow::SignatureDef;
use tensorserve_tensors::{Result, ServingError, Tensor};

pub mod allocator;
pub mod attribution;
mod background;
mod descriptor;
#[cfg(feature = "python")]
pub mod dlpack;
mod memory;
pub mod tensorflow;

pub use descriptor::take_descriptor;

/// What to load, and how.
#[derive(Clone, Debug)]
pub struct LoadRequest {
    /// The version directory: a SavedModel.
    pub path: PathBuf,
    /// The meta graph is the one whose set of tags equals this set.
    pub tags: Vec<String>,
    /// Serialized `tensorflow.ConfigProto` of the session.
    pub config_proto: Vec<u8>,
    /// How much lower than requests' the priority of loading and freeing the model is: from 0, the same, to 19.
    pub niceness: i32,
    /// Where runs compute, unless `config_proto` says it.
    pub intra_op: IntraOp,
}

/// Where the parts of one operation are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IntraOp {
    /// In the engine's pool, which all models share: a single run is fastest, but runs are in each other's way.
    #[default]
    SharedPool,
    /// All of a run in the thread that runs it, if the engine can do so for this model. See [`Session::intra_op`].
    Caller,
}

/// An engine that can load models. Loading takes long and is done off the request path.
pub trait Runtime: Send + Sync {
    /// The name used in logs and metrics, such as `tensorflow`.
    fn name(&self) -> &str;

    /// The engine's version, such as `2.21.0`.
    fn version(&self) -> &str;

    /// Loads a model and makes it ready to run.
    fn load(&self, request: &LoadRequest) -> Result<Arc<dyn Session>>;
}

/// A tensor of a loaded graph, resolved once so that a run does no name look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TensorHandle(pub usize);

/// Which thread computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum InterOp {
    /// The graph runs in the calling thread: fastest for small graphs. Such a run cannot be interrupted.
    #[default]
    Caller,
    /// Independent branches of the graph run in the engine's inter-op pool.
    Pool,
}

/// Options of one run.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// Time left for the run. In [`InterOp::Pool`] it interrupts the run between any two operations; with
    /// [`InterOp::Caller`] only operations that wait without holding their thread.
    pub timeout: Option<Duration>,
    pub inter_op: InterOp,
}

/// What the time of a run follows from, as far as its graph says. Later ones say less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum RunTime {
    /// The sizes of its inputs: past runs tell how long the next one takes.
    InputSizes,
    /// The same, but for tensors whose sizes are values of the inputs: few bytes of input can ask for any memory.
    AllocatesByValue,
    /// The values of its inputs, as it has loops.
    #[default]
    InputValues,
    /// Other runs, for which it may wait, as a dequeue from an empty queue does. A timeout interrupts the waiting.
    Waits,
    /// The same, in an operation that holds its thread and that nothing interrupts, such as `Unstage`.
    Blocks,
}

impl RunTime {
    /// Whether a run may wait for others.
    pub fn may_wait(self) -> bool {
        self >= RunTime::Waits
    }
}

/// A loaded model. Runs may happen on many threads at once. Dropping it frees the model.
pub trait Session: Send + Sync {
    /// All signatures of the meta graph, by key.
    fn signature_defs(&self) -> &BTreeMap<String, SignatureDef>;

    /// The handle of a tensor such as `x:0`; NOT_FOUND if the graph has none of this name.
    fn resolve(&self, tensor_name: &str) -> Result<TensorHandle>;

    /// Computes `fetches` (in that order) from `feeds`. The leading dimension of a feed is the batch dimension wherever
    /// [`Session::may_batch`] says so. Errors of the engine keep their code and message; see [`Session::explain`].
    fn run(
        &self,
        feeds: &[(TensorHandle, Tensor)],
        fetches: &[TensorHandle],
        options: &RunOptions,
    ) -> Result<Vec<Tensor>>;

    /// Whether a tensor in the middle of a graph may be fed with this value: it must have the rank that its kernel would
    /// have given it, where that is known. For those who feed more than the inputs of signatures.
    fn check_feed(&self, _handle: TensorHandle, _value: &Tensor) -> Result<()> {
        Ok(())
    }

    /// What the time of a run of the signature with this key follows from, or of a run of any part of the graph.
    fn run_time(&self, _signature: Option<&str>) -> RunTime {
        RunTime::InputValues
    }

    /// Where runs compute.
    fn intra_op(&self) -> IntraOp {
        IntraOp::SharedPool
    }

    /// The only [`InterOp`] there is, whatever runs ask for.
    fn fixed_inter_op(&self) -> Option<InterOp> {
        None
    }

    /// Whether a run of the signature with this key may do more than compute: change a variable, write a file, wait for
    /// other runs. Nobody runs such a signature unasked.
    fn has_effects(&self, _signature: &str) -> bool {
        true
    }

    /// A serialized `tensorflow.Example` of zeros and empty strings with every feature that this signature requires, empty
    /// if it parses none; `None` if that is not known.
    fn made_up_example(&self, _signature: &str) -> Option<&[u8]> {
        None
    }

    /// Whether the signature with this key was made ready at load, so that its first run is as quick as others. Nobody runs
    /// one unasked that was not: that would take the time that was saved.
    fn is_prepared(&self, _signature: &str) -> bool {
        true
    }

    /// What is wrong with the model though it could be loaded, each in one line for the log.
    fn warnings(&self) -> &[String] {
        &[]
    }

    /// Whether [`Session::explain`] has more to say on this error of a run.
    fn can_explain(&self, _error: &ServingError) -> bool {
        false
    }

    /// The same error with more text, such as the name of the failing node. It may take several times as long as the run
    /// that failed.
    fn explain(&self, error: ServingError, _: &[(TensorHandle, Tensor)], _: &[TensorHandle]) -> ServingError {
        error
    }

    /// Whether requests for this signature may be merged along dimension 0: every input and output declares a known
    /// rank with an open leading dimension.
    fn may_batch(&self, signature: &SignatureDef) -> bool {
        let open_batch = |info: &tensorserve_protos::tensorflow::TensorInfo| {
            let shape = info.tensor_shape.as_ref();
            shape.is_some_and(|s| !s.unknown_rank && s.dim.first().is_some_and(|d| d.size == -1))
        };
        !signature.inputs.is_empty()
            && signature.inputs.values().all(open_batch)
            && signature.outputs.values().all(open_batch)
    }
}
