// SPDX-License-Identifier: Apache-2.0
//! Several tensors, one below the other, in one: each is copied once into its rows of aligned memory.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;
use tensorserve_tensors::{
    AlignedBuffer, Code, DataType, Result, ServingError, Shape, StringElements, Tensor, TensorData,
};

/// Ranks that can be padded in other dimensions than the first.
const PADDED_RANKS: std::ops::RangeInclusive<usize> = 1..=6;

/// How tensors of one input become one.
#[derive(Clone, Debug, Default)]
pub struct Merging {
    /// Rows of the result; those beyond the parts' are copies of the first row of the last part.
    pub rows: usize,
    /// Parts that differ behind dimension 0 are padded to the largest.
    pub pad: bool,
    /// What is padded with, as one element's bytes; the first element of each part if there is none.
    pub pad_value: Option<Bytes>,
}

/// Puts the parts, all of this type and rank, below each other.
///
/// INVALID_ARGUMENT for parts that cannot be padded; FAILED_PRECONDITION for ones of different shapes without padding;
/// INTERNAL for ones of different types.
pub fn merge(parts: &[&Tensor], merging: &Merging) -> Result<Tensor> {
    let Some(first) = parts.first() else { return Err(ServingError::internal("a batch without tensors")) };
    if parts.iter().any(|part| part.dtype() != first.dtype() || part.shape().rank() != first.shape().rank()) {
        return Err(ServingError::internal("Tensor concat operation failed: tensors of different types or ranks"));
    }
    let row = row_dims(parts, merging)?;
    let rows: i64 = parts.iter().map(|part| part.shape().dims().first().copied().unwrap_or(0)).sum();
    let rows = usize::try_from(rows).unwrap_or(0).max(merging.rows);
    let mut dims: SmallVec<[i64; 6]> = SmallVec::new();
    dims.push(rows as i64);
    dims.extend_from_slice(&row);
    let shape = Shape::new(&dims).ok_or_else(too_large)?;
    let row_elements: usize = row.iter().map(|&dim| dim as usize).product();
    if first.dtype() == DataType::String {
        return Ok(merge_strings(parts, merging, shape, &row));
    }
    let row_bytes = row_elements.checked_mul(first.dtype().size()).ok_or_else(too_large)?;
    let bytes = row_bytes.checked_mul(rows).ok_or_else(too_large)?;
    let mut buffer = AlignedBuffer::zeroed(bytes);
    let (out, mut at, mut last) = (buffer.as_mut(), 0, 0);
    for part in parts {
        last = at;
        if row_of(part) == &row[..] {
            let bytes = part.bytes();
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        } else {
            at += pad_into(&mut out[at..], part, &row, merging.pad_value.as_ref());
        }
    }
    while at < bytes && row_bytes > 0 {
        out.copy_within(last..last + row_bytes, at);
        at += row_bytes;
    }
    Ok(Tensor::plain(first.dtype(), shape, buffer))
}

fn too_large() -> ServingError {
    ServingError::new(Code::ResourceExhausted, "the batch would be too large")
}

/// The dimensions behind the first.
fn row_of(tensor: &Tensor) -> &[i64] {
    tensor.shape().dims().get(1..).unwrap_or_default()
}

/// The dimensions of a row of the result.
fn row_dims(parts: &[&Tensor], merging: &Merging) -> Result<SmallVec<[i64; 6]>> {
    let mut row: SmallVec<[i64; 6]> = SmallVec::from_slice(row_of(parts[0]));
    if parts.iter().all(|part| row_of(part) == &row[..]) {
        return Ok(row);
    }
    if !merging.pad {
        return Err(ServingError::failed_precondition(
            "Tensors from different tasks have different shapes and padding is turned off. Set \
             pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal dimensions \
             starting with the first dim.",
        ));
    }
    for part in parts {
        if !PADDED_RANKS.contains(&part.shape().rank()) {
            return Err(ServingError::invalid_argument("Only tensors with rank from 1 to 6 can be padded."));
        }
        if part.shape().num_elements() == 0 {
            return Err(ServingError::invalid_argument("Got empty tensor in batch of non-empty tensors."));
        }
        row.iter_mut().zip(row_of(part)).for_each(|(largest, &dim)| *largest = dim.max(*largest));
    }
    Ok(row)
}

