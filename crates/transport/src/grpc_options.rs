// SPDX-License-Identifier: Apache-2.0
//! Limits of gRPC connections: what `--grpc_channel_arguments` can change.

use std::time::Duration;

/// How gRPC clients are treated.
#[derive(Clone, Debug)]
pub struct GrpcOptions {
    /// Calls of one client that may be open at once; a client holds further ones back.
    pub max_streams: u32,
    /// Headers of a call, in bytes. Clients send metadata such as tokens in them.
    pub max_header_bytes: u32,
    /// Largest request message, in bytes.
    pub max_receive_bytes: usize,
    /// Largest reply message, in bytes.
    pub max_send_bytes: usize,
    /// How often a client is asked whether it is still there; `None` for never.
    pub keepalive_time: Option<Duration>,
    /// A client that does not answer by then is dropped.
    pub keepalive_timeout: Duration,
    /// A connection that is this old takes no further calls, so that clients spread anew over servers.
    pub max_age: Option<Duration>,
    /// How long the calls of such a connection may still take; `None` for as long as they like.
    pub max_age_grace: Option<Duration>,
}

impl Default for GrpcOptions {
    fn default() -> Self {
        GrpcOptions {
            max_streams: 4096,
            max_header_bytes: 64 << 10,
            max_receive_bytes: i32::MAX as usize,
            max_send_bytes: usize::MAX,
            keepalive_time: None,
            keepalive_timeout: Duration::from_secs(20),
            max_age: None,
            max_age_grace: None,
        }
    }
}

impl GrpcOptions {
    /// Sets an option by its name; negative numbers lift a limit. False if there is no such option.
    pub fn set(&mut self, name: &str, value: i64) -> bool {
        let bytes = usize::try_from(value).unwrap_or(usize::MAX);
        let count = u32::try_from(value).unwrap_or(u32::MAX);
        let millis = u64::try_from(value).ok().map(Duration::from_millis);
        match name {
            "max_streams" => self.max_streams = count,
            "max_header_bytes" => self.max_header_bytes = count,
            "max_receive_bytes" => self.max_receive_bytes = bytes,
            "max_send_bytes" => self.max_send_bytes = bytes,
            "keepalive_time_ms" => self.keepalive_time = millis,
            "keepalive_timeout_ms" => self.keepalive_timeout = millis.unwrap_or(Duration::MAX),
            "max_age_ms" => self.max_age = millis,
            "max_age_grace_ms" => self.max_age_grace = millis,
            _ => return false,
        }
        true
    }
}
