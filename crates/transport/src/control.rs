// SPDX-License-Identifier: Apache-2.0
//! The slow path: what the control plane answers, off the request path.
//!
//! Requests come from lanes, which must not wait for it: an answer is a future, and only few may be open at once.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use http::request::Parts;
use tensorserve_servables::{Code, Result, ServingError};

/// An answer that the control plane gives when it has one. Dropping it says that nobody waits any more; what was
/// begun is finished all the same.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// Decides what is served. Its methods return at once.
pub trait ControlPlane: Send + Sync {
    /// Answers a `ReloadConfigRequest` with a `ReloadConfigResponse`.
    fn reload_config(&self, request: ReloadRequest) -> Answer<Bytes>;

    /// Answers a request below `/v1/admin/`.
    fn admin(&self, request: AdminRequest) -> Answer<AdminReply>;
}

/// Where a client's connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Another machine, as far as the connection tells.
    Remote,
    /// This machine, over TCP.
    Loopback,
    /// A UNIX socket.
    Socket,
}

impl Peer {
    /// How Python calls it.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Remote => "remote",
            Peer::Loopback => "loopback",
            Peer::Socket => "socket",
        }
    }
}

/// A call of `HandleReloadConfigRequest`.
#[derive(Clone, Debug)]
pub struct ReloadRequest {
    /// As those of an [`AdminRequest`].
    pub headers: Vec<(&'static str, String)>,
    pub peer: Peer,
    /// The serialized message.
    pub body: Bytes,
}

/// A request of the admin API.
#[derive(Clone, Debug)]
pub struct AdminRequest {
    pub method: String,
    /// Path with the query string, as it came.
    pub target: String,
    /// Those that decide who may do what; names in lower case, repeated ones joined by commas.
    pub headers: Vec<(&'static str, String)>,
    pub peer: Peer,
    pub body: Bytes,
}

/// The reply to an [`AdminRequest`].
#[derive(Clone, Debug)]
pub struct AdminReply {
    /// HTTP status.
    pub status: u16,
    pub content_type: String,
    pub body: Bytes,
}

/// Headers that tell a program of this machine from a proxy or a web page in a browser. The last stands for all of its
/// kind.
const HEADERS: [&str; 8] =
    ["authorization", "content-type", "host", "origin", "sec-fetch-site", "forwarded", "via", "x-real-ip"];
const FORWARDED: &str = "x-forwarded";

/// The headers of a request that decide who may do what.
pub(crate) fn deciding_headers(head: &Parts) -> Vec<(&'static str, String)> {
    let mut found: Vec<_> =
        HEADERS.into_iter().filter_map(|name| joined(&head.headers, name).map(|value| (name, value))).collect();
    // HTTP/2 names the host in the URI, as does HTTP/1 with an absolute one.
    if let Some(authority) = head.uri.authority() {
        found.retain(|(name, value)| *name != "host" || value != authority.as_str());
        found.push(("host", authority.as_str().to_owned()));
    }
    if head.headers.keys().any(|name| name.as_str().starts_with(FORWARDED)) {
        found.push((FORWARDED, "yes".to_owned()));
    }
    found
}

fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).map(String::from_utf8_lossy).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// Holds the control plane, once there is one and until the server stops.
#[derive(Default)]
pub struct ControlSlot(RwLock<Option<Arc<dyn ControlPlane>>>);

impl ControlSlot {
    pub fn set(&self, control: Option<Arc<dyn ControlPlane>>) {
        let before = std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), control);
        // Outside of the lock, since it may end a thread.
        drop(before);
    }

    pub(crate) fn get(&self) -> Option<Arc<dyn ControlPlane>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Why a call is not answered when nobody decides what is served.
pub(crate) fn no_control_plane() -> ServingError {
    ServingError::new(Code::Unimplemented, "this server's models cannot be changed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(request: http::request::Builder) -> Vec<(&'static str, String)> {
        deciding_headers(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn headers_that_decide_are_passed_on() {
        let request = http::Request::builder()
            .uri("/v1/admin/models")
            .header("Host", "localhost")
            .header("Host", "evil.example")
            .header("X-Forwarded-Proto", "https")
            .header("Accept", "*/*");
        let expected = [("host", "localhost, evil.example"), ("x-forwarded", "yes")];
        assert_eq!(found(request), expected.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn the_authority_of_the_uri_is_a_host_too() {
        let request = http::Request::builder().uri("http://evil.example/v1/admin/models");
        assert_eq!(found(request), [("host", "evil.example".to_owned())]);
        let request = http::Request::builder().uri("http://evil.example/v1/admin/models").header("Host", "localhost");
        assert_eq!(found(request), [("host", "localhost".to_owned()), ("host", "evil.example".to_owned())]);
    }
}