/// Writes a part whose rows are smaller than `row` to the start of `out`; gives the bytes written.
fn pad_into(out: &mut [u8], part: &Tensor, row: &[i64], value: Option<&Bytes>) -> usize {
    let size = part.dtype().size();
    let bytes = part.bytes();
    let pad = value.filter(|value| value.len() == size).map_or(&bytes[..size], |value| &value[..]);
    let mut at = 0;
    for_each_run(part, row, |from, len, padding| {
        let from = from * size;
        out[at..at + len * size].copy_from_slice(&bytes[from..from + len * size]);
        at += len * size;
        for place in out[at..at + padding * size].chunks_exact_mut(size) {
            place.copy_from_slice(pad);
        }
        at += padding * size;
    });
    at
}

/// Walks over the padded part: calls `run(from, len, padding)` for each stretch of `len` elements at `from` that is
/// followed by `padding` elements of padding.
fn for_each_run(part: &Tensor, row: &[i64], mut run: impl FnMut(usize, usize, usize)) {
    let own: SmallVec<[usize; 6]> = row_of(part).iter().map(|&dim| dim as usize).collect();
    let row: SmallVec<[usize; 6]> = row.iter().map(|&dim| dim as usize).collect();
    let (Some(&own_last), Some(&last)) = (own.last(), row.last()) else { return };
    let outer = row.len() - 1;
    let rows = part.shape().dims().first().map_or(0, |&rows| rows as usize);
    let mut index: SmallVec<[usize; 6]> = SmallVec::from_elem(0, outer);
    for at in 0..rows {
        index.iter_mut().for_each(|place| *place = 0);
        loop {
            let inside = index.iter().zip(&own).all(|(place, own)| place < own);
            if inside {
                let line = index.iter().zip(&own).fold(at, |line, (place, own)| line * own + place);
                run(line * own_last, own_last, last - own_last);
            } else {
                run(0, 0, last);
            }
            if !advance(&mut index, &row[..outer]) {
                break;
            }
        }
    }
}

/// The next index in row-major order; false after the last.
fn advance(index: &mut [usize], dims: &[usize]) -> bool {
    for (place, &dim) in index.iter_mut().zip(dims).rev() {
        *place += 1;
        if *place < dim {
            return true;
        }
        *place = 0;
    }
    false
}

fn merge_strings(parts: &[&Tensor], merging: &Merging, shape: Shape, row: &[i64]) -> Tensor {
    let mut places: Vec<(u32, u32)> = Vec::with_capacity(shape.num_elements());
    let mut last = 0;
    for (number, part) in parts.iter().enumerate() {
        last = places.len();
        let place = |at: usize| (number as u32, at as u32);
        if row_of(part) == row {
            places.extend((0..part.shape().num_elements()).map(place));
        } else {
            // Its own first element, or the given value, which has the number behind the last part's.
            let pad = if merging.pad_value.is_some() { (parts.len() as u32, 0) } else { place(0) };
            for_each_run(part, row, |from, len, padding| {
                places.extend((from..from + len).map(place));
                places.extend(std::iter::repeat_n(pad, padding));
            });
        }
    }
    let row_elements: usize = row.iter().map(|&dim| dim as usize).product();
    while places.len() < shape.num_elements() && row_elements > 0 {
        places.extend_from_within(last..last + row_elements);
        last = places.len() - row_elements;
    }
    let mut sources: Vec<Arc<dyn StringElements>> = parts
        .iter()
        .filter_map(|part| match part.data() {
            TensorData::Strings(strings) => Some(Arc::clone(strings)),
            TensorData::Plain(_) => None,
        })
        .collect();
    sources.push(Arc::new(vec![merging.pad_value.clone().unwrap_or_default()]));
    Tensor::new(DataType::String, shape, TensorData::Strings(Arc::new(MergedStrings { sources, places })))
}

/// Strings that stay where they are.
struct MergedStrings {
    sources: Vec<Arc<dyn StringElements>>,
    /// For each element its source and its place there.
    places: Vec<(u32, u32)>,
}

impl StringElements for MergedStrings {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn get(&self, index: usize) -> &[u8] {
        let (source, at) = self.places[index];
        self.sources[source as usize].get(at as usize)
    }
}
