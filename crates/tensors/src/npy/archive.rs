// SPDX-License-Identifier: Apache-2.0
//! Named arrays in a zip file, as `numpy.savez` and `numpy.savez_compressed` write them.

use std::io::{Cursor, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::decode::read_array;
use super::encode::encode_npy;
use crate::{Code, DataType, Result, ServingError, Tensor};

const SUFFIX: &str = ".npy";

/// The named tensors in a `.npz` file, in the file's order. `wanted` gives the element type that an array must have, or
/// refuses its name before it is read.
///
/// # Errors
/// INVALID_ARGUMENT if it is not such a file; RESOURCE_EXHAUSTED if its arrays have more than `max_bytes` together.
pub fn decode_npz(
    file: &[u8],
    max_bytes: usize,
    mut wanted: impl FnMut(&str) -> Result<Option<DataType>>,
) -> Result<Vec<(String, Tensor)>> {
    let not_npz = |error| ServingError::invalid_argument(format!("it is not a set of arrays in npz format: {error}"));
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(not_npz)?;
    let mut left = max_bytes;
    let mut arrays = Vec::new();
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).map_err(not_npz)?;
        let name = member.name().map_err(not_npz)?.into_owned();
        let name = name.strip_suffix(SUFFIX).unwrap_or(&name).to_owned();
        let dtype = wanted(&name)?;
        let len = usize::try_from(member.size()).unwrap_or(usize::MAX);
        left = left.checked_sub(len).ok_or_else(|| {
            let message = format!("the arrays have more than {max_bytes} bytes together");
            ServingError::new(Code::ResourceExhausted, message)
        })?;
        let tensor = read_array(&mut member, len, dtype).and_then(|tensor| check_end(&mut member).map(|()| tensor));
        let tensor = tensor.map_err(|e| ServingError::new(e.code, format!("array \"{name}\": {}", e.message)))?;
        arrays.push((name, tensor));
    }
    Ok(arrays)
}

/// Makes the archive check the member's sum, and that nothing follows.
fn check_end(member: &mut impl Read) -> Result<()> {
    match member.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(ServingError::invalid_argument("it has more bytes than it says")),
        Err(error) => Err(ServingError::invalid_argument(error.to_string())),
    }
}

/// The tensors as a `.npz` file without compression, which readers map or copy as they are.
///
/// # Errors
/// Those of [`encode_npy`](super::encode_npy).
pub fn encode_npz(tensors: &[(&str, &Tensor)], max_bytes: usize) -> Result<Vec<u8>> {
    let failed = |error: &dyn std::fmt::Display| ServingError::internal(format!("the npz reply failed: {error}"));
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut left = max_bytes;
    for (name, tensor) in tensors {
        let array = encode_npy(tensor, left)?;
        left = left.saturating_sub(array.len());
        let large = u32::try_from(array.len()).is_err();
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(large);
        archive.start_file(format!("{name}{SUFFIX}"), options).map_err(|e| failed(&e))?;
        archive.write_all(&array).map_err(|e| failed(&e))?;
    }
    archive.finish().map(Cursor::into_inner).map_err(|e| failed(&e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AlignedBuffer, Shape};

    fn zeros(n: usize) -> Tensor {
        Tensor::plain(DataType::Float, Shape::new(&[n as i64]).unwrap(), AlignedBuffer::zeroed(4 * n))
    }

    fn deflated(arrays: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, array) in arrays {
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
            archive.start_file(*name, options).unwrap();
            archive.write_all(array).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn names(file: &[u8], max_bytes: usize) -> Result<Vec<(String, usize)>> {
        let arrays = decode_npz(file, max_bytes, |_| Ok(Some(DataType::Float)))?;
        Ok(arrays.into_iter().map(|(name, tensor)| (name, tensor.bytes().len())).collect())
    }

    #[test]
    fn long_replies_are_refused_before_they_are_written() {
        let a = zeros(1000);
        assert!(encode_npy(&a, 4000).is_ok());
        assert_eq!(encode_npy(&a, 3999).unwrap_err().code, Code::ResourceExhausted);
        assert!(encode_npz(&[("a", &a), ("b", &a)], 9000).is_ok());
        assert_eq!(encode_npz(&[("a", &a), ("b", &a)], 8000).unwrap_err().code, Code::ResourceExhausted);
    }

    #[test]
    fn named_arrays_are_read_plain_and_deflated() {
        let (a, b) = (zeros(2), zeros(0));
        let expected = vec![("a".to_owned(), 8), ("b/c".to_owned(), 0)];
        assert_eq!(names(&encode_npz(&[("a", &a), ("b/c", &b)], usize::MAX).unwrap(), 1000).unwrap(), expected);
        let (a, b) = (encode_npy(&a, usize::MAX).unwrap(), encode_npy(&b, usize::MAX).unwrap());
        assert_eq!(names(&deflated(&[("a.npy", &a), ("b/c.npy", &b)]), 1000).unwrap(), expected);
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let array = encode_npy(&zeros(1_000_000), usize::MAX).unwrap();
        let file = deflated(&[("a.npy", &array), ("b.npy", &array)]);
        assert!(file.len() < 20_000);
        assert_eq!(names(&file, 8_000_000).unwrap_err().code, Code::ResourceExhausted);
        assert_eq!(names(&file, 8_000_256).unwrap().len(), 2);
    }

    #[test]
    fn damaged_files_are_refused() {
        let mut file = encode_npz(&[("a", &zeros(2))], usize::MAX).unwrap();
        let data = file.windows(6).position(|w| w == b"\x93NUMPY").unwrap() + 128;
        file[data] = 1;
        let error = names(&file, 1000).unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument);
        assert!(error.message.starts_with("array \"a\": "), "{error}");
        for bad in [&b""[..], b"PK\x05\x06", b"not a zip file at all", &file[..file.len() - 30]] {
            assert_eq!(names(bad, 1000).unwrap_err().code, Code::InvalidArgument);
        }
    }

    #[test]
    fn unknown_names_are_refused_before_they_are_read() {
        let file = encode_npz(&[("a", &zeros(2))], usize::MAX).unwrap();
        let refused = decode_npz(&file, 1000, |name| Err(ServingError::not_found(name)));
        assert_eq!(refused.unwrap_err(), ServingError::not_found("a"));
    }
}
