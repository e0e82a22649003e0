// SPDX-License-Identifier: Apache-2.0
//! A loaded SavedModel.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::{ptr, slice};

use smallvec::SmallVec;
use tensorserve_protos::tensorflow::SignatureDef;
use tensorserve_tensors::{Result, ServingError, Tensor};

use super::executor;
use super::explainer::{self, Explainer};
use super::functions::{Functions, TfBuffer, TfOutput, TfSession, TfSessionOptions};
use super::graph::Graph;
use super::guard;
use super::handles::Handles;
use super::made_up::{self, Harmless};
use super::metagraph::{self, MetaGraph};
use super::op_registry::OpRegistry;
use super::own_pools::{self, OwnPool};
use super::rehearsal;
use super::run_options::SerializedRunOptions;
use super::run_time::RunTimes;
use super::status::Status;
use super::tensor::{self, OwnedTensor};
use super::tensor_list::{INLINE, TensorList};
use super::{unset_variables, version_directory};
use crate::attribution::{self, Subject};
use crate::memory::Reclaim;
use crate::{InterOp, IntraOp, LoadRequest, RunOptions, RunTime, Session, TensorHandle, background};

/// A session over the graph of a SavedModel.
pub(super) struct SavedModelSession {
    running: RunningSession,
    graph: Graph,
    handles: Handles,
    signature_defs: BTreeMap<String, SignatureDef>,
    run_times: RunTimes,
    /// If it was asked to compute in the thread of each run, and does.
    own_pool: Option<OwnPool>,
    harmless: Harmless,
    /// Whom a supervisor would blame.
    subject: Subject,
    warnings: Vec<String>,
    /// Tensors without elements may have any dimensions.
    takes_any_empty: bool,
    /// Results must be copied, because a later run may write into their memory.
    copy_results: bool,
    /// Completes the error texts of the single-threaded executor.
    explainer: Option<Box<Explainer>>,
    /// The last field, so that everything else is gone when this returns its memory.
    _reclaim: Reclaim,
}

impl SavedModelSession {
    /// Loads a model, restores its variables, runs its initialization, and prepares its signatures. Errors are
    /// TensorFlow's.
    pub(super) fn load(functions: &'static Functions, request: &LoadRequest) -> Result<Self> {
        let intra_op = if own_pools::are_possible(functions) { request.intra_op } else { IntraOp::SharedPool };
        if let Some((lean, intra_op)) = executor::lean_options(&request.path, &request.config_proto, intra_op) {
            let tried = Self::load_with(functions, request, &lean, intra_op).and_then(|session| {
                rehearsal::rehearse(&session)?;
                let explainer = Some(Box::new(Explainer::new(functions, request.clone())));
                Ok(SavedModelSession { explainer, ..session })
            });
            if !tried.as_ref().is_err_and(executor::is_unsuited) {
                return tried;
            }
        }
        let session = Self::load_with(functions, request, &request.config_proto, IntraOp::SharedPool)?;
        rehearsal::rehearse(&session)?;
        Ok(session)
    }

    /// Loads a model with these session options, and no more. They say how many threads compute; for
    /// [`IntraOp::Caller`] they ask for one, which the session gets for itself.
    pub(super) fn load_with(
        functions: &'static Functions,
        request: &LoadRequest,
        config_proto: &[u8],
        intra_op: IntraOp,
    ) -> Result<Self> {
        let (mut subject, _loading) = attribution::loading(&request.path);
        let options = SessionOptions::new(functions, config_proto)?;
        let mut graph = Graph::new(functions);
        let meta_graph_def = MetaGraphBuffer::new(functions);
        let load = || RunningSession::load(functions, request, &options, &graph, &meta_graph_def);
        let (running, own_pool) = own_pools::load(functions, intra_op == IntraOp::Caller, load);
        let running = running?;
        let meta_graph = MetaGraph::read(meta_graph_def.bytes())?;
        let registry = OpRegistry::get(functions);
        let mut warnings = unset_variables::warnings(&meta_graph);
        match guard::place(functions, &graph, &meta_graph, meta_graph_def.bytes(), &registry).and_then(|nodes| {
            running.settle()?;
            Ok(nodes)
        }) {
            Ok(nodes) => graph.use_guarded(nodes),
            Err(error) => warnings.push(format!("A request may end the process, for which there is no guard: {error}")),
        }
        drop(meta_graph_def);
        // A signature may name a tensor that is not there; whoever wants to use it is told so.
        let handles = Handles::new(&graph, metagraph::tensor_names(&meta_graph.signature_def));
        let run_times = RunTimes::of(&meta_graph);
        let harmless = made_up::harmless(&meta_graph, &registry);
        let takes_any_empty = guard::takes_any_empty(&meta_graph);
        let signature_defs = meta_graph.signature_def;
        subject.set_signatures(metagraph::tensors_of(&signature_defs, |name| handles.resolve(&graph, name).ok()));
        let copy_results = graph.changes_results();
        let explainer = None;
        let _reclaim = Reclaim { bytes: version_directory::file_bytes(&request.path) };
        Ok(SavedModelSession {
            running,
            graph,
            handles,
            signature_defs,
            run_times,
            own_pool,
            harmless,
            subject,
            warnings,
            takes_any_empty,
            copy_results,
            explainer,
            _reclaim,
        })
    }
}

