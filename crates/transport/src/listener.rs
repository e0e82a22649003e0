// SPDX-License-Identifier: Apache-2.0
//! Where connections come from: TCP ports and unix sockets.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use crate::control::Peer;

const BACKLOG: i32 = 1024;

/// Pause after a failed accept (out of file descriptors, say), so that the server neither spins nor stops.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// A bound address.
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
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
    /// Binds `HOST:PORT` (port 0: any free one) or `unix:PATH`. Must be called within a tokio runtime.
    pub fn bind(address: &str) -> io::Result<Self> {
        match address.strip_prefix("unix:") {
            Some(path) => bind_unix(Path::new(path)),
            None => bind_tcp(address),
        }
    }

    /// The bound port; 0 for a unix socket.
    pub fn port(&self) -> u16 {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map_or(0, |a| a.port()),
            Listener::Unix(..) => 0,
        }
    }

    /// The next connection. Failures are waited out.
    pub async fn accept(&self) -> Accepted {
        loop {
            let accepted = match self {
                Listener::Tcp(listener) => listener.accept().await.and_then(|(stream, address)| {
                    // Small replies must not wait for the acknowledgement of earlier ones.
                    let _ = stream.set_nodelay(true);
                    stream.into_std().map(|stream| Accepted::Tcp(stream, peer(address)))
                }),
                Listener::Unix(listener, _) => {
                    listener.accept().await.and_then(|(stream, _)| stream.into_std().map(Accepted::Unix))
                }
            };
            match accepted {
                Ok(accepted) => return accepted,
                Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn peer(address: SocketAddr) -> Peer {
    if address.ip().to_canonical().is_loopback() { Peer::Loopback } else { Peer::Remote }
}

fn bind_tcp(address: &str) -> io::Result<Listener> {
    let resolved = address.to_socket_addrs()?.next();
    let address: SocketAddr = resolved.ok_or_else(|| io::Error::other(format!("{address} has no address")))?;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(Listener::Tcp(TcpListener::from_std(socket.into())?))
}

/// Binds a socket path; a socket that a dead server left behind is replaced.
fn bind_unix(path: &Path) -> io::Result<Listener> {
    let bound = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    };
    Ok(Listener::Unix(bound?, path.to_owned()))
}

fn is_abandoned(path: &Path) -> bool {
    UnixStream::connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
}
