// SPDX-License-Identifier: Apache-2.0
//! One connection of either protocol, and one request on it.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TE};
use http::{Method, Request, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::plan::{Endpoint, Plan, Protocol};

const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a request is but for its body.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    head: Request<()>,
}

impl Template {
    pub(crate) fn new(plan: &Plan) -> Result<Self, String> {
        let authority = match &plan.endpoint {
            Endpoint::Tcp(address) => address.as_str(),
            Endpoint::Unix(_) => "localhost",
        };
        let grpc = plan.protocol == Protocol::Grpc;
        let uri = if grpc { format!("http://{authority}{}", plan.path) } else { plan.path.clone() };
        let uri = Uri::try_from(uri).map_err(|error| format!("{}: {error}", plan.path))?;
        let mut head = Request::new(());
        *head.method_mut() = Method::POST;
        *head.uri_mut() = uri;
        *head.version_mut() = if grpc { Version::HTTP_2 } else { Version::HTTP_11 };
        let headers = head.headers_mut();
        headers.insert(CONTENT_TYPE, value(&plan.content_type)?);
        if grpc {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        } else {
            headers.insert(HOST, value(authority)?);
        }
        for (name, text) in &plan.headers {
            let name = HeaderName::try_from(name).map_err(|error| format!("header {name}: {error}"))?;
            headers.insert(name, value(text)?);
        }
        Ok(Template { head })
    }
}

fn value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::try_from(text).map_err(|error| format!("header value {text:?}: {error}"))
}

/// A message in its gRPC frame.
pub(crate) fn framed(message: &Bytes) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(message);
    frame.freeze()
}

/// An open connection. Of HTTP/2 it may be cloned: requests share it.
pub(crate) enum Connection {
    Grpc(h2::client::SendRequest<Bytes>),
    Rest(http1::SendRequest<Full<Bytes>>),
}

/// Why a request failed: what it is counted as.
pub(crate) type Failure = String;

impl Connection {
    /// Connects; to be called within a `LocalSet`.
    pub(crate) async fn open(plan: &Plan) -> Result<Connection, Failure> {
        let opened = timeout(CONNECT_TIMEOUT, async {
            match &plan.endpoint {
                Endpoint::Tcp(address) => {
                    let stream = TcpStream::connect(address).await.map_err(|error| refused(address, &error))?;
                    let _ = stream.set_nodelay(true);
                    Connection::over(stream, plan.protocol).await
                }
                Endpoint::Unix(path) => {
                    let stream = UnixStream::connect(path).await;
                    let stream = stream.map_err(|error| refused(&path.to_string_lossy(), &error))?;
                    Connection::over(stream, plan.protocol).await
                }
            }
        });
        opened.await.map_err(|_| "cannot connect in time".to_owned())?
    }

    async fn over<S>(stream: S, protocol: Protocol) -> Result<Connection, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        match protocol {
            Protocol::Grpc => {
                let mut builder = h2::client::Builder::new();
                builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
                let (sender, connection) = builder.handshake(stream).await.map_err(|error| broke(&error))?;
                spawn_local(async move { drop(connection.await) });
                Ok(Connection::Grpc(sender))
            }
            Protocol::Rest => {
                let shaken = http1::handshake(TokioIo::new(stream)).await;
                let (sender, connection) = shaken.map_err(|error| broke(&error))?;
                spawn_local(async move { drop(connection.await) });
                Ok(Connection::Rest(sender))
            }
        }
    }

    /// Another sender on the same connection; `None` if it has room for one only.
    pub(crate) fn share(&self) -> Option<Connection> {
        match self {
            Connection::Grpc(sender) => Some(Connection::Grpc(sender.clone())),
            Connection::Rest(_) => None,
        }
    }

    /// Whether further requests may be answered.
    pub(crate) fn is_usable(&self) -> bool {
        match self {
            Connection::Grpc(_) => true,
            Connection::Rest(sender) => !sender.is_closed(),
        }
    }

    /// Sends a request and waits for the whole answer; an answer that is an error is a failure.
    pub(crate) async fn send(&mut self, template: &Template, body: &Bytes) -> Result<(), Failure> {
        match self {
            Connection::Grpc(sender) => send_grpc(sender, template.head.clone(), body.clone()).await,
            Connection::Rest(sender) => send_rest(sender, template.head.clone(), body.clone()).await,
        }
    }
}

async fn send_grpc(sender: &mut h2::client::SendRequest<Bytes>, head: Request<()>, body: Bytes) -> Result<(), Failure> {
    let mut ready = sender.clone().ready().await.map_err(|error| broke(&error))?;
    let (response, mut stream) = ready.send_request(head, false).map_err(|error| broke(&error))?;
    stream.send_data(body, true).map_err(|error| broke(&error))?;
    let (head, mut answer) = response.await.map_err(|error| broke(&error))?.into_parts();
    if !head.status.is_success() {
        return Err(format!("HTTP status {}", head.status.as_u16()));
    }
    if let Some(outcome) = status(&head.headers) {
        return outcome;
    }
    while let Some(piece) = answer.data().await {
        let piece = piece.map_err(|error| broke(&error))?;
        let _ = answer.flow_control().release_capacity(piece.len());
    }
    let trailers = answer.trailers().await.map_err(|error| broke(&error))?;
    trailers.as_ref().and_then(status).unwrap_or_else(|| Err("answer without a grpc-status".to_owned()))
}

/// What `grpc-status` says.
fn status(headers: &HeaderMap) -> Option<Result<(), Failure>> {
    let code = headers.get("grpc-status")?.to_str().ok()?;
    Some(if code == "0" { Ok(()) } else { Err(format!("gRPC status {code}")) })
}

async fn send_rest(
    sender: &mut http1::SendRequest<Full<Bytes>>,
    head: Request<()>,
    body: Bytes,
) -> Result<(), Failure> {
    sender.ready().await.map_err(|error| broke(&error))?;
    let response = sender.send_request(head.map(|()| Full::new(body))).await.map_err(|error| broke(&error))?;
    let status = response.status();
    response.into_body().collect().await.map_err(|error| broke(&error))?;
    if status.is_success() { Ok(()) } else { Err(format!("HTTP status {}", status.as_u16())) }
}

fn refused(address: &str, error: &std::io::Error) -> Failure {
    format!("cannot connect to {address}: {error}")
}

fn broke(error: &dyn std::error::Error) -> Failure {
    format!("the connection broke: {error}")
}