impl SavedModelSession {
    fn run_call(&self, call: &Call, options: &RunOptions) -> Result<TensorList> {
        let asked = if self.explainer.is_some() { &executor::LEAN_RUN } else { options };
        self.running.run(call, asked)
    }

    fn values(&self, mut results: TensorList) -> Result<Vec<Tensor>> {
        let value = |result: Option<OwnedTensor>| {
            let result = result.ok_or_else(|| ServingError::internal("A result of the run has no value"))?;
            tensor::fetched(result, self.copy_results)
        };
        results.drain().map(value).collect()
    }

    /// The number of the element type that the graph takes or gives at `handle`.
    pub(super) fn dtype_number(&self, handle: TensorHandle) -> Result<i32> {
        Ok(self.graph.dtype_number(self.handles.snapshot().get(handle)?))
    }
}

impl Session for SavedModelSession {
    fn signature_defs(&self) -> &BTreeMap<String, SignatureDef> {
        &self.signature_defs
    }

    fn check_feed(&self, handle: TensorHandle, value: &Tensor) -> Result<()> {
        let port = self.handles.snapshot().get(handle)?;
        match self.graph.computed_rank(port) {
            Some(rank) if rank != value.shape().rank() => Err(ServingError::invalid_argument(format!(
                "Tensor {} must be {rank}-dimensional, but is fed with the shape {}",
                self.handles.name(handle).unwrap_or_default(),
                value.shape()
            ))),
            _ => Ok(()),
        }
    }

    fn run_time(&self, signature: Option<&str>) -> RunTime {
        self.run_times.get(signature)
    }

    fn intra_op(&self) -> IntraOp {
        if self.own_pool.is_some() { IntraOp::Caller } else { IntraOp::SharedPool }
    }

    fn fixed_inter_op(&self) -> Option<InterOp> {
        // Lean runs do not ask.
        self.explainer.is_some().then_some(InterOp::Caller)
    }

    fn has_effects(&self, signature: &str) -> bool {
        !self.harmless.contains_key(signature)
    }

    fn made_up_example(&self, signature: &str) -> Option<&[u8]> {
        self.harmless.get(signature)?.as_deref()
    }

