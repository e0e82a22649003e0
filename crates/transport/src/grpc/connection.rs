// SPDX-License-Identifier: Apache-2.0
//! One gRPC client: accepts its calls and answers them.
//!
//! All calls that have arrived are taken first, then each is worked on, then the replies are written together. A call
//! that cannot be finished at once (its message is not complete, or its model takes long) goes on as a task of its own.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, Connection as H2Connection, SendResponse};
use http::Request;
use http::request::Parts;
use tokio::io::AsyncWriteExt;

use super::replies::Replies;
use super::stream::{self, Method};
use super::{call as grpc_call, lifetime, message, reload_config, status};
use crate::access::{self, ReplyHeaders, Wanted};
use crate::client::{CallInFlight, Client, OpenCall};
use crate::control::Peer;
use crate::listener::Connection;
use crate::pace::Pace;
use crate::preface::{Replayed, Version, detect};
use crate::shutdown::ShutdownWatch;
use crate::wrong_port;
use tensorserve_servables::{Code, Result, ServingError};

/// Bytes a client may send ahead on one stream and on one connection.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Large frames mean few pieces for a large tensor.
const MAX_FRAME: u32 = 1 << 20;

/// Calls worked on before their replies are written.
const MAX_ROUND: usize = 64;

type Call = (Request<RecvStream>, SendResponse<Bytes>, CallInFlight);

/// The calls of one client that were taken and not begun yet.
struct Calls {
    peer: Peer,
    taken: Vec<Call>,
}

/// Serves one client until it leaves or the server stops and its calls are done.
pub(crate) async fn serve(stream: impl Connection, peer: Peer, client: &Arc<Client>, mut stop: ShutdownWatch) {
    let lane = &client.lane;
    let options = &lane.serving.options.grpc;
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_concurrent_streams(options.max_streams)
        .max_header_list_size(options.max_header_bytes)
        .max_pending_accept_reset_streams(1024)
        .max_send_buffer_size(1 << 20);
    let detected = tokio::select! {
        biased;
        detected = detect(stream) => detected,
        () = stop.told() => return,
    };
    let stream = match detected {
        Ok((Version::Http2, stream)) => stream,
        Ok((Version::Http1, stream)) => return answer_http1(stream).await,
        Err(_) => return,
    };
    // A client that does not speak HTTP/2 is dropped; there is no call to answer.
    let Ok(mut connection) = builder.handshake(stream).await else { return };
    client.speaks_http2();
    let mut lost = pin!(lifetime::lost(connection.ping_pong(), options));
    let mut calls = Calls { peer, taken: Vec::new() };
    let flag = stop.clone();
    let is_old = {
        let (mut told, mut aged) = (pin!(stop.told()), pin!(lifetime::aged(options)));
        let mut ended = pin!(client.told_to_end());
        // Polled once, so that a stop wakes this task; from then on the flags tell.
        let mut watching = false;
        let stopping = poll_fn(|cx| {
            if lost.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            if !watching || flag.is_told() || client.is_ending() {
                watching = true;
                if told.as_mut().poll(cx).is_ready() || ended.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Some(false));
                }
            }
            if aged.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Some(true));
            }
            poll_calls(&mut connection, client, &mut calls, cx).map(|()| None)
        });
        let Some(is_old) = stopping.await else { return };
        is_old
    };
    connection.graceful_shutdown();
    let mut grace_over = pin!(lifetime::grace_over(options));
    poll_fn(|cx| {
        if lost.as_mut().poll(cx).is_ready() || is_old && grace_over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        poll_calls(&mut connection, client, &mut calls, cx)
    })
    .await;
}

