// SPDX-License-Identifier: Apache-2.0
//! The thread pools that all sessions share.
//!
//! TensorFlow makes them for the first session of the process, by that session's options and in the thread that makes it:
//! their threads have its priority for ever. A load has a low priority, and a small model asks for a single thread, so
//! an empty session with the configured options comes before both.

use std::sync::{Mutex, PoisonError};

use prost::Message;
use tensorserve_protos::tensorflow::ConfigProto;
use tensorserve_tensors::Result;

use super::functions::Functions;
use super::graph::Graph;
use super::session::SessionOptions;
use super::status::Status;

static MADE: Mutex<bool> = Mutex::new(false);

/// Makes the pools if this process has none yet. INVALID_ARGUMENT if `config_proto` is not a `tensorflow.ConfigProto`.
pub(super) fn make(functions: &'static Functions, config_proto: &[u8]) -> Result<()> {
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if !*made {
        let options = SessionOptions::new(functions, config_proto)?;
        let (graph, status) = (Graph::new(functions), Status::new(functions));
        // SAFETY: all objects are live.
        let session = unsafe { (functions.new_session)(graph.as_ptr(), options.as_ptr(), status.as_ptr()) };
        status.into_result()?;
        let status = Status::new(functions);
        // SAFETY: the session is live, nothing runs in it, and it is not used afterwards.
        unsafe { (functions.delete_session)(session, status.as_ptr()) };
        *made = true;
    }
    Ok(())
}

/// Whether sessions with these options start threads of their own.
pub(super) fn are_bypassed(config_proto: &[u8]) -> bool {
    ConfigProto::decode(config_proto)
        .is_ok_and(|config| config.use_per_session_threads || !config.session_inter_op_thread_pool.is_empty())
        || std::env::var_os("TF_OVERRIDE_GLOBAL_THREADPOOL").is_some()
}
