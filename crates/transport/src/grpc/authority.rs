// SPDX-License-Identifier: Apache-2.0
//! The authority of clients on a UNIX socket.
//!
//! gRPC's C core (Python, C++, Ruby and others) sends the socket's path as `:authority`, with `%2F` for each slash. The HTTP
//! library takes no percent sign there and refuses the call, whatever is said to it. Nobody needs the authority of a
//! local call, so each percent sign in it becomes a dash on its way in; nothing else changes.
//!
//! Header blocks are walked, not decoded: the C core writes this header as plain text with its name beside it, and
//! sends a reference to it with later calls. Other clients send `localhost`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::incoming::{Filter, Filtered};

const PREFACE_LEN: usize = 24;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;
const PRIORITY_LEN: usize = 5;

const AUTHORITY: &[u8] = b":authority";
/// Its place in the table of headers that both sides know.
const AUTHORITY_INDEX: u8 = 1;

/// A connection whose authority is one that the HTTP library takes.
pub(crate) type PlainAuthority<S> = Filtered<S, Frames>;

impl<S> PlainAuthority<S> {
    pub(crate) fn new(stream: S) -> Self {
        Filtered { stream, filter: Frames { skipped: PREFACE_LEN, ..Frames::default() } }
    }
}

/// Where the bytes stand in the sequence of frames.
#[derive(Default)]
pub(crate) struct Frames {
    /// Bytes ahead that are no header block.
    skipped: usize,
    /// Bytes ahead of a header block.
    block_left: usize,
    head: [u8; 9],
    head_len: usize,
    block: Block,
    /// Whether the pieces of the current block are walked.
    walked: bool,
}

impl Frames {
    fn pass(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let n = self.skipped.min(bytes.len());
            self.skipped -= n;
            bytes = &mut bytes[n..];
            let Some((byte, rest)) = bytes.split_first_mut() else { return };
            if self.block_left > 0 {
                self.block_left -= 1;
                self.block.pass(byte);
            } else {
                self.take_head(*byte);
            }
            bytes = rest;
        }
    }

    fn take_head(&mut self, byte: u8) {
        self.head[self.head_len] = byte;
        self.head_len += 1;
        if self.head_len < self.head.len() {
            return;
        }
        self.head_len = 0;
        let [a, b, c, kind, flags, ..] = self.head;
        let len = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        if kind == HEADERS {
            // The C core does not pad.
            self.walked = flags & PADDED == 0;
            self.block = Block::default();
        }
        let is_block = matches!(kind, HEADERS | CONTINUATION) && self.walked;
        let before = if kind == HEADERS && flags & PRIORITY != 0 { PRIORITY_LEN } else { 0 };
        self.skipped = if is_block { before.min(len) } else { len };
        self.block_left = len - self.skipped;
    }
}

/// Where a byte stands in a header block (RFC 7541).
#[derive(Default)]
struct Block {
    at: At,
    /// The value that comes, or is here, is that of the authority.
    is_authority: bool,
    /// The string that is here is a name; otherwise it is a value.
    is_name: bool,
    is_huffman: bool,
    /// Of the name that is here, how many bytes are those of [`AUTHORITY`].
    matched: usize,
    len: usize,
}

#[derive(Default, Clone, Copy)]
enum At {
    #[default]
    Field,
    /// Further bytes of a number; a value comes next if so.
    Number {
        value_next: bool,
    },
    Length,
    /// Further bytes of a length, and how far they are shifted.
    LongLength(u32),
    Text {
        left: usize,
    },
}

impl Block {
    fn pass(&mut self, byte: &mut u8) {
        match self.at {
            At::Field => self.start_field(*byte),
            At::Number { .. } if *byte & 0x80 != 0 => {}
            At::Number { value_next } => self.at = if value_next { self.value() } else { At::Field },
            At::Length => {
                self.is_huffman = *byte & 0x80 != 0;
                self.len = usize::from(*byte & 0x7F);
                if self.len == 0x7F { self.at = At::LongLength(0) } else { self.start_text() }
            }
            At::LongLength(shift) => {
                // A length that is too long is refused by whoever reads the block.
                self.len = self.len.saturating_add(usize::from(*byte & 0x7F) << shift.min(28));
                if *byte & 0x80 != 0 { self.at = At::LongLength(shift + 7) } else { self.start_text() }
            }
            At::Text { left } => {
                self.pass_text(byte);
                if left == 1 { self.end_text() } else { self.at = At::Text { left: left - 1 } }
            }
        }
    }

    fn start_field(&mut self, byte: u8) {
        let (mask, is_literal) = match byte {
            0x80.. => (0x7F, false),
            0x40.. => (0x3F, true),
            0x20.. => (0x1F, false),
            _ => (0x0F, true),
        };
        let index = byte & mask;
        self.is_authority = is_literal && index == AUTHORITY_INDEX;
        self.at = match (index == mask, is_literal) {
            (true, value_next) => At::Number { value_next },
            (false, false) => At::Field,
            (false, true) if index == 0 => self.name(),
            (false, true) => self.value(),
        };
    }

