// SPDX-License-Identifier: Apache-2.0
//! Clients that have the port of the other protocol, or speak what only resembles gRPC: how they are known.

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Method, StatusCode};

/// Why a request is no call; `None` for those that are. The status is HTTP's, as gRPC over HTTP/2 asks for.
pub(crate) fn refusal(head: &Parts) -> Option<(StatusCode, &'static str)> {
    let content_type = head.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    if !is_grpc(content_type) {
        return Some((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "This port speaks gRPC: content-type must be application/grpc. JSON is for the port of --rest_api_port.\n",
        ));
    }
    (head.method != Method::POST).then_some((StatusCode::METHOD_NOT_ALLOWED, "gRPC calls are POST requests.\n"))
}

/// `application/grpc`, also with `+proto` or parameters; gRPC-Web is another protocol.
pub(crate) fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let Some((head, tail)) = content_type.split_at_checked(GRPC.len()) else { return false };
    head.eq_ignore_ascii_case(GRPC) && matches!(tail.first(), None | Some(b'+' | b';' | b' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_grpc_is_grpc() {
        for good in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc;x",
            "Application/gRPC",
            "application/grpc+json",
        ] {
            assert!(is_grpc(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "application/json",
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/grpcx",
            "application/grp",
            " application/grpc",
            "application/x-protobuf",
            "text/plain, application/grpc",
        ] {
            assert!(!is_grpc(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn calls_are_posts() {
        let of = |method: &str, content_type: Option<&str>| {
            let builder = http::Request::builder().method(method);
            let builder = content_type.into_iter().fold(builder, |builder, value| builder.header(CONTENT_TYPE, value));
            refusal(&builder.body(()).unwrap().into_parts().0).map(|(status, _)| status.as_u16())
        };
        assert_eq!(of("POST", Some("application/grpc")), None);
        assert_eq!(of("GET", Some("application/grpc")), Some(405));
        assert_eq!(of("POST", Some("text/plain")), Some(415));
        assert_eq!(of("GET", None), Some(415));
    }
}
