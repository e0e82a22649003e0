// SPDX-License-Identifier: Apache-2.0
//! What a client may take of this server: bytes and time. docs/limits.md is the whole list.

use std::time::Duration;

/// Bounds that flags set.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest request, in bytes.
    pub max_request_bytes: usize,
    /// Largest reply, in bytes. It is refused before there is memory for it.
    pub max_reply_bytes: usize,
    /// Bytes of incomplete requests, of values that were filled up and of unread replies, of all clients together.
    pub max_buffered_bytes: usize,
    /// How long the head of an HTTP/1 request may take, and how long a client may be silent before its first. `None` for as long as
    /// it likes; the same goes for the others.
    pub header_timeout: Option<Duration>,
    /// How long a request's body, or the reading of a reply, may move less than 1 KiB a second.
    pub body_timeout: Option<Duration>,
    /// How long a connection may be without a call.
    pub idle_timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_request_bytes: i32::MAX as usize,
            max_reply_bytes: i32::MAX as usize,
            max_buffered_bytes: 4 << 30,
            header_timeout: Some(Duration::from_secs(30)),
            body_timeout: Some(Duration::from_secs(60)),
            idle_timeout: Some(Duration::from_secs(3600)),
        }
    }
}

impl Limits {
    /// Sets a bound by its name; no time is as long as the client likes. False if there is no such bound.
    pub fn set(&mut self, name: &str, value: u64) -> bool {
        let bytes = usize::try_from(value).unwrap_or(usize::MAX);
        let time = (value > 0).then(|| Duration::from_millis(value));
        match name {
            "max_request_bytes" => self.max_request_bytes = bytes,
            "max_reply_bytes" => self.max_reply_bytes = bytes,
            "max_buffered_bytes" => self.max_buffered_bytes = bytes,
            "header_timeout_ms" => self.header_timeout = time,
            "body_timeout_ms" => self.body_timeout = time,
            "idle_timeout_ms" => self.idle_timeout = time,
            _ => return false,
        }
        true
    }
}
