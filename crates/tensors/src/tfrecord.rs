// SPDX-License-Identifier: Apache-2.0
//! TFRecord files: records one after the other, each between its length and its checksum.
//!
//! A record is `length: u64, masked CRC-32C of the length: u32, data, masked CRC-32C of the data: u32`, all little endian.
//! Error texts, and that a file may end within a length, are those of TensorFlow's own reader.

use std::io::{ErrorKind, Read};

use bytes::Bytes;

use crate::{Code, Result, ServingError};

/// Bytes before a record's data.
const HEADER: usize = 12;

/// Bytes after a record's data.
const FOOTER: usize = 4;

/// Larger records cannot be protobuf messages.
pub const MAX_RECORD: u64 = i32::MAX as u64;

/// Memory set aside for a record before its data was seen.
const RESERVED: usize = 1 << 20;

/// Appends a record to what will be a file.
pub fn put_record(out: &mut Vec<u8>, data: &[u8]) {
    let len = (data.len() as u64).to_le_bytes();
    out.reserve(HEADER + data.len() + FOOTER);
    out.extend_from_slice(&len);
    out.extend_from_slice(&masked_crc(&len).to_le_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(&masked_crc(data).to_le_bytes());
}

/// The checksum is masked, since checksums of data that contain checksums would be weak.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Reads the records of a file, one at a time.
pub struct RecordReader<R> {
    source: R,
    /// Bytes read so far.
    offset: u64,
    ended: bool,
}

impl<R: Read> RecordReader<R> {
    /// `source` should be buffered.
    pub fn new(source: R) -> Self {
        RecordReader { source, offset: 0, ended: false }
    }

    fn read(&mut self) -> Result<Option<Bytes>> {
        let start = self.offset;
        let mut header = [0; HEADER];
        if !self.fill(&mut header)? {
            return Ok(None);
        }
        let ([len @ .., _, _, _, _], [_, _, _, _, _, _, _, _, crc @ ..]) = (header, header);
        if masked_crc(&len) != u32::from_le_bytes(crc) {
            let hint = if start == 0 { " (Is this even a TFRecord file?)" } else { "" };
            return Err(damaged(format!("corrupted record at {start}{hint}")));
        }
        let len = u64::from_le_bytes(len);
        if len > MAX_RECORD {
            return Err(damaged(format!("record at {start} has {len} bytes; {MAX_RECORD} is the limit")));
        }
        let data = self.data(len as usize)?;
        let mut crc = [0; FOOTER];
        if data.len() as u64 != len || !self.fill(&mut crc)? {
            return Err(damaged(format!("truncated record at {start}' failed with Read less bytes than requested")));
        }
        if masked_crc(&data) != u32::from_le_bytes(crc) {
            return Err(damaged(format!("corrupted record at {}", start + HEADER as u64)));
        }
        Ok(Some(data.into()))
    }

    /// Up to `len` bytes; fewer at the end of the file.
    fn data(&mut self, len: usize) -> Result<Vec<u8>> {
        let mut data = Vec::with_capacity(len.min(RESERVED));
        self.source.by_ref().take(len as u64).read_to_end(&mut data).map_err(unreadable)?;
        self.offset += data.len() as u64;
        Ok(data)
    }

    /// Fills the whole of `out`; false at the end of the file.
    fn fill(&mut self, out: &mut [u8]) -> Result<bool> {
        match self.source.read_exact(out) {
            Ok(()) => {
                self.offset += out.len() as u64;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(unreadable(error)),
        }
    }
}

/// Ends after the first error: DATA_LOSS if the file is damaged, UNKNOWN if it cannot be read.
impl<R: Read> Iterator for RecordReader<R> {
    type Item = Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let record = self.read().transpose();
        self.ended = !matches!(record, Some(Ok(_)));
        record
    }
}

fn damaged(message: String) -> ServingError {
    ServingError::new(Code::DataLoss, message)
}

fn unreadable(error: std::io::Error) -> ServingError {
    ServingError::new(Code::Unknown, error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(records: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        records.iter().for_each(|record| put_record(&mut out, record));
        out
    }

    fn read(file: &[u8]) -> (Vec<Vec<u8>>, Option<ServingError>) {
        let mut records = Vec::new();
        for record in RecordReader::new(file) {
            match record {
                Ok(record) => records.push(record.to_vec()),
                Err(error) => return (records, Some(error)),
            }
        }
        (records, None)
    }

    #[test]
    fn the_bytes_are_those_of_tensorflow() {
        // What tf.io.TFRecordWriter writes for b"hello".
        let header = [5, 0, 0, 0, 0, 0, 0, 0, 0xea, 0xb2, 0x04, 0x3e];
        assert_eq!(file(&[b"hello"]), [&header[..], b"hello", &[0xbb, 0x1f, 0x1c, 0x19]].concat());
    }

    #[test]
    fn damage_is_named_as_tensorflow_names_it() {
        let good = file(&[b"hello", &[b'x'; 100]]);
        let mut flipped = good.clone();
        flipped[14] ^= 1;
        let mut huge = (MAX_RECORD + 1).to_le_bytes().to_vec();
        huge.extend_from_slice(&masked_crc(&huge).to_le_bytes());
        let cases = [
            (b"this is no TFRecord file".to_vec(), "corrupted record at 0 (Is this even a TFRecord file?)"),
            (flipped, "corrupted record at 12"),
            (good[..60].to_vec(), "truncated record at 21' failed with Read less bytes than requested"),
            (good[..good.len() - 2].to_vec(), "truncated record at 21' failed with Read less bytes than requested"),
            (huge, "record at 0 has 2147483648 bytes; 2147483647 is the limit"),
        ];
        for (file, expected) in cases {
            assert_eq!(read(&file).1, Some(damaged(expected.to_owned())));
        }
    }

    #[test]
    fn a_file_may_end_within_a_header() {
        assert_eq!(read(&file(&[b"hello", b"x"])[..25]), (vec![b"hello".to_vec()], None));
        assert_eq!(read(b""), (vec![], None));
    }

    #[test]
    fn a_false_length_costs_no_memory() {
        let mut huge = MAX_RECORD.to_le_bytes().to_vec();
        huge.extend_from_slice(&masked_crc(&huge).to_le_bytes());
        let mut reader = RecordReader::new(&huge[..]);
        assert_eq!(reader.next().map(|record| record.is_err()), Some(true));
        assert!(reader.next().is_none());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8)) {
            let file = file(&records.iter().map(Vec::as_slice).collect::<Vec<_>>());
            prop_assert_eq!(read(&file), (records, None));
        }

        #[test]
        fn no_damage_gives_a_false_record(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..5),
            at in any::<prop::sample::Index>(),
            bit in 0..8u32,
        ) {
            let mut file = file(&records.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let at = at.index(file.len());
            file[at] ^= 1 << bit;
            let (found, error) = read(&file);
            prop_assert!(error.is_some());
            prop_assert!(found.len() < records.len() && found[..] == records[..found.len()]);
        }
    }
}
