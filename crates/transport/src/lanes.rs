// SPDX-License-Identifier: Apache-2.0
//! Input/output threads, each with an event loop of its own.
//!
//! A connection lives on one lane for good. Compared with one event loop shared by all threads, a request then never
//! wakes a second thread.

use std::io;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ServerConfig;
use tensorserve_servables::execution::Heart;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::client::{Client, Watched};
use crate::control::Peer;
use crate::grpc::authority::PlainAuthority;
use crate::lane::Lane;
use crate::listener::{Accepted, Connection};
use crate::server::Protocol;
use crate::serving::Serving;
use crate::shutdown::ShutdownWatch;
use crate::watchdog::Watchdog;
use crate::{grpc, rest, tls};

/// How often a lane says that it lives.
const BEAT: Duration = Duration::from_secs(1);

/// Counts a connection of a lane until it is dropped.
struct OpenConnection(Arc<Lane>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A lane with its thread.
pub(crate) struct LaneThread {
    pub(crate) lane: Arc<Lane>,
    watchdog: Arc<Watchdog>,
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
        let watchdog: Arc<Watchdog> = Arc::default();
        handle.spawn(Arc::clone(&watchdog).run(Arc::clone(&serving)));
        Ok(LaneThread { lane: Lane::new(serving), watchdog, handle, stop, thread })
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
pub(crate) struct Lanes(Arc<[Place]>);

/// A lane, who watches over its connections, and its event loop.
type Place = (Arc<Lane>, Arc<Watchdog>, Handle);

impl Lanes {
    pub(crate) fn of(threads: &[LaneThread]) -> Self {
        Lanes(threads.iter().map(|t| (Arc::clone(&t.lane), Arc::clone(&t.watchdog), t.handle.clone())).collect())
    }

    /// Gives a connection to the lane with the fewest and serves it there, within TLS if there are settings for it.
    pub(crate) fn serve(
        &self,
        protocol: Protocol,
        accepted: Accepted,
        security: Option<Arc<ServerConfig>>,
        stop: ShutdownWatch,
    ) {
        let Some((lane, watchdog, handle)) =
            self.0.iter().min_by_key(|(lane, ..)| lane.connections.load(Ordering::Relaxed))
        else {
            return;
        };
        lane.connections.fetch_add(1, Ordering::Relaxed);
        let open = OpenConnection(Arc::clone(lane));
        let client = Client::new(Arc::clone(lane));
        let served = Arc::clone(&client);
        let task = handle.spawn(async move {
            let _open = open;
            match accepted {
                Accepted::Tcp(stream, peer) => serve_tcp((protocol, peer), stream, security, &served, stop).await,
                Accepted::Unix(stream) => serve_unix((protocol, Peer::Socket), stream, security, &served, stop).await,
            }
        });
        watchdog.add(&client, task.abort_handle());
    }

    /// Ends connections that are idle, since descriptors have run out.
    pub(crate) fn make_room(&self) {
        self.0.iter().for_each(|(_, watchdog, _)| watchdog.make_room());
    }
}

// The stream is registered with the event loop of the lane that it is served on.

/// What a client speaks, and where it is.
type Kind = (Protocol, Peer);

async fn serve_tcp(
    kind: Kind,
    stream: TcpStream,
    security: Option<Arc<ServerConfig>>,
    client: &Arc<Client>,
    stop: ShutdownWatch,
) {
    let Ok(stream) = tokio::net::TcpStream::from_std(stream) else { return };
    match security {
        None => serve_stream(kind, stream, client, stop).await,
        Some(config) => serve_secured(kind, config, Box::new(stream), client, stop).await,
    }
}

async fn serve_unix(
    kind: Kind,
    stream: UnixStream,
    security: Option<Arc<ServerConfig>>,
    client: &Arc<Client>,
    stop: ShutdownWatch,
) {
    let Ok(stream) = tokio::net::UnixStream::from_std(stream) else { return };
    match security {
        None if kind.0 == Protocol::Grpc => serve_stream(kind, PlainAuthority::new(stream), client, stop).await,
        None => serve_stream(kind, stream, client, stop).await,
        Some(config) => serve_secured(kind, config, Box::new(stream), client, stop).await,
    }
}

async fn serve_secured(
    kind: Kind,
    config: Arc<ServerConfig>,
    stream: Box<dyn Connection>,
    client: &Arc<Client>,
    mut stop: ShutdownWatch,
) {
    match tls::accept(config, stream, &mut stop).await {
        Ok(Some(stream)) => serve_stream(kind, stream, client, stop).await,
        Ok(None) => {}
        Err(reason) => tls::report(&reason, kind.0.name()),
    }
}

async fn serve_stream(kind: Kind, stream: impl Connection, client: &Arc<Client>, stop: ShutdownWatch) {
    let (protocol, peer) = kind;
    let stream = Watched::new(stream, Arc::clone(client));
    match protocol {
        Protocol::Grpc => grpc::connection::serve(stream, peer, client, stop).await,
        Protocol::Rest => rest::connection::serve(stream, peer, client, stop).await,
        Protocol::Health => rest::probes::serve(stream, &client.lane, stop).await,
    }
}
