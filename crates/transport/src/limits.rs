// SPDX-License-Identifier: Apache-2.0
//! What a client may take of this server: bytes and time. docs/limits.md is the whole list.

/// Bounds that flags set.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest request, in bytes.
    pub max_request_bytes: usize,
    /// Largest reply, in bytes. It is refused before there is memory for it.
    pub max_reply_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_request_bytes: i32::MAX as usize, max_reply_bytes: i32::MAX as usize }
    }
}

impl Limits {
    /// Sets a bound by its name. False if there is no such bound.
    pub fn set(&mut self, name: &str, value: u64) -> bool {
        let bytes = usize::try_from(value).unwrap_or(usize::MAX);
        match name {
            "max_request_bytes" => self.max_request_bytes = bytes,
            "max_reply_bytes" => self.max_reply_bytes = bytes,
            _ => return false,
        }
        true
    }
}
