// SPDX-License-Identifier: Apache-2.0
//! Compressed requests, with a bound on what they may grow to.

use std::io::Read;

use bytes::{Buf, Bytes};
use flate2::read::{GzDecoder, ZlibDecoder};
use tensorserve_servables::{Code, Result, ServingError};

/// A compressed request may not grow beyond this; a kilobyte could otherwise ask for gigabytes.
pub(crate) const MAX_INFLATED_BYTES: usize = 100 << 20;

/// How a request is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    /// zlib's format, which HTTP and gRPC call "deflate".
    Deflate,
    Zstd,
}

impl Compression {
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"gzip" => Some(Compression::Gzip),
            b"deflate" => Some(Compression::Deflate),
            b"zstd" => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// What `Content-Encoding` says. As in the original "gzip" may stand anywhere in it: `x-gzip`, `identity, gzip`.
    pub(crate) fn in_header(value: &[u8]) -> Option<Self> {
        let has_gzip = value.windows(4).any(|part| part.eq_ignore_ascii_case(b"gzip"));
        if has_gzip { Some(Compression::Gzip) } else { Self::from_name(value) }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Compression::Gzip => "gzip",
            Compression::Deflate => "deflate",
            Compression::Zstd => "zstd",
        }
    }
}

/// Inflates a message that lies in `pieces`. INVALID_ARGUMENT if it is not what `compression` says, RESOURCE_EXHAUSTED
/// if it grows beyond `max_bytes` or [`MAX_INFLATED_BYTES`].
pub(crate) fn inflate(compression: Compression, pieces: &[Bytes], max_bytes: usize) -> Result<Bytes> {
    let limit = max_bytes.min(MAX_INFLATED_BYTES);
    let compressed = Pieces(pieces.to_vec()).reader();
    let mut inflated = Vec::new();
    // One byte more than allowed tells a message that fits exactly from one that is too large.
    let read = match compression {
        Compression::Gzip => GzDecoder::new(compressed).take(limit as u64 + 1).read_to_end(&mut inflated),
        Compression::Deflate => ZlibDecoder::new(compressed).take(limit as u64 + 1).read_to_end(&mut inflated),
        Compression::Zstd => {
            zstd_decoder(compressed).and_then(|decoder| decoder.take(limit as u64 + 1).read_to_end(&mut inflated))
        }
    };
    if let Err(error) = read {
        return Err(ServingError::invalid_argument(format!("the request is not valid {compression:?} data: {error}")));
    }
    if inflated.len() > limit {
        let message = format!("the compressed request grows beyond {limit} bytes; send it uncompressed");
        return Err(ServingError::new(Code::ResourceExhausted, message));
    }
    Ok(inflated.into())
}

/// The window that HTTP allows (RFC 9659): 8 MiB. A sender could otherwise ask for gigabytes of it.
const ZSTD_WINDOW_LOG: u32 = 23;

fn zstd_decoder(compressed: impl Read) -> std::io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::new(compressed)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

/// Several pieces as one buffer.
struct Pieces(Vec<Bytes>);

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.first().map_or(&[], |piece| piece)
    }

    fn advance(&mut self, mut n: usize) {
        while let Some(first) = self.0.first_mut() {
            let step = n.min(first.len());
            first.advance(step);
            n -= step;
            if !first.is_empty() {
                return;
            }
            self.0.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_is_found_anywhere_in_the_header() {
        for value in ["gzip", "x-gzip", "GZIP", "identity, gzip"] {
            assert_eq!(Compression::in_header(value.as_bytes()), Some(Compression::Gzip), "{value}");
        }
        assert_eq!(Compression::in_header(b"zstd"), Some(Compression::Zstd));
        assert_eq!(Compression::in_header(b"br"), None);
    }

    #[test]
    fn pieces_are_inflated_together() {
        let text = b"tensors ".repeat(1000);
        let pieces: Vec<Bytes> = gzip(&text).chunks(7).map(Bytes::copy_from_slice).collect();
        assert_eq!(inflate(Compression::Gzip, &pieces, usize::MAX).unwrap(), text);
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let pieces = [Bytes::from(gzip(&vec![0; 2_000_000]))];
        assert!(pieces[0].len() < 20_000);
        let error = inflate(Compression::Gzip, &pieces, 1_000_000).unwrap_err();
        assert_eq!(error.code, Code::ResourceExhausted);
        assert_eq!(inflate(Compression::Gzip, &pieces, 2_000_000).unwrap().len(), 2_000_000);
    }

    #[test]
    fn a_zstd_bomb_stops_at_the_limit_and_at_its_window() {
        let small = |window| {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
            encoder.window_log(window).unwrap();
            encoder.write_all(&vec![0; 20_000_000]).unwrap();
            [Bytes::from(encoder.finish().unwrap())]
        };
        assert_eq!(inflate(Compression::Zstd, &small(20), usize::MAX).unwrap().len(), 20_000_000);
        assert_eq!(inflate(Compression::Zstd, &small(20), 1000).unwrap_err().code, Code::ResourceExhausted);
        assert_eq!(inflate(Compression::Zstd, &small(27), usize::MAX).unwrap_err().code, Code::InvalidArgument);
    }

    #[test]
    fn other_bytes_are_refused() {
        for compression in [Compression::Gzip, Compression::Deflate, Compression::Zstd] {
            let error = inflate(compression, &[Bytes::from_static(b"plain text")], usize::MAX).unwrap_err();
            assert_eq!(error.code, Code::InvalidArgument);
        }
    }
}
