// SPDX-License-Identifier: Apache-2.0
//! A [`Tensor`] to an array.

use super::descr::Descr;
use super::header::Header;
use super::text;
use crate::{Code, Result, ServingError, Tensor, TensorData};

/// The tensor as a `.npy` file. Types that NumPy does not have are written as ml_dtypes does: as bytes (`V`).
///
/// # Errors
/// INVALID_ARGUMENT for resources and variants, and for strings that end with a zero byte or are far too uneven in
/// length for NumPy's strings. RESOURCE_EXHAUSTED if the elements have more than `max_bytes`.
pub fn encode_npy(tensor: &Tensor, max_bytes: usize) -> Result<Vec<u8>> {
    let width = match tensor.data() {
        TensorData::Plain(_) => 0,
        TensorData::Strings(strings) => text::width(&**strings)?,
    };
    let dtype = tensor.dtype();
    let unwritable = || ServingError::invalid_argument(format!("tensors of type {dtype} cannot be written as npy"));
    let descr = Descr::of(dtype, width).ok_or_else(unwritable)?;
    let elements = tensor.shape().num_elements().saturating_mul(descr.size());
    if elements > max_bytes {
        let message = format!("the reply is longer than {max_bytes} bytes");
        return Err(ServingError::new(Code::ResourceExhausted, message));
    }
    // The longest header is that of 254 dimensions; usual ones have 128 bytes.
    let mut out = Vec::with_capacity(128 + elements);
    Header { descr, fortran_order: false, shape: tensor.shape().clone() }.write(&mut out)?;
    match tensor.data() {
        TensorData::Plain(bytes) => out.extend_from_slice(bytes),
        TensorData::Strings(strings) => text::write(&mut out, &**strings, descr.size()),
    }
    Ok(out)
}
