// SPDX-License-Identifier: Apache-2.0
//! `/v1/admin/...`: carried to the control plane, which says who may do what.

use std::time::Instant;

use http::header::HeaderValue;
use http::request::Parts;
use http::{Method, StatusCode};
use hyper::body::Incoming;
use tensorserve_servables::{Result, ServingError};

use super::body::collect;
use super::reply::{self, Reply};
use crate::control::{AdminReply, AdminRequest, Peer, deciding_headers};
use crate::lane::Lane;
use crate::serving::answered;

/// Largest body of an admin request.
const MAX_BODY_BYTES: usize = 1 << 20;

/// The reply to a request below `/v1/admin/`.
pub(super) async fn reply(head: &Parts, body: &mut Incoming, peer: Peer, lane: &Lane) -> Result<Reply> {
    let serving = &*lane.serving;
    let Some(control) = serving.control.get() else { return Err(malformed(&head.method, target(head))) };
    let max_bytes = MAX_BODY_BYTES.min(serving.options.limits.max_request_bytes);
    let body = collect(body, max_bytes, lane, Instant::now()).await?.bytes;
    let answer = control.admin(AdminRequest {
        method: head.method.as_str().to_owned(),
        target: target(head).to_owned(),
        headers: deciding_headers(head),
        peer,
        body,
    });
    http_reply(answered(answer, serving).await?)
}

fn target(head: &Parts) -> &str {
    head.uri.path_and_query().map_or("", |path| path.as_str())
}

/// What the original says of such a path.
fn malformed(method: &Method, target: &str) -> ServingError {
    ServingError::invalid_argument(format!("Malformed request: {method} {target}"))
}

fn http_reply(answer: AdminReply) -> Result<Reply> {
    let wrong = || ServingError::internal("the control plane's reply is no HTTP");
    let status = StatusCode::from_u16(answer.status).map_err(|_| wrong())?;
    let content_type = HeaderValue::from_str(&answer.content_type).map_err(|_| wrong())?;
    Ok(reply::with_type(status, content_type, answer.body))
}
