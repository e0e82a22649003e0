// SPDX-License-Identifier: Apache-2.0
//! The messages of a call to its client, sent as fast as the client takes them.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use h2::{Reason, SendStream};
use tensorserve_servables::{Code, Result, ServingError};

use super::status;
use crate::client::Client;
use crate::pace::{Pace, TooSlow};

/// The messages to the client.
pub(super) struct Replies {
    stream: SendStream<Bytes>,
    client: Arc<Client>,
}

/// Bytes that are left to the connection at once.
const MAX_PIECE: usize = 64 << 10;

impl Replies {
    pub(super) fn new(stream: SendStream<Bytes>, client: Arc<Client>) -> Self {
        Replies { stream, client }
    }

    /// Sends one framed message as fast as the client takes it. CANCELLED if it has left.
    pub(super) async fn send(&mut self, message: Bytes) -> Result<()> {
        self.send_paced(message, Pace::new(Instant::now(), None, None)).await
    }

    /// The same; DEADLINE_EXCEEDED if the client is too slow.
    pub(super) async fn send_paced(&mut self, mut message: Bytes, mut pace: Pace) -> Result<()> {
        while !message.is_empty() {
            pace.within(self.client.room()).await.map_err(too_slow)?;
            self.stream.reserve_capacity(message.len().min(MAX_PIECE));
            // Polling tells of additional capacity only.
            if self.stream.capacity() == 0 {
                let more = pace.within(poll_fn(|cx| self.stream.poll_capacity(cx))).await.map_err(too_slow)?;
                more.ok_or_else(client_left)?.map_err(|_| client_left())?;
                continue;
            }
            let piece = message.split_to(self.stream.capacity().min(message.len()).min(MAX_PIECE));
            pace.moved(piece.len());
            self.client.queue(piece.len());
            self.stream.send_data(piece, false).map_err(|_| client_left())?;
        }
        Ok(())
    }

    /// Sends the trailers: how the call ended.
    pub(super) fn end(self, outcome: Result<()>) -> Result<(), h2::Error> {
        status::end_stream(self.stream, outcome)
    }

    /// Ends the call in the middle of a message that its client does not take.
    pub(super) fn give_up(mut self) {
        self.stream.send_reset(Reason::CANCEL);
    }

    /// Completes when the client gives up the call.
    pub(super) async fn cancelled(&mut self) {
        let _ = poll_fn(|cx| self.stream.poll_reset(cx)).await;
    }
}

fn too_slow(_: TooSlow) -> ServingError {
    ServingError::new(Code::DeadlineExceeded, "the client does not take the reply")
}

fn client_left() -> ServingError {
    ServingError::new(Code::Cancelled, "the client ended the call")
}