    fn is_prepared(&self, signature: &str) -> bool {
        rehearsal::is_for(signature, &self.signature_defs)
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn resolve(&self, tensor_name: &str) -> Result<TensorHandle> {
        self.handles.resolve(&self.graph, tensor_name)
    }

    fn run(
        &self,
        feeds: &[(TensorHandle, Tensor)],
        fetches: &[TensorHandle],
        options: &RunOptions,
    ) -> Result<Vec<Tensor>> {
        let call = self.prepare(feeds, fetches)?;
        let _running = self.subject.running(feeds, fetches)?;
        self.values(self.run_call(&call, options)?)
    }

    fn can_explain(&self, error: &ServingError) -> bool {
        self.explainer.is_some() && explainer::lacks_node(error)
    }

    #[cold]
    fn explain(&self, error: ServingError, feeds: &[(TensorHandle, Tensor)], fetches: &[TensorHandle]) -> ServingError {
        let Some(explainer) = self.explainer.as_ref().filter(|_| explainer::lacks_node(&error)) else { return error };
        let named = |(handle, value): &(TensorHandle, Tensor)| Some((self.handles.name(*handle)?, value.clone()));
        let feeds = feeds.iter().map(named).collect::<Option<Vec<_>>>();
        let fetches = fetches.iter().map(|handle| self.handles.name(*handle)).collect::<Option<Vec<_>>>();
        match (feeds, fetches) {
            (Some(feeds), Some(fetches)) => explainer.explain(error, &feeds, &fetches),
            _ => error,
        }
    }
}

type Ports = SmallVec<[TfOutput; INLINE]>;

/// What one run is given, in TensorFlow's terms.
struct Call {
    inputs: Ports,
    /// The value of each input.
    values: TensorList,
    outputs: Ports,
}

impl SavedModelSession {
    fn prepare(&self, feeds: &[(TensorHandle, Tensor)], fetches: &[TensorHandle]) -> Result<Call> {
        let (functions, handles) = (self.running.functions, self.handles.snapshot());
        let mut inputs = Ports::with_capacity(feeds.len());
        let mut values = TensorList::empty(functions, 0);
        for (handle, value) in feeds {
            inputs.push(handles.get(*handle)?.as_output());
            if !self.takes_any_empty {
                tensor::check_empty(value.shape())?;
            }
            values.push(tensor::feed(functions, value)?);
        }
        let mut outputs = Ports::with_capacity(fetches.len());
        for handle in fetches {
            outputs.push(handles.get(*handle)?.as_output());
        }
        Ok(Call { inputs, values, outputs })
    }
}

/// The session object of TensorFlow's.
struct RunningSession {
    functions: &'static Functions,
    pointer: *mut TfSession,
    /// See [`LoadRequest::niceness`].
    niceness: i32,
}

// SAFETY: TensorFlow's sessions may be used on any thread, and run on many threads at once.
unsafe impl Send for RunningSession {}
// SAFETY: as above.
unsafe impl Sync for RunningSession {}

impl RunningSession {
    fn load(
        functions: &'static Functions,
        request: &LoadRequest,
        options: &SessionOptions,
        graph: &Graph,
        meta_graph_def: &MetaGraphBuffer,
    ) -> Result<Self> {
        let path = c_string(request.path.as_os_str().as_bytes())?;
        let tags = request.tags.iter().map(|tag| c_string(tag.as_bytes())).collect::<Result<Vec<_>>>()?;
        let tags: Vec<*const c_char> = tags.iter().map(|tag| tag.as_ptr()).collect();
        // Restoring and initializing are runs, too: in the shared pool they would hold up the requests that use it.
        let in_this_thread = SerializedRunOptions::new(&RunOptions::default());
        let in_this_thread = in_this_thread.as_ref().map(SerializedRunOptions::buffer);
        let status = Status::new(functions);
        // SAFETY: every pointer is to a live object of the right kind; the graph and the buffer are new and empty, as
        // they must be. TensorFlow reads the run options during the call only.
        let pointer = unsafe {
            (functions.load_session_from_saved_model)(
                options.pointer,
                in_this_thread.as_ref().map_or(ptr::null(), ptr::from_ref),
                path.as_ptr(),
                tags.as_ptr(),
                tags.len() as c_int,
                graph.as_ptr(),
                meta_graph_def.pointer,
                status.as_ptr(),
            )
        };
        status.into_result()?;
        let session = RunningSession { functions, pointer, niceness: request.niceness };
        session.settle()?;
        Ok(session)
    }

    /// Tells the session that its graph stays as it is, so that runs need not take the graph's lock to see whether it
    /// has grown.
    fn settle(&self) -> Result<()> {
        let status = Status::new(self.functions);
        if let Some(extend_session) = self.functions.extend_session {
            // SAFETY: the session and the status are live.
            unsafe { extend_session(self.pointer, status.as_ptr()) }
        }
        status.into_result()
    }

