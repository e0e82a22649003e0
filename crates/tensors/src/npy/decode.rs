// SPDX-License-Identifier: Apache-2.0
//! An array to a [`Tensor`].

use std::io::Read;
use std::sync::Arc;

use super::header::Header;
use super::text;
use crate::{AlignedBuffer, DataType, Result, ServingError, Shape, Tensor, TensorData};

/// The tensor in a `.npy` file. `wanted` is the element type that it must have; see [`decode_npz`](super::decode_npz)
/// for several arrays.
///
/// # Errors
/// INVALID_ARGUMENT if it is not such a file, is cut off or goes on, or holds something else than `wanted`.
pub fn decode_npy(file: &[u8], wanted: Option<DataType>) -> Result<Tensor> {
    read_array(&mut &*file, file.len(), wanted)
}

/// Reads an array that has `len` bytes with its header. Allocates no more than a small multiple of that.
pub(super) fn read_array(source: &mut impl Read, len: usize, wanted: Option<DataType>) -> Result<Tensor> {
    let (Header { descr, fortran_order, shape }, header_len) = Header::read(source)?;
    let dtype = descr.dtype(wanted)?;
    let data_len = shape.num_elements().checked_mul(descr.size());
    if data_len.and_then(|n| n.checked_add(header_len)) != Some(len) {
        let given = len.saturating_sub(header_len);
        let message = format!("shape {shape} of {descr} does not fit the {given} bytes of elements that follow");
        return Err(ServingError::invalid_argument(message));
    }
    if descr.is_text() {
        text::check_count(descr, shape.num_elements())?;
    }
    let mut buffer = AlignedBuffer::zeroed(len - header_len);
    source.read_exact(buffer.as_mut()).map_err(|error| ServingError::invalid_argument(error.to_string()))?;
    if fortran_order && shape.rank() > 1 && descr.size() > 0 {
        buffer = to_row_major(&buffer, &shape, descr.size());
    }
    if descr.is_text() {
        let elements = text::elements(buffer, descr, shape.num_elements())?;
        return Ok(Tensor::new(dtype, shape, TensorData::Strings(Arc::new(elements))));
    }
    if descr.is_big_endian() && descr.swap_unit() > 1 {
        buffer.as_mut().chunks_exact_mut(descr.swap_unit()).for_each(<[u8]>::reverse);
    }
    if dtype == DataType::Bool {
        buffer.as_mut().iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
    }
    Ok(Tensor::plain(dtype, shape, buffer))
}

fn to_row_major(from: &AlignedBuffer, shape: &Shape, size: usize) -> AlignedBuffer {
    let mut to = AlignedBuffer::zeroed(from.len());
    let source = from.as_ref();
    for (element, at) in to.as_mut().chunks_exact_mut(size).zip(row_major_positions(shape)) {
        element.copy_from_slice(&source[at * size..(at + 1) * size]);
    }
    to
}

