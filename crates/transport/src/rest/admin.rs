// SPDX-License-Identifier: Apache-2.0
//! `/v1/admin/...`: carried to the control plane, which says who may do what.

use http::header::{HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use hyper::body::Incoming;
use tensorserve_servables::{Result, ServingError};

use super::connection::collect;
use super::reply::{self, Reply};
use crate::Serving;
use crate::control::{AdminReply, AdminRequest, Peer, answered};

/// Largest body of an admin request.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Headers that tell a program of this machine from a proxy or a web page in a browser. The last stands for all of its
/// kind.
const HEADERS: [&str; 8] =
    ["authorization", "content-type", "host", "origin", "sec-fetch-site", "forwarded", "via", "x-real-ip"];
const FORWARDED: &str = "x-forwarded";

/// The reply to a request below `/v1/admin/`.
pub(super) async fn reply(head: &Parts, body: Incoming, peer: Peer, serving: &Serving) -> Result<Reply> {
    let Some(control) = serving.control.get() else { return Err(malformed(&head.method, target(head))) };
    let body = collect(body, MAX_BODY_BYTES.min(serving.options.limits.max_request_bytes)).await?;
    let answer = control.admin(AdminRequest {
        method: head.method.as_str().to_owned(),
        target: target(head).to_owned(),
        headers: headers(head),
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

fn headers(head: &Parts) -> Vec<(&'static str, String)> {
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

fn http_reply(answer: AdminReply) -> Result<Reply> {
    let wrong = || ServingError::internal("the control plane's reply is no HTTP");
    let status = StatusCode::from_u16(answer.status).map_err(|_| wrong())?;
    let content_type = HeaderValue::from_str(&answer.content_type).map_err(|_| wrong())?;
    Ok(reply::with_type(status, content_type, answer.body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(request: http::request::Builder) -> Vec<(&'static str, String)> {
        headers(&request.body(()).unwrap().into_parts().0)
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