/// Tells a client of HTTP/1 that it has the wrong port. Other bytes, such as those of TLS, are not answered.
async fn answer_http1(mut stream: Replayed<impl Connection>) {
    const TEXT: &str = "This port speaks gRPC over HTTP/2. HTTP/REST is on the port of --rest_api_port.\n";
    if !stream.looks_like_http1() {
        return;
    }
    let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length";
    let reply = format!("{head}: {}\r\n\r\n{TEXT}", TEXT.len());
    // A failure means that the client has left.
    let _ = stream.write_all(reply.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Works on calls until none is left to take; ready when the connection has ended.
fn poll_calls(
    connection: &mut H2Connection<impl Connection, Bytes>,
    client: &Arc<Client>,
    calls: &mut Calls,
    cx: &mut Context<'_>,
) -> Poll<()> {
    loop {
        let ended = take_calls(connection, client, calls, cx);
        if calls.taken.is_empty() {
            return if ended { Poll::Ready(()) } else { Poll::Pending };
        }
        let peer = calls.peer;
        for call in calls.taken.drain(..) {
            start(call, peer, cx);
        }
    }
}

/// Takes the calls that have arrived; true if no further ones will come.
fn take_calls(
    connection: &mut H2Connection<impl Connection, Bytes>,
    client: &Arc<Client>,
    calls: &mut Calls,
    cx: &mut Context<'_>,
) -> bool {
    while calls.taken.len() < MAX_ROUND {
        match connection.poll_accept(cx) {
            Poll::Ready(Some(Ok((request, respond)))) => {
                calls.taken.push((request, respond, CallInFlight::take(client)))
            }
            Poll::Ready(Some(Err(_)) | None) => return true,
            Poll::Pending => return false,
        }
    }
    false
}

/// Works on a call right here as far as that goes; what is left becomes a task.
fn start((request, respond, call): Call, peer: Peer, cx: &mut Context<'_>) {
    let mut work: Pin<Box<_>> = Box::pin(answer(request, respond, call, peer));
    if work.as_mut().poll(cx).is_pending() {
        tokio::spawn(work);
    }
}

/// Answers one call. A panic in it becomes INTERNAL for this call only.
async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, call: CallInFlight, peer: Peer) {
    let (head, body) = request.into_parts();
    if let Some((status, text)) = wrong_port::refusal(&head) {
        // A failure to send means that the client has left.
        let _ = status::send_refusal(&mut respond, status, text);
        return Box::pin(message::drain(body)).await;
    }
    if let Some(method) = Method::of(head.uri.path()) {
        // In a box, so that the calls that matter stay small.
        return Box::pin(answer_stream(method, head, body, respond, call.waits())).await;
    }
    if head.uri.path() == reload_config::PATH {
        return Box::pin(answer_reload(head, peer, body, respond, call.waits())).await;
    }
    let mut account = grpc_call::account(&head, &call.lane().serving);
    let wanted = Wanted::of(&head.headers);
    let urgency = grpc_call::urgency(&head, account.start());
    let reply = async {
        match &urgency {
            Ok(urgency) => grpc_call::reply(&head, body, call.lane(), (*urgency, &mut account)).await,
            Err(error) => Err(error.clone()),
        }
    };
    let log = call.lane().serving.options.access_log;
    let Some(reply) = unless_given_up(guarded(reply), &mut respond).await else {
        let (timing, answered) = account.close(Code::Cancelled);
        let headers = wanted.headers(log, Code::Cancelled, &timing);
        return access::note(log, &head, (Code::Cancelled, &timing), &headers, answered);
    };
    let memory = &call.lane().serving.memory;
    let reply = reply.and_then(|message| match call.client().is_backed_up() {
        false => memory.keep(message),
        true => memory.keep_any(message),
    });
    let code = reply.as_ref().map_or_else(|error| error.code, |_| Code::Ok);
    let (timing, answered) = account.close(code);
    let headers = wanted.headers(log, code, &timing);
    access::note(log, &head, (code, &timing), &headers, answered);
    // A failure to send means that the client has left.
    let _ = match reply {
        Ok(message) if status::is_sent_at_once(&message, call.client()) => {
            status::send_message(&mut respond, message, call.client(), headers)
        }
        Ok(message) => {
            let deadline = urgency.map_or(None, |urgency| urgency.deadline);
            return Box::pin(send_slowly(respond, (message, headers), call.waits(), deadline)).await;
        }
        Err(error) => status::send_error(&mut respond, &error, headers),
    };
}

/// Sends a reply as fast as its client takes it, until its deadline.
async fn send_slowly(
    mut respond: SendResponse<Bytes>,
    (message, headers): (Bytes, ReplyHeaders),
    call: OpenCall,
    deadline: Option<Instant>,
) {
    let patience = call.client().lane.serving.options.limits.body_timeout;
    // A failure to begin means that the client has left.
    let Ok(stream) = status::start_stream(&mut respond, headers) else { return };
    let mut replies = Replies::new(stream, Arc::clone(call.client()));
    let pace = Pace::new(Instant::now(), patience, deadline);
    match replies.send_paced(message, pace).await {
        Ok(()) => drop(replies.end(Ok(()))),
        Err(error) if error.code == Code::DeadlineExceeded => replies.give_up(),
        Err(_) => {}
    }
}

/// What `work` gives; `None` if the client gives the call up before. Work that is dropped leaves the queue for a run.
async fn unless_given_up<T>(work: impl Future<Output = T>, respond: &mut SendResponse<Bytes>) -> Option<T> {
    let mut work = pin!(work);
    // Most calls are done at once, and need not ask.
    let mut waits = false;
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending if !std::mem::replace(&mut waits, true) => Poll::Pending,
        Poll::Pending => respond.poll_reset(cx).map(|_| None),
    })
    .await
}

/// Answers one call with a stream of messages.
async fn answer_stream(
    method: Method,
    head: Parts,
    body: RecvStream,
    mut respond: SendResponse<Bytes>,
    call: OpenCall,
) {
    let work = async {
        let deadline = grpc_call::deadline(&head)?;
        stream::answer(method, &head, body, &mut respond, call.client(), deadline).await;
        Ok(())
    };
    if let Err(error) = guarded(work).await {
        // It fails if the stream had begun, which then ends with it.
        let _ = status::send_error(&mut respond, &error, ReplyHeaders::default());
    }
}

/// Answers one call that waits for models to load; meanwhile it does not count as work of the lane.
async fn answer_reload(head: Parts, peer: Peer, body: RecvStream, mut respond: SendResponse<Bytes>, call: OpenCall) {
    let reply = guarded(reload_config::reply(&head, peer, body, &mut respond, &call.client().lane)).await;
    // A failure to send means that the client has left.
    let _ = match reply {
        Ok(message) => status::send_message(&mut respond, message, call.client(), ReplyHeaders::default()),
        Err(error) => status::send_error(&mut respond, &error, ReplyHeaders::default()),
    };
}

/// Turns a panic into INTERNAL.
async fn guarded<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        polled.unwrap_or_else(|_| Poll::Ready(Err(ServingError::internal("the call failed unexpectedly"))))
    })
    .await
}