/// For each element in row-major order, its place when the first dimension varies fastest.
fn row_major_positions(shape: &Shape) -> impl Iterator<Item = usize> {
    let dims: Vec<usize> = shape.dims().iter().map(|&dim| dim as usize).collect();
    // Without elements the product may be beyond any memory; nothing is asked of it then.
    let strides: Vec<usize> = dims
        .iter()
        .scan(1usize, |stride, dim| {
            let this = *stride;
            *stride = stride.wrapping_mul(*dim);
            Some(this)
        })
        .collect();
    let mut index = vec![0; dims.len()];
    let mut next = 0;
    (0..shape.num_elements()).map(move |_| {
        let at = next;
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            next += strides[axis];
            if index[axis] < dims[axis] {
                break;
            }
            next -= strides[axis] * dims[axis];
            index[axis] = 0;
        }
        at
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::descr::Descr;
    use super::super::encode::encode_npy;
    use super::*;
    use bytes::Bytes;

    fn file(descr: &str, fortran_order: bool, dims: &[i64], data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let header = Header { descr: Descr::parse(descr).unwrap(), fortran_order, shape: Shape::new(dims).unwrap() };
        header.write(&mut out).unwrap();
        out.extend_from_slice(data);
        out
    }

    #[test]
    fn column_major_arrays_are_turned() {
        let tensor = decode_npy(&file("|u1", true, &[2, 3], &[1, 4, 2, 5, 3, 6]), None).unwrap();
        assert_eq!(tensor.bytes(), [1, 2, 3, 4, 5, 6]);
        let tensor = decode_npy(&file("|u1", true, &[2, 2, 2], &[0, 4, 2, 6, 1, 5, 3, 7]), None).unwrap();
        assert_eq!(tensor.bytes(), [0, 1, 2, 3, 4, 5, 6, 7]);
        let tensor = decode_npy(&file("|S1", true, &[2, 2], b"acbd"), None).unwrap();
        let crate::TensorData::Strings(strings) = tensor.data() else { panic!("not strings") };
        assert_eq!((0..4).map(|i| strings.get(i)).collect::<Vec<_>>(), [b"a", b"b", b"c", b"d"]);
        assert_eq!(decode_npy(&file("<f8", true, &[1 << 40, 1 << 20, 0], &[]), None).unwrap().bytes(), b"");
    }

    #[test]
    fn big_endian_numbers_are_turned() {
        let tensor = decode_npy(&file(">u2", false, &[2], &[1, 2, 3, 4]), None).unwrap();
        assert_eq!(tensor.bytes(), [2, 1, 4, 3]);
        let complex = file(">c8", false, &[], &[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(decode_npy(&complex, None).unwrap().bytes(), [4, 3, 2, 1, 8, 7, 6, 5]);
    }

    #[test]
    fn truth_values_are_zero_or_one() {
        assert_eq!(decode_npy(&file("|b1", false, &[3], &[0, 1, 255]), None).unwrap().bytes(), [0, 1, 1]);
    }

    #[test]
    fn files_that_end_early_or_go_on_are_refused() {
        let whole = file("<f4", false, &[2], &[0; 8]);
        for bad in [&whole[..whole.len() - 1], &[&whole[..], b"x"].concat(), &whole[..20], b"", b"\x93NUMPY\x09\x00"] {
            assert_eq!(decode_npy(bad, None).unwrap_err().code, crate::Code::InvalidArgument);
        }
        // A huge claim costs nothing.
        assert!(decode_npy(&file("<f8", false, &[1 << 60], &[0; 8]), None).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            which in 0..DataType::ALL.len(),
            dims in proptest::collection::vec(0i64..4, 0..5),
            seed in any::<u64>(),
        ) {
            let dtype = DataType::ALL[which];
            let shape = Shape::new(&dims).unwrap();
            prop_assume!(dtype.size() > 0);
            let mut buffer = AlignedBuffer::zeroed(shape.num_elements() * dtype.size());
            let mut state = seed;
            for byte in buffer.as_mut() {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                *byte = if dtype == DataType::Bool { (state >> 63) as u8 } else { (state >> 56) as u8 };
            }
            let tensor = Tensor::plain(dtype, shape.clone(), buffer);
            let read = decode_npy(&encode_npy(&tensor, usize::MAX).unwrap(), Some(dtype)).unwrap();
            prop_assert_eq!((read.dtype(), read.shape(), read.bytes()), (dtype, &shape, tensor.bytes()));
        }

        #[test]
        fn strings_are_read_as_written(texts in proptest::collection::vec("[a-zé\u{0}]{0,6}[a-z]|", 0..9)) {
            let elements: Vec<Bytes> = texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect();
            let tensor = Tensor::strings(Shape::new(&[texts.len() as i64]).unwrap(), elements);
            let read = decode_npy(&encode_npy(&tensor, usize::MAX).unwrap(), Some(DataType::String)).unwrap();
            let crate::TensorData::Strings(strings) = read.data() else { panic!("not strings") };
            prop_assert_eq!(strings.len(), texts.len());
            prop_assert!(texts.iter().enumerate().all(|(i, text)| strings.get(i) == text.as_bytes()));
        }

        #[test]
        fn hostile_bytes_are_an_error_or_a_tensor(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            keep in 0usize..90,
        ) {
            let good = file("<f4", false, &[2, 3], &[0; 24]);
            let keep = keep.min(bytes.len());
            bytes[..keep].copy_from_slice(&good[..keep]);
            if let Ok(tensor) = decode_npy(&bytes, None) {
                prop_assert!(tensor.bytes().len() <= bytes.len());
            }
        }
    }
}
