// SPDX-License-Identifier: Apache-2.0
//! gRPC message framing: one flag byte, four length bytes, the message.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use http::HeaderValue;
use http::request::Parts;
use smallvec::SmallVec;
use tensorserve_servables::{Code, Result, ServableHandle, ServingError};

use crate::heavy;
use crate::lane::Lane;
use crate::memory::{FEW, Held};
use crate::pace::{Pace, TooSlow, at_once};
use crate::request_log::{Exchange, Message};
use crate::wire::inflate::{Compression, inflate};
use crate::wire::prediction_log::LogType;

/// Bytes before each message.
pub(super) const PREFIX: usize = 5;

/// A message in the pieces in which it came.
pub(super) type Pieces = SmallVec<[Bytes; 2]>;

/// The message of a unary call, and what it takes of the server's memory.
pub(super) struct Received {
    pub(super) pieces: Pieces,
    /// `None` for one that was there at once.
    _held: Option<Held>,
}

/// How long and how large a message may be.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// When the call came.
    pub(super) start: Instant,
    pub(super) deadline: Option<Instant>,
    pub(super) max_bytes: usize,
}

/// Reads the one message of a unary call. RESOURCE_EXHAUSTED if it is larger than it may be, DEADLINE_EXCEEDED if it does not
/// come, INTERNAL if it is cut off, UNIMPLEMENTED if it is compressed in a way we do not know.
pub(super) async fn read(head: &Parts, mut body: RecvStream, lane: &Lane, bounds: Bounds) -> Result<Received> {
    let Bounds { start, deadline, max_bytes } = bounds;
    let serving = &lane.serving;
    let mut pace = Pace::new(start, serving.options.limits.body_timeout, deadline);
    let (mut message, mut held) = (Incoming::default(), None);
    loop {
        let mut step = pin!(next_piece(&mut body));
        let piece = match at_once(step.as_mut()).await {
            Some(piece) => piece,
            None => {
                // Whoever has to be waited for takes memory meanwhile.
                if held.is_none() {
                    held = Some(serving.memory.hold(waiting_bytes(head) + message.len)?);
                }
                pace.within(step).await.map_err(too_slow)?
            }
        };
        let Some(mut piece) = piece? else { break };
        pace.moved(piece.len());
        match &mut held {
            Some(held) => held.grow(piece.len())?,
            None if message.len + piece.len() > FEW => held = Some(serving.memory.hold(message.len + piece.len())?),
            None => {}
        }
        message.take_from(&mut piece, max_bytes)?;
        if !piece.is_empty() {
            return Err(ServingError::internal("a unary call must carry exactly one message"));
        }
    }
    let (pieces, compression) = message.finish(head)?;
    let Some(compression) = compression else { return Ok(Received { pieces, _held: held }) };
    let job = move || inflate(compression, &pieces, max_bytes);
    let inflated = heavy::work(lane, &heavy::INFLATE, 0, deadline, job).await?;
    let held = serving.memory.hold(inflated.len())?;
    Ok(Received { pieces: SmallVec::from_elem(inflated, 1), _held: Some(held) })
}

/// What a call takes that waits for its message: its headers, a task and a stream.
fn waiting_bytes(head: &Parts) -> usize {
    const TASK: usize = 16 << 10;
    head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum::<usize>() + TASK
}

fn too_slow(late: TooSlow) -> ServingError {
    let text = match late {
        TooSlow::Deadline => "Deadline Exceeded",
        TooSlow::Pace => "the request message came too slowly (--client_body_timeout_seconds)",
    };
    ServingError::new(Code::DeadlineExceeded, text)
}

/// The messages of a streaming call, one after the other.
pub(super) struct Messages {
    body: RecvStream,
    /// The bytes behind the last message that was read.
    rest: Bytes,
    max_bytes: usize,
}

impl Messages {
    pub(super) fn new(body: RecvStream, max_bytes: usize) -> Self {
        Messages { body, rest: Bytes::new(), max_bytes }
    }

    /// The next message; `None` once the client has sent its last. Errors as for [`read`], but for time: a stream may be silent.
    pub(super) async fn next(&mut self, head: &Parts) -> Result<Option<Pieces>> {
        let mut message = Incoming::default();
        loop {
            message.take_from(&mut self.rest, self.max_bytes)?;
            if message.is_complete() {
                return message.inflated(head, self.max_bytes).map(Some);
            }
            match next_piece(&mut self.body).await? {
                Some(piece) => self.rest = piece,
                None if message.prefix_len == 0 => return Ok(None),
                None => return message.inflated(head, self.max_bytes).map(Some),
            }
        }
    }
}