    fn run(&self, call: &Call, options: &RunOptions) -> Result<TensorList> {
        let options = SerializedRunOptions::new(options);
        let options = options.as_ref().map(SerializedRunOptions::buffer);
        let mut results = TensorList::empty(self.functions, call.outputs.len());
        let status = Status::new(self.functions);
        // SAFETY: the session and its graph are live, and so is all that the pointers point to; each length is the
        // number of elements there. TensorFlow keeps none of the pointers. It hands each result over, or leaves null if
        // the run fails. What could change a result's elements is told by `Graph::changes_results`, and then
        // `tensor::fetched` copies them at once.
        unsafe {
            (self.functions.session_run)(
                self.pointer,
                options.as_ref().map_or(ptr::null(), ptr::from_ref),
                call.inputs.as_ptr(),
                call.values.as_ptr(),
                call.values.len(),
                call.outputs.as_ptr(),
                results.as_mut_ptr(),
                results.len(),
                ptr::null(),
                0,
                ptr::null_mut(),
                status.as_ptr(),
            );
        }
        status.into_result()?;
        Ok(results)
    }
}

impl Drop for RunningSession {
    fn drop(&mut self) {
        let last = LastUse { functions: self.functions, pointer: self.pointer };
        background::run(self.niceness, move || last.free());
    }
}

/// A session that nobody else uses any more.
struct LastUse {
    functions: &'static Functions,
    pointer: *mut TfSession,
}

// SAFETY: TensorFlow's sessions may be freed on any thread.
unsafe impl Send for LastUse {}

impl LastUse {
    fn free(self) {
        let status = Status::new(self.functions);
        // SAFETY: the session is live, no run is under way (each borrows its `RunningSession`), and it is not used
        // afterwards.
        unsafe {
            (self.functions.close_session)(self.pointer, status.as_ptr());
            (self.functions.delete_session)(self.pointer, status.as_ptr());
        }
    }
}

/// The options of a session to be.
pub(super) struct SessionOptions {
    functions: &'static Functions,
    pointer: *mut TfSessionOptions,
}

impl SessionOptions {
    /// INVALID_ARGUMENT if `config_proto` is not a serialized `tensorflow.ConfigProto`.
    pub(super) fn new(functions: &'static Functions, config_proto: &[u8]) -> Result<Self> {
        // SAFETY: TF_NewSessionOptions has no requirements and does not return null.
        let options = SessionOptions { functions, pointer: unsafe { (functions.new_session_options)() } };
        let status = Status::new(functions);
        let (data, len) = (config_proto.as_ptr().cast(), config_proto.len());
        // SAFETY: the objects are live, and `data` is `len` bytes.
        unsafe { (functions.set_config)(options.pointer, data, len, status.as_ptr()) }
        status.into_result()?;
        Ok(options)
    }

    pub(super) fn as_ptr(&self) -> *const TfSessionOptions {
        self.pointer
    }
}

impl Drop for SessionOptions {
    fn drop(&mut self) {
        // SAFETY: the object is live, and not used afterwards.
        unsafe { (self.functions.delete_session_options)(self.pointer) }
    }
}

/// Where TensorFlow puts the serialized meta graph of the model that it loads.
struct MetaGraphBuffer {
    functions: &'static Functions,
    pointer: *mut TfBuffer,
}

impl MetaGraphBuffer {
    fn new(functions: &'static Functions) -> Self {
        // SAFETY: TF_NewBuffer has no requirements and does not return null.
        MetaGraphBuffer { functions, pointer: unsafe { (functions.new_buffer)() } }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the buffer is live and filled at most once, before this is called; its data is as long as it says.
        unsafe {
            let TfBuffer { data, length, .. } = *self.pointer;
            if data.is_null() { &[] } else { slice::from_raw_parts(data.cast(), length) }
        }
    }
}

impl Drop for MetaGraphBuffer {
    fn drop(&mut self) {
        // SAFETY: the object is live, and not used afterwards.
        unsafe { (self.functions.delete_buffer)(self.pointer) }
    }
}

/// INVALID_ARGUMENT if there is a zero byte within.
pub(super) fn c_string(bytes: &[u8]) -> Result<CString> {
    CString::new(bytes)
        .map_err(|error| ServingError::invalid_argument(format!("{:?}: {error}", String::from_utf8_lossy(bytes))))
}
