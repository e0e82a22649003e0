// SPDX-License-Identifier: Apache-2.0
//! The bodies of requests: read at their clients' pace, within bounds, and inflated.

use std::pin::pin;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, EXPECT, HeaderValue};
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tensorserve_servables::{Code, Result, ServingError};

use super::reply;
use crate::heavy;
use crate::lane::Lane;
use crate::memory::Held;
use crate::pace::{Pace, at_once};
use crate::wire::inflate::{Compression, inflate};

/// A body's announced length is believed up to here when memory is set aside for it, once its first bytes have come.
const MAX_RESERVED: usize = 1 << 20;

/// A body in one piece, and what it takes of the server's memory.
#[derive(Default)]
pub(super) struct RequestBody {
    pub(super) bytes: Bytes,
    /// `None` for one that was there at once.
    held: Option<Held>,
}

/// The whole body, inflated if it came compressed.
pub(super) async fn read(head: &Parts, body: &mut Incoming, lane: &Lane, start: Instant) -> Result<RequestBody> {
    let limits = &lane.serving.options.limits;
    let max_bytes = limits.max_request_bytes;
    let body = collect(body, max_bytes, lane, start).await?;
    let encoding = head.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes).unwrap_or_default();
    let Some(compression) = Compression::in_header(encoding) else { return Ok(body) };
    let RequestBody { bytes, held } = body;
    // A few bytes can grow large, so the size says little.
    let job = move || inflate(compression, &[bytes], max_bytes);
    let bytes = heavy::work(lane, &heavy::INFLATE, 0, None, job).await?;
    let held = match held {
        Some(mut held) => held.grow(bytes.len()).map(|()| held)?,
        None => lane.serving.memory.hold(bytes.len())?,
    };
    Ok(RequestBody { bytes, held: Some(held) })
}

/// Reads a body of at most `max_bytes`. DEADLINE_EXCEEDED if it comes too slowly.
pub(super) async fn collect(body: &mut Incoming, max_bytes: usize, lane: &Lane, start: Instant) -> Result<RequestBody> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max_bytes {
        return Err(too_large(max_bytes));
    }
    let mut pace = Pace::new(start, lane.serving.options.limits.body_timeout, None);
    let (mut whole, mut held) = (Vec::new(), None);
    loop {
        let mut step = pin!(body.frame());
        let frame = match at_once(step.as_mut()).await {
            Some(frame) => frame,
            None => pace.within(step).await.map_err(|_| too_slow())?,
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| ServingError::new(Code::Cancelled, "the request's body is incomplete"))?;
        let Ok(piece) = frame.into_data() else { continue };
        if piece.len() == announced {
            return Ok(RequestBody { bytes: piece, held: None });
        }
        if whole.len() + piece.len() > max_bytes {
            return Err(too_large(max_bytes));
        }
        pace.moved(piece.len());
        match &mut held {
            None => held = Some(lane.serving.memory.hold(piece.len())?),
            Some(held) => held.grow(piece.len())?,
        }
        if whole.is_empty() {
            whole.reserve_exact(announced.min(MAX_RESERVED).max(piece.len()));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(RequestBody { bytes: whole.into(), held })
}

/// Whether a body was read to its end, or what is left of it is there already and little. What is not read is in the way of the
/// next request, so that the connection cannot be used again.
pub(super) async fn is_read(head: &Parts, body: &mut Incoming) -> bool {
    /// Bytes that are not worth another connection.
    const LITTLE: usize = 64 << 10;
    let mut left = 0;
    while !body.is_end_stream() {
        // Looking for it would ask the client for it.
        if head.headers.contains_key(EXPECT) || left > LITTLE {
            return false;
        }
        match at_once(pin!(body.frame())).await {
            Some(Some(Ok(frame))) => left += frame.data_ref().map_or(0, Bytes::len),
            Some(None) => return true,
            Some(Some(Err(_))) | None => return false,
        }
    }
    true
}

fn too_large(max_bytes: usize) -> ServingError {
    ServingError::new(Code::ResourceExhausted, format!("the request's body has more than {max_bytes} bytes"))
}

fn too_slow() -> ServingError {
    ServingError::new(Code::DeadlineExceeded, reply::TOO_SLOW)
}