/// Takes what a client still sends that was answered already: a call that is cut off may be reported without its answer.
pub(super) async fn drain(mut body: RecvStream) {
    const MAX_BYTES: usize = 1 << 20;
    const MAX_TIME: Duration = Duration::from_secs(5);
    let rest = async {
        let mut taken = 0;
        while let Ok(Some(piece)) = next_piece(&mut body).await
            && taken < MAX_BYTES
        {
            taken += piece.len();
        }
    };
    let _ = tokio::time::timeout(MAX_TIME, rest).await;
}

async fn next_piece(body: &mut RecvStream) -> Result<Option<Bytes>> {
    let Some(piece) = body.data().await else { return Ok(None) };
    let piece = piece.map_err(|_| ServingError::new(Code::Cancelled, "the client ended the call"))?;
    // The window that the piece took is given back at once; what bounds memory is the message size.
    let _ = body.flow_control().release_capacity(piece.len());
    Ok(Some(piece))
}

#[derive(Default)]
struct Incoming {
    prefix: [u8; PREFIX],
    prefix_len: usize,
    /// Bytes of the message that have not come yet, and those that have.
    missing: usize,
    len: usize,
    pieces: Pieces,
    /// Small pieces at the end, which would take more memory than they have bytes.
    small: BytesMut,
}

impl Incoming {
    /// Takes what belongs to this message from the start of `piece`.
    fn take_from(&mut self, piece: &mut Bytes, max_bytes: usize) -> Result<()> {
        if self.prefix_len < PREFIX {
            let n = piece.len().min(PREFIX - self.prefix_len);
            piece.copy_to_slice(&mut self.prefix[self.prefix_len..self.prefix_len + n]);
            self.prefix_len += n;
            if self.prefix_len < PREFIX {
                return Ok(());
            }
            self.missing = message_len(self.prefix, max_bytes)?;
        }
        let ours = if piece.len() <= self.missing { std::mem::take(piece) } else { piece.split_to(self.missing) };
        self.missing -= ours.len();
        self.len += ours.len();
        if !ours.is_empty() {
            self.push(ours);
        }
        Ok(())
    }

    fn push(&mut self, piece: Bytes) {
        /// Pieces of any size that are kept as they came.
        const KEPT: usize = 8;
        /// Above this a piece is kept as it came in any case.
        const LARGE: usize = 1 << 10;
        if self.small.is_empty() && (self.pieces.len() < KEPT || piece.len() >= LARGE) {
            return self.pieces.push(piece);
        }
        if piece.len() < LARGE && self.missing > 0 {
            return self.small.extend_from_slice(&piece);
        }
        self.small.extend_from_slice(&piece[..piece.len().min(LARGE)]);
        self.pieces.push(self.small.split().freeze());
        if piece.len() > LARGE {
            self.pieces.push(piece.slice(LARGE..));
        }
    }

    fn is_complete(&self) -> bool {
        self.prefix_len == PREFIX && self.missing == 0
    }

    /// The whole message, and how it is compressed.
    fn finish(self, head: &Parts) -> Result<(Pieces, Option<Compression>)> {
        if !self.is_complete() {
            return Err(ServingError::internal("the request message is incomplete"));
        }
        if self.prefix[0] == 0 {
            return Ok((self.pieces, None));
        }
        let encoding = head.headers.get("grpc-encoding").map_or(&b"identity"[..], HeaderValue::as_bytes);
        let compression = Compression::from_name(encoding).ok_or_else(|| {
            let encoding = String::from_utf8_lossy(encoding);
            let message =
                format!("the message is compressed with {encoding}; this server knows gzip, deflate and zstd");
            ServingError::new(Code::Unimplemented, message)
        })?;
        Ok((self.pieces, Some(compression)))
    }

    /// The whole message, inflated right here; for small ones.
    fn inflated(self, head: &Parts, max_bytes: usize) -> Result<Pieces> {
        match self.finish(head)? {
            (pieces, None) => Ok(pieces),
            (pieces, Some(compression)) => Ok(SmallVec::from_elem(inflate(compression, &pieces, max_bytes)?, 1)),
        }
    }
}

fn message_len([_compressed, len @ ..]: [u8; PREFIX], max_bytes: usize) -> Result<usize> {
    let len = u32::from_be_bytes(len) as usize;
    if len > max_bytes {
        let message = format!("Received message larger than max ({len} vs. {max_bytes})");
        return Err(ServingError::new(Code::ResourceExhausted, message));
    }
    Ok(len)
}

