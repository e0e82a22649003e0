// SPDX-License-Identifier: Apache-2.0
//! TensorFlow over its stable C API, in a shared library that is opened at run time.
//!
//! [`TensorFlow::open`] opens the library, `load` makes a session of a SavedModel, and a session's `run` computes. Values
//! of fixed-size elements pass in and out without a copy. Read [`TensorFlow`] first, then `session`, then `tensor`.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use tensorserve_tensors::Result;

use crate::{LoadRequest, Runtime, Session, background};

mod effects;
mod example_parser;
mod executor;
mod explainer;
mod functions;
mod graph;
mod guard;
mod handles;
mod library;
mod made_up;
mod metagraph;
mod op_registry;
mod own_pools;
mod reach;
mod rehearsal;
mod run_options;
mod run_time;
mod session;
mod shared_pools;
mod status;
mod status_text;
mod strings;
mod tensor;
mod tensor_list;
mod unset_variables;
mod version_directory;

/// TensorFlow, as installed on this machine.
pub struct TensorFlow {
    library: library::Library,
}

impl TensorFlow {
    /// Opens `libtensorflow_cc` at `path`, with `libtensorflow_framework` beside it. This takes about 0.3 s; a second
    /// opening takes none. The library is never closed.
    ///
    /// FAILED_PRECONDITION if there is no such library, if it is not TensorFlow or older than 2.12, or if this process
    /// has already opened another.
    pub fn open(path: &Path) -> Result<Arc<TensorFlow>> {
        Ok(Arc::new(TensorFlow { library: library::open(path)? }))
    }

    /// Makes the ops in a shared library known to models that are loaded from now on. They stay until the process ends.
    ///
    /// Errors are TensorFlow's, such as NOT_FOUND if there is no such library.
    pub fn load_op_library(&self, path: &Path) -> Result<()> {
        let functions = self.library.functions;
        let path = session::c_string(path.as_os_str().as_bytes())?;
        let status = status::Status::new(functions);
        // SAFETY: the path is a C string and the status live. Opening runs the library's initializers, which the
        // operator who named it answers for.
        let handle = unsafe { (functions.load_library)(path.as_ptr(), status.as_ptr()) };
        status.into_result()?;
        // SAFETY: the handle is live; deleting it frees the description of the ops, and leaves the library open.
        unsafe { (functions.delete_library_handle)(handle) }
        op_registry::forget();
        Ok(())
    }
}

impl Runtime for TensorFlow {
    fn name(&self) -> &str {
        "tensorflow"
    }

    fn version(&self) -> &str {
        self.library.version
    }

    fn load(&self, request: &LoadRequest) -> Result<Arc<dyn Session>> {
        let functions = self.library.functions;
        shared_pools::make(functions, &request.config_proto)?;
        // The threads of a pool that is the session's own would have the low priority, too.
        let niceness = if shared_pools::are_bypassed(&request.config_proto) { 0 } else { request.niceness };
        let request = LoadRequest { niceness, ..request.clone() };
        let session = background::run(niceness, move || session::SavedModelSession::load(functions, &request));
        Ok(Arc::new(session?))
    }
}
