// SPDX-License-Identifier: Apache-2.0
//! Input/output threads, each with an event loop of its own.
//!
//! A connection lives on one lane for good. Compared with one event loop shared by all threads, a request then never
//! wakes a second thread.

use std::io;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ServerConfig;
use tensorserve_servables::execution::Heart;
use tensorserve_servables::execution::executor::LaneLoad;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::Serving;
use crate::control::Peer;
use crate::grpc::authority::PlainAuthority;
use crate::listener::{Accepted, Connection};
use crate::server::Protocol;
use crate::shutdown::ShutdownWatch;
use crate::{grpc, rest, tls};

/// How often a lane says that it lives.
const BEAT: Duration = Duration::from_secs(1);

/// What the connections of one lane share.
pub struct Lane {
    pub serving: Arc<Serving>,
    connections: AtomicUsize,
    calls: AtomicUsize,
}

/// Counts a call as work of its lane until it is dropped.
pub(crate) struct CallInFlight(Arc<Lane>);

/// Counts a connection of a lane until it is dropped.
struct OpenConnection(Arc<Lane>);

impl Lane {
    /// Counts a call that has arrived.
    pub(crate) fn take_call(self: &Arc<Self>) -> CallInFlight {
        self.calls.fetch_add(1, Ordering::Relaxed);
        CallInFlight(Arc::clone(self))
    }

    /// Whether further calls wait for this lane's thread.
    pub(crate) fn load(&self) -> LaneLoad {
        if self.calls.load(Ordering::Relaxed) > 1 { LaneLoad::Others } else { LaneLoad::Alone }
    }
}

impl CallInFlight {
    pub(crate) fn lane(&self) -> &Arc<Lane> {
        &self.0
    }
}

impl Drop for CallInFlight {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A lane with its thread.
pub(crate) struct LaneThread {
    pub(crate) lane: Arc<Lane>,
    pub(crate) handle: Handle,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl LaneThread {
    /// Starts a lane's thread and its event loop.
    pub(crate) fn start(number: usize, serving: Arc<Serving>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let name = format!("tensorserve-io{number}");
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            // Both a message and a dropped sender are a stop.
            let lives = beat();
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = lives => {}
                }
            });
            runtime.shutdown_background();
        })?;
        let lane = Arc::new(Lane { serving, connections: AtomicUsize::new(0), calls: AtomicUsize::new(0) });
        Ok(LaneThread { lane, handle, stop, thread })
    }

    /// Ends the event loop; connections that are still open are cut off.
    pub(crate) fn stop(self) {
        // The thread may have ended already.
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

/// Says that this thread lives, if a supervisor wants to know; never completes.
async fn beat() {
    let Some(heart) = Heart::of_this_thread() else { return std::future::pending().await };
    loop {
        heart.beat();
        tokio::time::sleep(BEAT).await;
    }
}

/// All lanes of a server; new connections go to the one with the fewest.
#[derive(Clone)]
pub(crate) struct Lanes(Arc<[(Arc<Lane>, Handle)]>);

impl Lanes {
    pub(crate) fn of(threads: &[LaneThread]) -> Self {
        Lanes(threads.iter().map(|t| (Arc::clone(&t.lane), t.handle.clone())).collect())
    }

    /// Gives a connection to the lane with the fewest and serves it there, within TLS if there are settings for it.
    pub(crate) fn serve(
        &self,
        protocol: Protocol,
        accepted: Accepted,
        security: Option<Arc<ServerConfig>>,
        stop: ShutdownWatch,
    ) {
        let Some((lane, handle)) = self.0.iter().min_by_key(|(lane, _)| lane.connections.load(Ordering::Relaxed))
        else {
            return;
        };
        lane.connections.fetch_add(1, Ordering::Relaxed);
        let open = OpenConnection(Arc::clone(lane));
        handle.spawn(async move {
            match accepted {
                Accepted::Tcp(stream, peer) => serve_tcp((protocol, peer), stream, security, &open.0, stop).await,
                Accepted::Unix(stream) => serve_unix((protocol, Peer::Socket), stream, security, &open.0, stop).await,
            }
        });
    }
}

// The stream is registered with the event loop of the lane that it is served on.

/// What a client speaks, and where it is.
type Client = (Protocol, Peer);

async fn serve_tcp(
    client: Client,
    stream: TcpStream,
    security: Option<Arc<ServerConfig>>,
    lane: &Arc<Lane>,
    stop: ShutdownWatch,
) {
    let Ok(stream) = tokio::net::TcpStream::from_std(stream) else { return };
    match security {
        None => serve_stream(client, stream, lane, stop).await,
        Some(config) => serve_secured(client, config, Box::new(stream), lane, stop).await,
    }
}

async fn serve_unix(
    client: Client,
    stream: UnixStream,
    security: Option<Arc<ServerConfig>>,
    lane: &Arc<Lane>,
    stop: ShutdownWatch,
) {
    let Ok(stream) = tokio::net::UnixStream::from_std(stream) else { return };
    match security {
        None if client.0 == Protocol::Grpc => serve_stream(client, PlainAuthority::new(stream), lane, stop).await,
        None => serve_stream(client, stream, lane, stop).await,
        Some(config) => serve_secured(client, config, Box::new(stream), lane, stop).await,
    }
}

async fn serve_secured(
    client: Client,
    config: Arc<ServerConfig>,
    stream: Box<dyn Connection>,
    lane: &Arc<Lane>,
    mut stop: ShutdownWatch,
) {
    if let Some(stream) = tls::accept(config, stream, &mut stop).await {
        serve_stream(client, stream, lane, stop).await;
    }
}

async fn serve_stream(client: Client, stream: impl Connection, lane: &Arc<Lane>, stop: ShutdownWatch) {
    let (protocol, peer) = client;
    match protocol {
        Protocol::Grpc => grpc::connection::serve(stream, peer, lane, stop).await,
        Protocol::Rest => rest::connection::serve(stream, peer, lane, stop).await,
        Protocol::Health => rest::probes::serve(stream, lane, stop).await,
    }
}