    fn name(&mut self) -> At {
        (self.is_name, self.matched) = (true, 0);
        At::Length
    }

    fn value(&mut self) -> At {
        self.is_name = false;
        At::Length
    }

    fn start_text(&mut self) {
        self.at = At::Text { left: self.len };
        if self.len == 0 {
            self.end_text();
        }
    }

    fn pass_text(&mut self, byte: &mut u8) {
        if self.is_name {
            self.matched += usize::from(AUTHORITY.get(self.matched) == Some(byte));
        } else if self.is_authority && !self.is_huffman && *byte == b'%' {
            *byte = b'-';
        }
    }

    fn end_text(&mut self) {
        if self.is_name {
            self.is_authority = !self.is_huffman && self.len == AUTHORITY.len() && self.matched == AUTHORITY.len();
            self.at = self.value();
        } else {
            self.at = At::Field;
        }
    }
}

impl Filter for Frames {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: Pin<&mut S>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        ready!(stream.poll_read(cx, out))?;
        self.pass(&mut out.filled_mut()[before..]);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with this block.
    fn frame(kind: u8, flags: u8, block: &[u8]) -> Vec<u8> {
        let mut frame = vec![0, 0, block.len() as u8, kind, flags, 0, 0, 0, 1];
        frame.extend_from_slice(block);
        frame
    }

    /// What comes out of `bytes`, read in two pieces; it is the same wherever they are split.
    fn passed(frames: &[Vec<u8>]) -> Vec<u8> {
        let bytes = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frames.concat()].concat();
        let pass = |at: usize| {
            let mut bytes = bytes.clone();
            let mut frames = PlainAuthority::new(()).filter;
            let (first, second) = bytes.split_at_mut(at);
            frames.pass(first);
            frames.pass(second);
            bytes
        };
        let whole = pass(0);
        (0..bytes.len()).for_each(|at| assert_eq!(pass(at), whole, "{at}"));
        whole[PREFACE_LEN..].to_vec()
    }

    #[test]
    fn the_authority_loses_its_percent_signs_and_nothing_else_does() {
        let block = b"@\x05:path\x06/a%2Fb@\x0a:authority\x0atmp%2Fx%2Fs\x83\x86@\x01%\x02%%";
        let expected = b"@\x05:path\x06/a%2Fb@\x0a:authority\x0atmp-2Fx-2Fs\x83\x86@\x01%\x02%%";
        let settings = frame(4, 0, b"@\x0a:authority\x03%%%");
        let found = passed(&[settings.clone(), frame(HEADERS, 4, block), frame(0, 1, block)]);
        assert_eq!(found, [settings, frame(HEADERS, 4, expected), frame(0, 1, block)].concat());
    }

    #[test]
    fn the_authority_is_known_by_its_index_too() {
        for literal in [0x41, 0x01, 0x11] {
            let found = passed(&[frame(HEADERS, 4, &[literal, 3, b'a', b'%', b'b'])]);
            assert_eq!(found, frame(HEADERS, 4, &[literal, 3, b'a', b'-', b'b']));
        }
    }

    #[test]
    fn blocks_may_go_on_in_further_frames_and_begin_with_a_priority() {
        let head = [&[0; PRIORITY_LEN][..], b"\x3f\xe1\x1f@\x0a:author"].concat();
        let found = passed(&[frame(HEADERS, PRIORITY, &head), frame(CONTINUATION, 4, b"ity\x02%a")]);
        assert_eq!(found, [frame(HEADERS, PRIORITY, &head), frame(CONTINUATION, 4, b"ity\x02-a")].concat());
    }

    #[test]
    fn long_values_compressed_values_and_long_indices_are_stepped_over() {
        let long = [b"@\x01x\x7f\x81\x01".to_vec(), vec![b'%'; 256], b"A\x02%a".to_vec()].concat();
        let mut bytes = frame(HEADERS, 4, &[]);
        bytes[1..3].copy_from_slice(&(long.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&long);
        let mut expected = bytes.clone();
        let at = expected.len() - 2;
        expected[at] = b'-';
        assert_eq!(passed(&[bytes]), expected);
        let unchanged = frame(HEADERS, 4, b"A\x82%%\x7f\x01\x02%%\xff\x05\x82");
        assert_eq!(passed(std::slice::from_ref(&unchanged)), unchanged);
        let padded = frame(HEADERS, 4 | PADDED, b"\x01A\x02%a\x00");
        assert_eq!(passed(std::slice::from_ref(&padded)), padded);
    }
}
