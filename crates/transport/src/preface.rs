// SPDX-License-Identifier: Apache-2.0
//! Which version of HTTP a client begins to speak, without losing what it said.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::incoming::{Filter, Filtered};

/// How every HTTP/2 connection begins.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Room for the first read: usually the whole first request, so that telling the versions apart costs no extra read.
const FIRST_READ: usize = 8 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// A connection whose first bytes were read already; it gives them again.
pub(crate) type Replayed<S> = Filtered<S, First>;

/// The first bytes of a connection.
pub(crate) struct First {
    bytes: Vec<u8>,
    given: usize,
}

/// Reads until the version is known. An error means that the client has left.
pub(crate) async fn detect<S: AsyncRead + Unpin>(mut stream: S) -> io::Result<(Version, Replayed<S>)> {
    let mut first = Vec::new();
    loop {
        let known = first.len().min(HTTP2.len());
        let version = match first[..known] == HTTP2[..known] {
            true if known == HTTP2.len() => Version::Http2,
            true => {
                poll_fn(|cx| read_more(&mut stream, &mut first, cx)).await?;
                continue;
            }
            false => Version::Http1,
        };
        return Ok((version, Filtered { stream, filter: First { bytes: first, given: 0 } }));
    }
}

/// Reads what has come; an error if nothing will. While nothing has, there is no buffer: thousands of clients may wait.
fn read_more<S: AsyncRead + Unpin>(stream: &mut S, first: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let mut buffer = [0; FIRST_READ];
    let mut buffer = ReadBuf::new(&mut buffer);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    if buffer.filled().is_empty() {
        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
    }
    first.extend_from_slice(buffer.filled());
    Poll::Ready(Ok(()))
}

impl<S> Replayed<S> {
    /// Whether the first bytes may be a request of HTTP/1: a method in capitals and a space.
    pub(crate) fn looks_like_http1(&self) -> bool {
        let first = &self.filter.bytes;
        let method = first.iter().position(|byte| !byte.is_ascii_uppercase());
        method.is_some_and(|len| len >= 3 && first[len] == b' ')
    }
}

impl Filter for First {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: Pin<&mut S>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() {
            return stream.poll_read(cx, out);
        }
        let rest = &self.bytes[self.given..];
        let n = rest.len().min(out.remaining());
        out.put_slice(&rest[..n]);
        self.given += n;
        if self.given == self.bytes.len() {
            self.bytes = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// Sends `pieces` with pauses between them and gives the version and everything that can be read.
    async fn told(pieces: &'static [&'static [u8]]) -> io::Result<(Version, Vec<u8>)> {
        let (mut client, server) = tokio::io::duplex(64);
        tokio::spawn(async move {
            for piece in pieces {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut client, piece).await;
                tokio::task::yield_now().await;
            }
        });
        let (version, mut replayed) = detect(server).await?;
        let mut all = Vec::new();
        replayed.read_to_end(&mut all).await?;
        Ok((version, all))
    }

    #[tokio::test]
    async fn versions_are_told_apart_and_nothing_is_lost() {
        let cases: [(&'static [&'static [u8]], Version); 5] = [
            (&[b"GET / HTTP/1.1\r\n\r\n"], Version::Http1),
            (&[b"P", b"OST /v1/models/m:predict HTTP/1.1\r\n\r\n"], Version::Http1),
            (&[b"PRI * HTTP/1.1\r\n\r\n"], Version::Http1),
            (&[b"PRI * HTTP/2.0\r\n", b"\r\nSM\r\n\r\n", b"frames"], Version::Http2),
            (&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nframes", &[b'x'; 300]], Version::Http2),
        ];
        for (pieces, version) in cases {
            assert_eq!(told(pieces).await.unwrap(), (version, pieces.concat()));
        }
    }

    #[tokio::test]
    async fn requests_of_http1_are_known_from_other_bytes() {
        let cases: [(&'static [u8], bool); 7] = [
            (b"GET / HTTP/1.1\r\n\r\n", true),
            (b"POST /x HTTP/1.0\r\n", true),
            (b"PRI * HTTP/1.1\r\n", true),
            (b"\x16\x03\x01\x02\x00", false),
            (b"get / HTTP/1.1\r\n\r\n", false),
            (b"\0\0\0\0", false),
            (b" GET", false),
        ];
        for (bytes, expected) in cases {
            let (_, replayed) = detect(bytes).await.unwrap();
            assert_eq!(replayed.looks_like_http1(), expected, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_client_that_leaves_early_is_an_error() {
        assert!(told(&[]).await.is_err());
        assert!(told(&[b"PRI * HT"]).await.is_err());
    }
}
