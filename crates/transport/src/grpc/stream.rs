// SPDX-License-Identifier: Apache-2.0
//! Calls that answer with a stream of messages. They do not count as work of the lane, since most of the time they wait.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::request::Parts;
use tensorserve_servables::{Code, ServingError};

use super::call::MAX_SMALL_MESSAGE;
use super::message::Messages;
use super::replies::Replies;
use super::{health, reflection, status};
use crate::access::ReplyHeaders;
use crate::client::Client;

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

/// Answers one call until its client has had enough, its deadline passes or the server stops.
pub(super) async fn answer(
    method: Method,
    head: &Parts,
    body: RecvStream,
    respond: &mut SendResponse<Bytes>,
    client: &Arc<Client>,
    deadline: Option<Instant>,
) {
    // A failure to send means that the client has left.
    let Ok(stream) = status::start_stream(respond, ReplyHeaders::default()) else { return };
    let mut replies = Replies::new(stream, Arc::clone(client));
    let serving = &*client.lane.serving;
    let requests = Messages::new(body, serving.options.grpc.max_receive_bytes.min(MAX_SMALL_MESSAGE));
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
    let _ = replies.end(outcome);
}
