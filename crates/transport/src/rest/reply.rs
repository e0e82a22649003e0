// SPDX-License-Identifier: Apache-2.0
//! HTTP responses, and errors as JSON.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, HeaderMap,
    HeaderValue, RETRY_AFTER,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use tensorserve_servables::{Code, Result, ServingError};
use tensorserve_tensors::json::encode_error;

use super::format::BodyFormat;
use crate::client::Client;
use crate::memory::COUNTED;

pub(super) type Reply = Response<Full<Bytes>>;

/// Why a body that does not come is not waited for. HTTP has a status of its own for that.
pub(super) const TOO_SLOW: &str = "the request's body came too slowly (--client_body_timeout_seconds)";

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Seconds after which a server that is busy may have time.
const SOON: HeaderValue = HeaderValue::from_static("1");
const HTML: HeaderValue = HeaderValue::from_static("text/html");
const NOT_FOUND_PAGE: &str =
    "<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n";

/// A buffer for a body of `len` bytes; RESOURCE_EXHAUSTED if these are more than `max_bytes`.
pub(super) fn start(len: usize, max_bytes: usize) -> Result<Vec<u8>> {
    if len > max_bytes {
        let message = format!("the reply is longer than {max_bytes} bytes");
        return Err(ServingError::new(Code::ResourceExhausted, message));
    }
    Ok(Vec::with_capacity(len))
}

pub(super) fn json(body: impl Into<Bytes>) -> Reply {
    with_type(StatusCode::OK, JSON, body.into())
}

/// Tensors in a form other than JSON.
pub(super) fn binary(format: BodyFormat, body: Bytes) -> Reply {
    with_type(StatusCode::OK, format.header(), body)
}

pub(super) fn html(body: &'static str) -> Reply {
    with_type(StatusCode::OK, HeaderValue::from_static("text/html; charset=utf-8"), Bytes::from_static(body.as_bytes()))
}

/// `{"error": "..."}` with the HTTP status of the code.
pub(super) fn error(error: &ServingError) -> Reply {
    let status = if error.message == TOO_SLOW { StatusCode::REQUEST_TIMEOUT } else { http_status(error.code) };
    let mut reply = with_type(status, JSON, encode_error(shortened(&error.message)).into());
    if error.code == Code::Unavailable {
        reply.headers_mut().insert(RETRY_AFTER, SOON);
    }
    reply
}

/// Texts may repeat names that a client sent; this much is enough to see which.
fn shortened(message: &str) -> &str {
    const MAX_BYTES: usize = 64 << 10;
    let end = (0..=message.len().min(MAX_BYTES)).rfind(|&at| message.is_char_boundary(at));
    &message[..end.unwrap_or_default()]
}

/// The reply to an `Expect` header that asks for anything but `100-continue`.
pub(super) fn unmet_expectation() -> Reply {
    let text = encode_error("of the Expect header this server knows 100-continue");
    with_type(StatusCode::EXPECTATION_FAILED, JSON, text.into())
}

/// The reply to a gRPC call, which its client shows as an error.
pub(super) fn not_for_grpc() -> Reply {
    let mut reply = with_type(StatusCode::OK, HeaderValue::from_static("application/grpc"), Bytes::new());
    let unimplemented = HeaderValue::from(Code::Unimplemented as i32);
    let hint = "this is the port of HTTP/REST (--rest_api_port); gRPC is on the one of --port";
    reply.headers_mut().insert("grpc-status", unimplemented);
    reply.headers_mut().insert("grpc-message", HeaderValue::from_static(hint));
    reply
}

/// The page for paths outside of the API.
pub(super) fn not_found() -> Reply {
    with_type(StatusCode::NOT_FOUND, HTML, Bytes::from_static(NOT_FOUND_PAGE.as_bytes()))
}

/// The answer to OPTIONS: good for requests that come from a web page, which say so in `Origin`.
pub(super) fn preflight(headers: &HeaderMap) -> Reply {
    let origin = headers.get("origin").map(HeaderValue::as_bytes).unwrap_or_default();
    let from_page =
        [&b"http://"[..], b"https://"].iter().any(|scheme| origin.windows(scheme.len()).any(|w| w == *scheme));
    let status = if from_page { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    with_type(status, HeaderValue::from_static("text/html; charset=ISO-8859-1"), Bytes::new())
}

/// Lets web pages of any origin read the reply.
pub(super) fn allow_any_origin(reply: &mut Reply) {
    let headers = reply.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type"));
}

/// A reply of any status and type.
pub(super) fn with_type(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

/// The same reply, which its client is about to get. A large one counts as kept until it is sent; if it cannot be kept, that is
/// the reply. Of the reply to HEAD the body is not sent.
pub(super) async fn counted(reply: Reply, request: &Parts, client: &Client) -> Reply {
    if request.method == Method::HEAD {
        return reply;
    }
    let len = usize::try_from(reply.body().size_hint().lower()).unwrap_or(usize::MAX);
    client.queue(len);
    if len < COUNTED {
        return reply;
    }
    let (head, body) = reply.into_parts();
    // The body is in memory already and has no errors.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    match client.lane.serving.memory.keep(body) {
        Ok(body) => Reply::from_parts(head, Full::new(body)),
        Err(exhausted) => error(&exhausted),
    }
}

fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
    }
}
