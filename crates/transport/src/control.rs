// SPDX-License-Identifier: Apache-2.0
//! The slow path: what the control plane answers, off the request path.
//!
//! Requests come from lanes, which must not wait for it: an answer is a future, and only few may be open at once.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use tensorserve_servables::{Code, Result, ServingError};

use crate::Serving;
use crate::grpc::stream::{drained, stopping};

/// An answer that the control plane gives when it has one. Dropping it says that nobody waits any more; what was
/// begun is finished all the same.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// Decides what is served. Its methods return at once.
pub trait ControlPlane: Send + Sync {
    /// Answers a serialized `ReloadConfigRequest` with a `ReloadConfigResponse`.
    fn reload_config(&self, request: Bytes) -> Answer<Bytes>;

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

/// The answer, or UNAVAILABLE if the server stops before there is one.
pub(crate) async fn answered<T>(answer: Answer<T>, serving: &Serving) -> Result<T> {
    tokio::select! {
        answer = answer => answer,
        () = drained(serving) => Err(stopping()),
    }
}

/// Why a call is not answered when nobody decides what is served.
pub(crate) fn no_control_plane() -> ServingError {
    ServingError::new(Code::Unimplemented, "this server's models cannot be changed")
}
