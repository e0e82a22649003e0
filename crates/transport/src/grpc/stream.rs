// SPDX-License-Identifier: Apache-2.0
//! Calls that answer with a stream of messages. They do not count as work of the lane, since most of the time they wait.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::request::Parts;
use tensorserve_servables::{Code, Phase, Result, ServingError};

use super::message::Messages;
use super::{health, reflection, status};
use crate::Serving;
use crate::lane::Lane;

/// The methods whose replies are streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Watch,
    Reflect,
}

impl Method {
    /// The streaming method of a path; `None` for all others.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/grpc.health.v1.Health/Watch" => Some(Method::Watch),
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
            | "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" => Some(Method::Reflect),
            _ => None,
        }
    }
}

/// The messages to the client.
pub(super) struct Replies(SendStream<Bytes>);

impl Replies {
    /// Sends one framed message as fast as the client takes it. CANCELLED if it has left.
    pub(super) async fn send(&mut self, mut message: Bytes) -> Result<()> {
        while !message.is_empty() {
            self.0.reserve_capacity(message.len());
            // Polling tells of additional capacity only.
            if self.0.capacity() == 0 {
                let more = poll_fn(|cx| self.0.poll_capacity(cx)).await;
                more.ok_or_else(client_left)?.map_err(|_| client_left())?;
                continue;
            }
            let piece = message.split_to(self.0.capacity().min(message.len()));
            self.0.send_data(piece, false).map_err(|_| client_left())?;
        }
        Ok(())
    }

    /// Completes when the client gives up the call.
    pub(super) async fn cancelled(&mut self) {
        let _ = poll_fn(|cx| self.0.poll_reset(cx)).await;
    }
}

fn client_left() -> ServingError {
    ServingError::new(Code::Cancelled, "the client ended the call")
}

/// Why a stream ends when the server does: the client shall ask another one.
pub(crate) fn stopping() -> ServingError {
    ServingError::new(Code::Unavailable, "the server is stopping")
}

/// Answers one call until its client has had enough, its deadline passes or the server stops.
pub(super) async fn answer(
    method: Method,
    head: &Parts,
    body: RecvStream,
    respond: &mut SendResponse<Bytes>,
    lane: Arc<Lane>,
    deadline: Option<Instant>,
) {
    // A failure to send means that the client has left.
    let Ok(stream) = status::start_stream(respond) else { return };
    let mut replies = Replies(stream);
    let serving = &*lane.serving;
    let requests = Messages::new(body, serving.options.grpc.max_receive_bytes);
    let work = async {
        match method {
            Method::Watch => health::watch(head, requests, &mut replies, serving).await,
            Method::Reflect => reflection::answer_all(head, requests, &mut replies, serving).await,
        }
    };
    let outcome = match deadline {
        None => work.await,
        Some(deadline) => tokio::time::timeout_at(deadline.into(), work)
            .await
            .unwrap_or_else(|_| Err(ServingError::new(Code::DeadlineExceeded, "Deadline Exceeded"))),
    };
    let _ = status::end_stream(replies.0, outcome);
}

/// Completes when the server drains.
pub(crate) async fn drained(serving: &Serving) {
    let mut changes = serving.status.changes();
    // An error means that the server is gone, which is a stop as well.
    let _ = changes.wait_for(|phase| *phase == Phase::Draining).await;
}
