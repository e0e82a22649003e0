// SPDX-License-Identifier: Apache-2.0
//! One REST client: reads its requests and answers them.

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HOST, HeaderValue};
use http::request::Parts;
use http::{Request, Version};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tensorserve_servables::metrics::Entry;
use tensorserve_servables::{Code, Result, ServingError};

use super::routes::{Route, route};
use super::{
    admin, classify, compress, heavy, metadata, metrics, model_status, openapi, predict, probes, regress, reply,
};
use crate::account::Account;
use crate::control::Peer;
use crate::grpc::protocol::is_grpc;
use crate::lane::{CallInFlight, Lane};
use crate::listener::Connection;
use crate::preface::{self, detect};
use crate::shutdown::ShutdownWatch;
use crate::wire::inflate::{Compression, inflate};

/// A body's announced length is believed up to here when memory is set aside for it, once its first bytes have come.
const MAX_RESERVED: usize = 1 << 20;

/// Bytes an HTTP/2 client may send ahead on one stream and on one connection.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Serves one client until it leaves or the server stops and its request is answered.
pub(crate) async fn serve(stream: impl Connection, peer: Peer, lane: &Arc<Lane>, mut stop: ShutdownWatch) {
    let (version, stream) = tokio::select! {
        biased;
        detected = detect(stream) => match detected {
            Ok(detected) => detected,
            Err(_) => return,
        },
        () = idle_at_stop(&mut stop) => return,
    };
    let lane = Arc::clone(lane);
    let leaving = stop.clone();
    let service = service_fn(move |request| {
        let call = lane.take_call();
        let leaving = leaving.clone();
        async move {
            let mut reply = answer(request, peer, call).await;
            if version == preface::Version::Http1 && leaving.is_told() {
                reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(reply)
        }
    });
    // A connection error means that the client has left or does not speak HTTP; there is no one to answer.
    match version {
        preface::Version::Http1 => {
            let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            tokio::select! {
                biased;
                _ = connection.as_mut() => return,
                () = idle_at_stop(&mut stop) => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        }
        preface::Version::Http2 => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
            let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
            tokio::select! {
                biased;
                _ = connection.as_mut() => return,
                () = stop.told() => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        }
    }
}

/// Completes when the server stops, and a client that has asked nothing had its time to.
async fn idle_at_stop(stop: &mut ShutdownWatch) {
    stop.told().await;
    tokio::time::sleep(stop.idle_time()).await;
}

async fn answer(request: Request<Incoming>, peer: Peer, call: CallInFlight) -> reply::Reply {
    let (head, body) = request.into_parts();
    if let Some(refusal) = refusal(&head) {
        return refusal;
    }
    if metrics::is_asked_for(&head, call.lane()) {
        let reply = Box::pin(metrics::reply(&head, call.lane())).await;
        return compressed(reply.unwrap_or_else(|error| reply::error(&error)), &head, call.lane()).await;
    }
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    let route = match route(&head.method, path) {
        Ok(Route::NotFound) if is_grpc(content_type(&head)) => return reply::not_for_grpc(),
        Ok(Route::NotFound) => return probes::reply(&head, &call.lane().serving).unwrap_or_else(reply::not_found),
        Ok(Route::Ready(spec)) => return probes::model(&spec.name, &call.lane().serving),
        Ok(Route::Admin) => {
            // It may wait for models to load, and must not count as work of the lane then.
            let lane = Arc::clone(call.lane());
            drop(call);
            // In a box, so that the requests that matter stay small. No web page of another origin may read the reply.
            return Box::pin(admin::reply(&head, body, peer, &lane.serving))
                .await
                .unwrap_or_else(|error| reply::error(&error));
        }
        route => route,
    };
    let lane = &**call.lane();
    let mut account = account(&route, lane);
    let (mut reply, code) = match handle(route, &head, body, (lane, &mut account)).await {
        Ok(reply) if reply.status().is_success() => (reply, Code::Ok),
        Ok(reply) => (reply, Code::InvalidArgument),
        Err(error) => (reply::error(&error), error.code),
    };
    if lane.serving.options.rest_cors {
        reply::allow_any_origin(&mut reply);
    }
    let reply = compressed(reply, &head, lane).await;
    account.close(code);
    reply
}

/// The reply to a request that is not HTTP/1.1 as it should be, or wants what this server does not do.
fn refusal(head: &Parts) -> Option<reply::Reply> {
    if head.version == Version::HTTP_11 {
        let mut hosts = head.headers.get_all(HOST).iter();
        if hosts.next().is_none() || hosts.next().is_some() {
            let error = ServingError::invalid_argument("an HTTP/1.1 request must have exactly one Host header");
            return Some(reply::error(&error));
        }
    }
    let expected = head.headers.get(EXPECT)?;
    if expected.as_bytes().eq_ignore_ascii_case(b"100-continue") {
        return None;
    }
    Some(reply::unmet_expectation())
}

fn content_type(head: &Parts) -> &[u8] {
    head.headers.get(CONTENT_TYPE).map_or(&[], HeaderValue::as_bytes)
}

/// The reply as the client likes it.
async fn compressed(reply: reply::Reply, head: &Parts, lane: &Lane) -> reply::Reply {
    if !lane.serving.options.rest_compression {
        return reply;
    }
    match compress::accepted(&head.headers) {
        None => reply,
        accepted => compress::compress(reply, accepted, lane).await,
    }
}

/// How a request is counted: every one that is for the API is, also those that it does not understand.
fn account<'a>(route: &Result<Route<'a>>, lane: &'a Lane) -> Account<'a> {
    let (entry, name) = match route {
        Ok(Route::Predict(spec)) => (Entry::RestPredict, spec.name.clone()),
        Ok(Route::Classify(spec)) => (Entry::RestClassify, spec.name.clone()),
        Ok(Route::Regress(spec)) => (Entry::RestRegress, spec.name.clone()),
        Ok(Route::Status(spec) | Route::Metadata(spec)) => (Entry::RestOther, spec.name.clone()),
        _ => (Entry::RestOther, Cow::Borrowed("")),
    };
    Account::open(&lane.serving.table, Some(entry), name)
}

async fn handle(
    route: Result<Route<'_>>,
    head: &Parts,
    body: Incoming,
    (lane, account): (&Lane, &mut Account<'_>),
) -> Result<reply::Reply> {
    let serving = &*lane.serving;
    match route? {
        Route::Predict(spec) => {
            let body = read_body(head, body, lane).await?;
            predict::reply(spec, &head.headers, &body, (lane, account)).await
        }
        Route::Classify(spec) => {
            let body = read_body(head, body, lane).await?;
            classify::reply(spec, &head.headers, &body, (lane, account)).await
        }
        Route::Regress(spec) => {
            let body = read_body(head, body, lane).await?;
            regress::reply(spec, &head.headers, &body, (lane, account)).await
        }
        Route::Status(spec) => model_status::reply(&spec, serving),
        Route::Metadata(spec) => metadata::reply(&spec, serving),
        Route::OpenApi => openapi::reply(&serving.table),
        Route::Docs => Ok(openapi::page()),
        Route::Options => Ok(reply::preflight(&head.headers)),
        Route::Admin | Route::Ready(_) | Route::NotFound => Ok(reply::not_found()),
    }
}

/// The whole body in one piece, inflated if it came compressed.
async fn read_body(head: &Parts, body: Incoming, lane: &Lane) -> Result<Bytes> {
    let max_bytes = lane.serving.options.limits.max_request_bytes;
    let body = collect(body, max_bytes).await?;
    let encoding = head.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes).unwrap_or_default();
    match Compression::in_header(encoding) {
        // A few bytes can grow large, so the size says little.
        Some(compression) => {
            heavy::work(lane, &heavy::INFLATE, body.len(), None, move || inflate(compression, &[body], max_bytes)).await
        }
        None => Ok(body),
    }
}

pub(super) async fn collect(mut body: Incoming, max_bytes: usize) -> Result<Bytes> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max_bytes {
        return Err(too_large(max_bytes));
    }
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ServingError::new(Code::Cancelled, "the request's body is incomplete"))?;
        let Ok(piece) = frame.into_data() else { continue };
        if piece.len() == announced {
            return Ok(piece);
        }
        if whole.len() + piece.len() > max_bytes {
            return Err(too_large(max_bytes));
        }
        if whole.is_empty() {
            whole.reserve_exact(announced.min(MAX_RESERVED).max(piece.len()));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.into())
}

fn too_large(max_bytes: usize) -> ServingError {
    ServingError::new(Code::ResourceExhausted, format!("the request's body has more than {max_bytes} bytes"))
}
