// SPDX-License-Identifier: Apache-2.0
//! The rows of a tensor that belong to one request, without a copy.

use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;
use tensorserve_tensors::{Result, ServingError, Shape, StringElements, Tensor, TensorData};

/// Checks that a result of a batch has a row for each of its `rows`. FAILED_PRECONDITION, with the original's texts.
pub fn check_rows(tensor: &Tensor, rows: usize) -> Result<()> {
    match tensor.shape().dims().first() {
        None => Err(ServingError::failed_precondition("Batched output tensor has 0 dimensions")),
        Some(&given) if usize::try_from(given) == Ok(rows) => Ok(()),
        Some(_) => Err(ServingError::failed_precondition(
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input tensors",
        )),
    }
}

/// Some rows of a tensor that has them; the elements are shared.
pub fn rows(tensor: &Tensor, rows: Range<usize>) -> Tensor {
    let mut dims: SmallVec<[i64; 6]> = SmallVec::from_slice(tensor.shape().dims());
    let Some(first) = dims.first_mut() else { return tensor.clone() };
    let all = std::mem::replace(first, rows.len() as i64) as usize;
    if rows == (0..all) {
        return tensor.clone();
    }
    let elements = tensor.shape().num_elements().checked_div(all).unwrap_or(0);
    // Fewer rows of a shape that is good are one as well.
    let Some(shape) = Shape::new(&dims) else { return tensor.clone() };
    let data = match tensor.data() {
        TensorData::Plain(bytes) => {
            let row = elements * tensor.dtype().size();
            TensorData::Plain(bytes.slice(rows.start * row..rows.end * row))
        }
        TensorData::Strings(all) => {
            let range = rows.start * elements..rows.end * elements;
            TensorData::Strings(Arc::new(Window { all: Arc::clone(all), range }))
        }
    };
    Tensor::new(tensor.dtype(), shape, data)
}

/// Some of the strings of a tensor.
struct Window {
    all: Arc<dyn StringElements>,
    range: Range<usize>,
}

impl StringElements for Window {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn get(&self, index: usize) -> &[u8] {
        self.all.get(self.range.start + index)
    }
}
