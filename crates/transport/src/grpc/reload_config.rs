// SPDX-License-Identifier: Apache-2.0
//! HandleReloadConfigRequest: answered by the control plane, which may take as long as models take to load.
//!
//! A client that leaves, or whose deadline passes, does not stop the reload.

use std::future::poll_fn;
use std::time::Instant;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::request::Parts;
use tensorserve_servables::{Code, Result, ServingError};

use super::call::deadline;
use super::message::{self, Bounds, joined};
use crate::control::{Peer, ReloadRequest, deciding_headers, no_control_plane};
use crate::lane::Lane;
use crate::serving::answered;

pub(super) const PATH: &str = "/tensorflow.serving.ModelService/HandleReloadConfigRequest";

/// Largest configuration.
const MAX_CONFIG_BYTES: usize = 16 << 20;

/// The framed reply.
pub(super) async fn reply(
    head: &Parts,
    peer: Peer,
    body: RecvStream,
    respond: &mut SendResponse<Bytes>,
    lane: &Lane,
) -> Result<Bytes> {
    let serving = &*lane.serving;
    let deadline = deadline(head)?;
    let control = serving.control.get().ok_or_else(no_control_plane)?;
    let max_bytes = serving.options.grpc.max_receive_bytes.min(MAX_CONFIG_BYTES);
    let bounds = Bounds { start: Instant::now(), deadline, max_bytes };
    let request = message::read(head, body, lane, bounds).await?;
    let answer =
        control.reload_config(ReloadRequest { headers: deciding_headers(head), peer, body: joined(&request.pieces) });
    let reply = tokio::select! {
        answer = answered(answer, serving) => answer?,
        () = passed(deadline) => return Err(ServingError::new(Code::DeadlineExceeded, "Deadline Exceeded")),
        _ = poll_fn(|cx| respond.poll_reset(cx)) => {
            return Err(ServingError::new(Code::Cancelled, "the client ended the call"));
        }
    };
    let mut framed = message::start(reply.len(), serving.options.max_message_bytes())?;
    framed.extend_from_slice(&reply);
    Ok(framed.into())
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        None => std::future::pending().await,
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
    }
}
