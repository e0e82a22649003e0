// SPDX-License-Identifier: Apache-2.0
//! One connection in numbers: what its client has asked for, sent and read. Kept by whoever moves its bytes, looked at by the
//! watchdog of its lane.
//!
//! Only the lane's thread writes to them; they are atomic because tasks may be handed between threads. Nothing here looks at
//! a clock.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::lane::Lane;

/// Bytes of replies that may wait for a client before further ones wait where they are counted.
const MAX_UNSENT: usize = 256 << 10;

/// Bytes of one client that are read before other clients of the lane have their turn.
const TURN_BYTES: usize = 256 << 10;

/// One client's connection.
pub(crate) struct Client {
    pub(crate) lane: Arc<Lane>,
    /// Calls that were taken, ever.
    taken: AtomicUsize,
    /// Calls that are not answered.
    open: AtomicUsize,
    /// Bytes that came.
    read: AtomicUsize,
    /// `read` when the last call ended; more means that a request has begun.
    read_by_calls: AtomicUsize,
    /// Bytes of replies that were left to the connection, and those that it has sent.
    queued: AtomicUsize,
    written: AtomicUsize,
    /// Whether the system takes no more bytes for this client now.
    blocked: AtomicBool,
    /// Whoever waits for bytes to be sent.
    waiting: AtomicUsize,
    sent: Notify,
    /// Whether HTTP/2 is spoken, where a connection may be silent between calls for long.
    http2: AtomicBool,
    /// Whether the connection has ended.
    gone: AtomicBool,
    /// Whether the connection is to end as soon as its calls have.
    ending: AtomicBool,
    end: Notify,
}

/// What the watchdog sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) taken: usize,
    pub(crate) open: usize,
    pub(crate) written: usize,
    pub(crate) unsent: usize,
    /// A request has begun whose head is not complete, or none ever was.
    pub(crate) in_head: bool,
}

impl Client {
    pub(crate) fn new(lane: Arc<Lane>) -> Arc<Self> {
        Arc::new(Client {
            lane,
            taken: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
            read_by_calls: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
            blocked: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            sent: Notify::new(),
            http2: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            end: Notify::new(),
        })
    }

    pub(crate) fn speaks_http2(&self) {
        self.http2.store(true, Ordering::Relaxed);
    }

    pub(crate) fn seen(&self) -> Seen {
        let (taken, open) = (self.taken.load(Ordering::Relaxed), self.open.load(Ordering::Relaxed));
        let began = taken == 0 || self.read.load(Ordering::Relaxed) != self.read_by_calls.load(Ordering::Relaxed);
        Seen {
            taken,
            open,
            written: self.written.load(Ordering::Relaxed),
            unsent: self.unsent(),
            in_head: open == 0 && began && !self.http2.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn open_call(&self) {
        add(&self.taken, 1);
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn close_call(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.read_by_calls.store(self.read.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Asks the connection to end when its calls have.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
        self.end.notify_one();
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// Completes when the connection is to end.
    pub(crate) async fn told_to_end(&self) {
        self.end.notified().await;
    }

    /// Bytes of replies that the client has not taken. Headers and frames count as replies once they are sent, so it is
    /// rather less than more.
    fn unsent(&self) -> usize {
        self.queued.load(Ordering::Relaxed).saturating_sub(self.written.load(Ordering::Relaxed))
    }

    /// Whether much waits for the client, so that further replies are counted and sent in parts. Replies that were given up
    /// seem to wait as well.
    pub(crate) fn is_backed_up(&self) -> bool {
        self.unsent() >= MAX_UNSENT
    }

    /// Whether a part of a reply can be left to the connection.
    fn has_room(&self) -> bool {
        !self.is_backed_up() || !self.blocked.load(Ordering::Relaxed)
    }

    /// Counts a part of a reply that is left to the connection.
    pub(crate) fn queue(&self, bytes: usize) {
        let base = self.queued.load(Ordering::Relaxed).max(self.written.load(Ordering::Relaxed));
        self.queued.store(base.wrapping_add(bytes), Ordering::Relaxed);
    }

    /// Completes when a further part of a reply can be left to the connection, or when that is gone.
    pub(crate) async fn room(&self) {
        while !self.has_room() && !self.gone.load(Ordering::Relaxed) {
            let sent = self.sent.notified();
            let _waiting = Waiting::new(&self.waiting);
            sent.await;
        }
    }

    fn wrote(&self, bytes: usize) {
        add(&self.written, bytes);
        self.blocked.store(false, Ordering::Relaxed);
        if self.waiting.load(Ordering::Relaxed) > 0 && self.has_room() {
            self.sent.notify_waiters();
        }
    }
}

/// Counts one who waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn add(counter: &AtomicUsize, more: usize) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

/// Counts a call as work of its lane until it is dropped.
pub(crate) struct CallInFlight(Arc<Client>);

/// Counts a call of a client as open until it is dropped.
pub(crate) struct OpenCall(Arc<Client>);

impl CallInFlight {
    /// Counts a call that has arrived.
    pub(crate) fn take(client: &Arc<Client>) -> Self {
        client.lane.calls.fetch_add(1, Ordering::Relaxed);
        client.open_call();
        CallInFlight(Arc::clone(client))
    }

    pub(crate) fn lane(&self) -> &Arc<Lane> {
        &self.0.lane
    }

    pub(crate) fn client(&self) -> &Arc<Client> {
        &self.0
    }

    /// The call goes on, but is no work for the lane: most of the time it waits.
    pub(crate) fn waits(self) -> OpenCall {
        self.0.open_call();
        OpenCall(Arc::clone(&self.0))
    }
}

impl Drop for CallInFlight {
    fn drop(&mut self) {
        self.0.lane.calls.fetch_sub(1, Ordering::Relaxed);
        self.0.close_call();
    }
}

impl OpenCall {
    pub(crate) fn client(&self) -> &Arc<Client> {
        &self.0
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.0.close_call();
    }
}

/// A connection whose bytes are counted.
pub(crate) struct Watched<S> {
    stream: S,
    client: Arc<Client>,
    /// Bytes read since others had their turn.
    turn: usize,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, client: Arc<Client>) -> Self {
        Watched { stream, client, turn: 0 }
    }
}

impl<S> Drop for Watched<S> {
    fn drop(&mut self) {
        self.client.gone.store(true, Ordering::Relaxed);
        self.client.sent.notify_waiters();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.turn >= TURN_BYTES {
            self.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = out.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, out);
        let read = out.filled().len() - before;
        self.turn = if polled.is_ready() { self.turn + read } else { 0 };
        add(&self.client.read, read);
        polled
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn wrote(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &polled {
            Poll::Ready(Ok(bytes)) => self.client.wrote(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.client.blocked.store(true, Ordering::Relaxed),
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
