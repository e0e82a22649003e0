// SPDX-License-Identifier: Apache-2.0
//! Replies compressed for clients that ask for it.

use std::io::Write;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, VARY};
use http::response::Parts;
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use tensorserve_servables::execution::executor::RunTime;
use tensorserve_servables::execution::run_profile::RunProfile;
use tensorserve_servables::{Result, ServingError};

use super::format::preferred;
use super::reply::{Reply, with_type};
use crate::clerk::Clerk;
use crate::heavy;
use crate::lane::Lane;
use crate::wire::inflate::Compression;

/// Below this a reply fits one packet anyway.
const MIN_BYTES: u64 = 1024;

/// Tensors hardly get smaller with more effort, only slower.
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;

/// Compresses a large enough reply in the way that the client prefers, on an execution thread if that takes long.
pub(super) async fn compress(reply: Reply, accepted: Option<Compression>, lane: &Lane) -> Reply {
    static PROFILE: RunProfile = RunProfile::new(RunTime::InputSizes);
    let Some(compression) = accepted.filter(|_| is_worth_it(&reply)) else { return reply };
    let (head, body) = reply.into_parts();
    // The body is in memory already and has no errors.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let plain = body.clone();
    let job = move || compressed(compression, &plain);
    let smaller = heavy::work(lane, &PROFILE, body.len(), None, job).await;
    put_together(head, compression, body, smaller)
}

/// The same, by the clerk.
pub(super) async fn compress_by_clerk(reply: Reply, accepted: Option<Compression>, clerk: &Clerk) -> Reply {
    let Some(compression) = accepted.filter(|_| is_worth_it(&reply)) else { return reply };
    let (head, body) = reply.into_parts();
    // As above.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let plain = body.clone();
    let smaller = clerk.ask(move || compressed(compression, &plain)).await;
    put_together(head, compression, body, smaller)
}

/// A page of this type, compressed right here if it is worth it.
pub(super) fn page(content_type: HeaderValue, body: Bytes, accepted: Option<Compression>) -> Reply {
    let reply = with_type(StatusCode::OK, content_type, body.clone());
    let Some(compression) = accepted.filter(|_| is_worth_it(&reply)) else { return reply };
    let smaller = compressed(compression, &body);
    put_together(reply.into_parts().0, compression, body, smaller)
}

fn is_worth_it(reply: &Reply) -> bool {
    reply.body().size_hint().lower() >= MIN_BYTES && !reply.headers().contains_key(CONTENT_ENCODING)
}

fn put_together(mut head: Parts, compression: Compression, plain: Bytes, smaller: Result<Bytes>) -> Reply {
    let body = match smaller {
        Ok(smaller) if smaller.len() < plain.len() => {
            head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(compression.name()));
            smaller
        }
        _ => plain,
    };
    head.headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
    Reply::from_parts(head, Full::new(body))
}

/// What the client prefers; `None` for no compression.
pub(super) fn accepted(headers: &HeaderMap) -> Option<Compression> {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    preferred(values, |name| match name {
        "zstd" => Some(Some(Compression::Zstd)),
        "gzip" | "x-gzip" => Some(Some(Compression::Gzip)),
        "identity" => Some(None),
        _ => None,
    })
    .flatten()
}

fn compressed(compression: Compression, plain: &[u8]) -> Result<Bytes> {
    let failed = |error| ServingError::internal(format!("the reply cannot be compressed: {error}"));
    let room = Vec::with_capacity(plain.len() / 2);
    match compression {
        Compression::Zstd => zstd::bulk::compress(plain, ZSTD_LEVEL).map(Bytes::from).map_err(failed),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(room, flate2::Compression::new(GZIP_LEVEL));
            encoder.write_all(plain).and_then(|()| encoder.finish()).map(Bytes::from).map_err(failed)
        }
        Compression::Deflate => {
            let mut encoder = flate2::write::ZlibEncoder::new(room, flate2::Compression::new(GZIP_LEVEL));
            encoder.write_all(plain).and_then(|()| encoder.finish()).map(Bytes::from).map_err(failed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::inflate::inflate;

    #[test]
    fn the_preferred_known_encoding_is_chosen() {
        let cases = [
            ("gzip, deflate", Some(Compression::Gzip)),
            ("gzip, zstd", Some(Compression::Gzip)),
            ("gzip;q=0.5, zstd", Some(Compression::Zstd)),
            ("identity, gzip", None),
            ("gzip;q=0", None),
            ("br", None),
            ("*", None),
            ("", None),
        ];
        for (value, expected) in cases {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(accepted(&headers), expected, "{value}");
        }
    }

    #[test]
    fn what_is_compressed_inflates_to_the_same() {
        let text = b"tensors ".repeat(1000);
        for compression in [Compression::Gzip, Compression::Deflate, Compression::Zstd] {
            let small = compressed(compression, &text).unwrap();
            assert!(small.len() < 500);
            assert_eq!(inflate(compression, &[small], usize::MAX).unwrap(), text);
        }
    }
}
