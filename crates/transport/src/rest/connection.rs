// SPDX-License-Identifier: Apache-2.0
//! One REST client: reads its requests and answers them.

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, EXPECT, HOST, HeaderValue};
use http::request::Parts;
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tensorserve_servables::metrics::Entry;
use tensorserve_servables::{Code, Result, ServingError};

use super::routes::{Route, route};
use super::{
    admin, body, classify, compress, metadata, metrics, model_status, openapi, predict, probes, regress, reply,
};
use crate::access::{self, Wanted};
use crate::account::Account;
use crate::client::{CallInFlight, Client};
use crate::control::Peer;
use crate::lane::Lane;
use crate::listener::Connection;
use crate::preface::{self, detect};
use crate::shutdown::ShutdownWatch;
use crate::wrong_port::is_grpc;

/// Bytes an HTTP/2 client may send ahead on one stream and on one connection.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Serves one client until it leaves or the server stops and its request is answered.
pub(crate) async fn serve(stream: impl Connection, peer: Peer, client: &Arc<Client>, mut stop: ShutdownWatch) {
    let (version, stream) = tokio::select! {
        biased;
        detected = detect(stream) => match detected {
            Ok(detected) => detected,
            Err(_) => return,
        },
        () = idle_at_stop(&mut stop) => return,
    };
    let own = Arc::clone(client);
    let leaving = stop.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let call = CallInFlight::take(&own);
        let leaving = leaving.clone();
        async move {
            let (head, mut body) = request.into_parts();
            let mut reply = answer(&head, &mut body, peer, call).await;
            // HTTP/2 ends the stream alone.
            if version == preface::Version::Http1 && (leaving.is_told() || !body::is_read(&head, &mut body).await) {
                reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(reply)
        }
    });
    // A connection error means that the client has left or does not speak HTTP; there is no one to answer.
    match version {
        preface::Version::Http1 => {
            let mut connection = pin!(http1_settings().serve_connection(TokioIo::new(stream), service));
            tokio::select! {
                biased;
                _ = connection.as_mut() => return,
                () = idle_at_stop(&mut stop) => connection.as_mut().graceful_shutdown(),
                () = client.told_to_end() => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        }
        preface::Version::Http2 => {
            client.speaks_http2();
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
            let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
            tokio::select! {
                biased;
                _ = connection.as_mut() => return,
                () = stop.told() => connection.as_mut().graceful_shutdown(),
                () = client.told_to_end() => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        }
    }
}

fn http1_settings() -> http1::Builder {
    /// Bytes of the head of a request, and those that are read at once.
    const MAX_HEAD: usize = 64 << 10;
    const MAX_READ: usize = 2 * MAX_HEAD;
    let mut settings = http1::Builder::new();
    settings.max_header_size(MAX_HEAD).max_buf_size(MAX_READ);
    settings
}

/// Completes when the server stops, and a client that has asked nothing had its time to.
async fn idle_at_stop(stop: &mut ShutdownWatch) {
    stop.told().await;
    tokio::time::sleep(stop.idle_time()).await;
}

async fn answer(head: &Parts, body: &mut Incoming, peer: Peer, call: CallInFlight) -> reply::Reply {
    if let Some(refusal) = refusal(head) {
        return refusal;
    }
    if let Some(asked) = metrics::asked(head, call.lane()) {
        let reply = Box::pin(metrics::reply(asked, head, call.lane())).await;
        return reply.unwrap_or_else(|error| reply::error(&error));
    }
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    let route = match route(&head.method, path) {
        Ok(Route::NotFound) if is_grpc(content_type(head)) => return reply::not_for_grpc(),
        Ok(Route::NotFound) => return probes::reply(head, &call.lane().serving).unwrap_or_else(reply::not_found),
        Ok(Route::Ready(spec)) => return probes::model(&spec.name, &call.lane().serving),
        Ok(Route::Admin) => {
            // It may wait for models to load, and must not count as work of the lane then.
            let call = call.waits();
            // In a box, so that the requests that matter stay small. No web page of another origin may read the reply.
            return Box::pin(admin::reply(head, body, peer, &call.client().lane))
                .await
                .unwrap_or_else(|error| reply::error(&error));
        }
        route => route,
    };
    let lane = &**call.lane();
    let mut account = account(&route, lane);
    let wanted = Wanted::of(&head.headers);
    let is_page = !matches!(route, Ok(Route::Predict(_) | Route::Classify(_) | Route::Regress(_)));
    let body = match is_page {
        false => body::read(head, body, lane, account.start()).await,
        true => Ok(body::RequestBody::default()),
    };
    account.received();
    let outcome = match body {
        Ok(body) => handle(route, head, &body.bytes, (lane, &mut account)).await,
        Err(error) => Err(error),
    };
    let (mut reply, code) = match outcome {
        Ok(reply) if reply.status().is_success() => (reply, Code::Ok),
        Ok(reply) => (reply, Code::InvalidArgument),
        Err(error) => (reply::error(&error), error.code),
    };
    if lane.serving.options.rest_api_enable_cors_support {
        reply::allow_any_origin(&mut reply);
    }
    let reply = compressed(reply, head, lane, is_page).await;
    let mut reply = reply::counted(reply, head, call.client()).await;
    let (timing, answered) = account.close(code);
    let log = lane.serving.options.access_log;
    let told = wanted.headers(log, code, &timing);
    access::note(log, head, (code, &timing), &told, answered);
    told.insert_into(reply.headers_mut());
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

/// The reply as the client likes it. Pages are compressed by their clerk.
async fn compressed(reply: reply::Reply, head: &Parts, lane: &Lane, is_page: bool) -> reply::Reply {
    if !lane.serving.options.rest_api_compression {
        return reply;
    }
    match compress::accepted(&head.headers) {
        None => reply,
        accepted if is_page => compress::compress_by_clerk(reply, accepted, &lane.serving.clerk).await,
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
    Account::open(&lane.serving, Some(entry), name)
}

async fn handle(
    route: Result<Route<'_>>,
    head: &Parts,
    body: &Bytes,
    (lane, account): (&Lane, &mut Account<'_>),
) -> Result<reply::Reply> {
    let serving = &*lane.serving;
    match route? {
        Route::Predict(spec) => predict::reply(spec, &head.headers, body, (lane, account)).await,
        Route::Classify(spec) => classify::reply(spec, &head.headers, body, (lane, account)).await,
        Route::Regress(spec) => regress::reply(spec, &head.headers, body, (lane, account)).await,
        Route::Status(spec) => model_status::reply(&spec, serving),
        Route::Metadata(spec) => metadata::reply(&spec, serving).await,
        Route::OpenApi => {
            let shared = Arc::clone(&lane.serving);
            serving.clerk.ask(move || openapi::reply(&shared.table)).await
        }
        Route::Docs => Ok(openapi::page()),
        Route::Options => Ok(reply::preflight(&head.headers)),
        Route::Admin | Route::Ready(_) | Route::NotFound => Ok(reply::not_found()),
    }
}
