// SPDX-License-Identifier: Apache-2.0
//! Where connections come from: TCP ports and unix sockets.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use socket2::Socket;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use crate::control::Peer;

/// Pause after a failed accept (out of file descriptors, say), so that the server neither spins nor stops.
pub(crate) const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// A socket that listens.
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A byte stream of either kind.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection for T {}

/// An accepted connection, not yet registered with an event loop.
pub enum Accepted {
    Tcp(TcpStream, Peer),
    Unix(UnixStream),
}

impl Listener {
    /// Takes a socket that listens already. Must be called within a tokio runtime.
    pub fn new(socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        if socket.local_addr()?.is_unix() {
            return Ok(Listener::Unix(UnixListener::from_std(socket.into())?));
        }
        Ok(Listener::Tcp(TcpListener::from_std(socket.into())?))
    }

    /// The next connection.
    pub async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Listener::Tcp(listener) => listener.accept().await.and_then(|(stream, address)| {
                // Small replies must not wait for the acknowledgement of earlier ones.
                let _ = stream.set_nodelay(true);
                stream.into_std().map(|stream| Accepted::Tcp(stream, peer(address)))
            }),
            Listener::Unix(listener) => {
                listener.accept().await.and_then(|(stream, _)| stream.into_std().map(Accepted::Unix))
            }
        }
    }
}

fn peer(address: SocketAddr) -> Peer {
    if address.ip().to_canonical().is_loopback() { Peer::Loopback } else { Peer::Remote }
}
