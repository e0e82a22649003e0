// SPDX-License-Identifier: Apache-2.0
//! The outcome of a call into TensorFlow.

use tensorserve_tensors::{Code, Result, ServingError};

use super::functions::{Functions, TfStatus};
use super::status_text;

/// A status object; OK until a call records something else.
pub(super) struct Status {
    functions: &'static Functions,
    pointer: *mut TfStatus,
}

impl Status {
    pub(super) fn new(functions: &'static Functions) -> Self {
        // SAFETY: TF_NewStatus has no requirements and does not return null.
        Status { functions, pointer: unsafe { (functions.new_status)() } }
    }

    /// For a call that records its outcome here. Valid while this object lives.
    pub(super) fn as_ptr(&self) -> *mut TfStatus {
        self.pointer
    }

    /// TensorFlow's code and message, unchanged, unless the outcome is OK.
    pub(super) fn into_result(self) -> Result<()> {
        self.result()
    }

    /// The outcome of the last call. The object may be given to another one.
    pub(super) fn result(&self) -> Result<()> {
        // SAFETY: the pointer is the live status object made in `new`.
        let code = Code::from_i32(unsafe { (self.functions.get_code)(self.pointer) });
        if code == Code::Ok {
            return Ok(());
        }
        // SAFETY: as above; the status does not change any more.
        let text = unsafe { status_text::text(self.functions, self.pointer) };
        Err(ServingError::new(code, String::from_utf8_lossy(text)))
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        // SAFETY: the pointer is the live status object made in `new`; nothing uses it afterwards.
        unsafe { (self.functions.delete_status)(self.pointer) }
    }
}
