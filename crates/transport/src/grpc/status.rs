// SPDX-License-Identifier: Apache-2.0
//! Replies and errors as HTTP/2 headers, data and trailers.

use bytes::Bytes;
use h2::SendStream;
use h2::server::SendResponse;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tensorserve_servables::ServingError;

use crate::access::ReplyHeaders;
use crate::client::Client;
use crate::memory::COUNTED;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const CONTENT_TYPE_GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// The original cuts its texts here, since headers are limited.
const MAX_MESSAGE_CHARS: usize = 1024;

/// Characters that `grpc-message` carries in percent encoding: all but printable ASCII, and `%` itself.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// Whether a reply can be left to the connection as it is. Others are sent as their client takes them.
pub(super) fn is_sent_at_once(message: &Bytes, client: &Client) -> bool {
    message.len() < COUNTED && !client.is_backed_up()
}

/// Sends a whole reply: headers, the framed message, and the trailers of success.
pub(super) fn send_message(
    respond: &mut SendResponse<Bytes>,
    message: Bytes,
    client: &Client,
    told: ReplyHeaders,
) -> Result<(), h2::Error> {
    client.queue(message.len());
    let mut stream = start_stream(respond, told)?;
    stream.send_data(message, false)?;
    end_stream(stream, Ok(()))
}

/// Sends the headers of a reply whose messages follow.
pub(super) fn start_stream(
    respond: &mut SendResponse<Bytes>,
    told: ReplyHeaders,
) -> Result<SendStream<Bytes>, h2::Error> {
    let mut head = Response::new(());
    head.headers_mut().insert(CONTENT_TYPE, CONTENT_TYPE_GRPC);
    told.insert_into(head.headers_mut());
    respond.send_response(head, false)
}

/// Sends the trailers: how the call ended.
pub(super) fn end_stream(mut stream: SendStream<Bytes>, outcome: Result<(), ServingError>) -> Result<(), h2::Error> {
    let mut trailers = HeaderMap::with_capacity(2);
    match outcome {
        Ok(()) => drop(trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"))),
        Err(error) => insert_error(&mut trailers, &error),
    }
    stream.send_trailers(trailers)
}

/// Sends an error: headers alone.
pub(super) fn send_error(
    respond: &mut SendResponse<Bytes>,
    error: &ServingError,
    told: ReplyHeaders,
) -> Result<(), h2::Error> {
    let mut head = Response::new(());
    let headers = head.headers_mut();
    headers.insert(CONTENT_TYPE, CONTENT_TYPE_GRPC);
    told.insert_into(headers);
    insert_error(headers, error);
    respond.send_response(head, true).map(drop)
}

/// Refuses what is no gRPC call, as HTTP: a status, and a text for whoever sees it.
pub(super) fn send_refusal(
    respond: &mut SendResponse<Bytes>,
    status: StatusCode,
    text: &'static str,
) -> Result<(), h2::Error> {
    let mut head = Response::new(());
    *head.status_mut() = status;
    head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    respond.send_response(head, false)?.send_data(Bytes::from_static(text.as_bytes()), true)
}

fn insert_error(headers: &mut HeaderMap, error: &ServingError) {
    headers.insert(GRPC_STATUS, HeaderValue::from(error.code as i32));
    let text = utf8_percent_encode(&shortened(&error.message), ESCAPED).to_string();
    if let Ok(text) = HeaderValue::try_from(text) {
        headers.insert(GRPC_MESSAGE, text);
    }
}

fn shortened(message: &str) -> std::borrow::Cow<'_, str> {
    match message.char_indices().nth(MAX_MESSAGE_CHARS) {
        None => message.into(),
        Some((end, _)) => format!("{}...TRUNCATED", &message[..end]).into(),
    }
}