/// A buffer for a message of `len` bytes, with its prefix written. RESOURCE_EXHAUSTED, before there is any memory for it, if
/// these are more than `max_bytes`.
pub(super) fn start(len: usize, max_bytes: usize) -> Result<Vec<u8>> {
    let too_large = || {
        let message = format!("Sent message larger than max ({len} vs. {max_bytes})");
        ServingError::new(Code::ResourceExhausted, message)
    };
    let prefix = u32::try_from(len).ok().filter(|_| len <= max_bytes).ok_or_else(too_large)?.to_be_bytes();
    let mut out = Vec::with_capacity(PREFIX + len);
    out.push(0);
    out.extend_from_slice(&prefix);
    Ok(out)
}

/// A request and its framed reply, for the request log.
pub(super) fn exchange<'a>(
    log_type: LogType,
    handle: &'a ServableHandle,
    signature: &'a str,
    pieces: &[Bytes],
    framed: &Bytes,
) -> Exchange<'a> {
    let response = Message::wire(&[framed.slice(PREFIX.min(framed.len())..)]);
    Exchange { log_type, handle, signature, request: Message::wire(pieces), response }
}

/// Bytes of a message in pieces.
pub(super) fn len(pieces: &[Bytes]) -> usize {
    pieces.iter().map(Bytes::len).sum()
}

/// The pieces of a message as one buffer.
pub(super) fn joined(pieces: &Pieces) -> Bytes {
    match &pieces[..] {
        [whole] => whole.clone(),
        pieces => pieces.concat().into(),
    }
}

/// A protobuf message as a framed reply of at most `max_bytes`.
pub(super) fn framed(message: &impl prost::Message, max_bytes: usize) -> Result<Bytes> {
    let mut out = start(message.encoded_len(), max_bytes)?;
    message.encode_raw(&mut out);
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_from_pieces_of_any_size() {
        let stream: Vec<u8> = [b"one".as_slice(), b"", b"three"]
            .iter()
            .flat_map(|text| {
                let mut message = start(text.len(), usize::MAX).unwrap();
                message.extend_from_slice(text);
                message
            })
            .collect();
        for size in 1..=stream.len() {
            let mut found = Vec::new();
            let mut message = Incoming::default();
            for piece in stream.chunks(size) {
                let mut piece = Bytes::copy_from_slice(piece);
                loop {
                    message.take_from(&mut piece, 5).unwrap();
                    if !message.is_complete() {
                        break;
                    }
                    found.push(std::mem::take(&mut message).pieces.concat());
                    if piece.is_empty() {
                        break;
                    }
                }
            }
            assert_eq!(found, [b"one".to_vec(), b"".to_vec(), b"three".to_vec()], "pieces of {size} bytes");
        }
    }

    #[test]
    fn a_reply_beyond_the_limit_has_no_memory() {
        assert_eq!(start(10, 10).unwrap().capacity(), PREFIX + 10);
        for len in [11, 1 << 31, 1 << 40] {
            let error = start(len, 10).unwrap_err();
            assert_eq!(error.code, Code::ResourceExhausted);
            assert_eq!(error.message, format!("Sent message larger than max ({len} vs. 10)"));
        }
        assert_eq!(start(1 << 32, usize::MAX).unwrap_err().code, Code::ResourceExhausted);
    }

    #[test]
    fn many_small_pieces_become_few() {
        for size in [1, 3, 100, 1023, 1024, 5000] {
            let text: Vec<u8> = (0..50_000u32).map(|number| number as u8).collect();
            let mut framed = start(text.len(), usize::MAX).unwrap();
            framed.extend_from_slice(&text);
            let mut message = Incoming::default();
            for piece in framed.chunks(size) {
                message.take_from(&mut Bytes::copy_from_slice(piece), usize::MAX).unwrap();
            }
            assert!(message.is_complete());
            assert!(message.pieces.len() <= 60, "{} pieces of {size}", message.pieces.len());
            assert_eq!(message.pieces.concat(), text, "{size}");
        }
    }

    #[test]
    fn a_message_beyond_the_limit_is_refused_by_its_length() {
        let mut piece = Bytes::from_static(&[0, 0, 0, 0, 6, 1]);
        let error = Incoming::default().take_from(&mut piece, 5).unwrap_err();
        assert_eq!(error.code, Code::ResourceExhausted);
        assert_eq!(error.message, "Received message larger than max (6 vs. 5)");
    }
}
