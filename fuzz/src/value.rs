// SPDX-License-Identifier: Apache-2.0
//! A tensor as plain vectors, to compare by.

use half::{bf16, f16};
use tensorserve_tensors::{DataType, Tensor, TensorData};

/// Element type, dimensions, and the bytes of each element.
#[derive(Clone, Debug)]
pub struct Value {
    pub dtype: DataType,
    pub dims: Vec<i64>,
    pub elements: Vec<Vec<u8>>,
}

impl Value {
    pub fn of(tensor: &Tensor) -> Self {
        let elements = match tensor.data() {
            TensorData::Plain(bytes) if bytes.is_empty() => Vec::new(),
            TensorData::Plain(bytes) => bytes.chunks(tensor.dtype().size()).map(<[u8]>::to_vec).collect(),
            TensorData::Strings(strings) => (0..strings.len()).map(|i| strings.get(i).to_vec()).collect(),
        };
        Value { dtype: tensor.dtype(), dims: tensor.shape().dims().to_vec(), elements }
    }

    /// Whether both are the same; one NaN is as good as another.
    pub fn equals(&self, other: &Value) -> bool {
        let same = |(a, b): (&Vec<u8>, &Vec<u8>)| a == b || is_nan(self.dtype, a) && is_nan(self.dtype, b);
        self.dtype == other.dtype
            && self.dims == other.dims
            && self.elements.len() == other.elements.len()
            && self.elements.iter().zip(&other.elements).all(same)
    }
}

fn is_nan(dtype: DataType, element: &[u8]) -> bool {
    match (dtype, element) {
        (DataType::Float, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]).is_nan(),
        (DataType::Double, bytes) => bytes.try_into().is_ok_and(|bytes| f64::from_le_bytes(bytes).is_nan()),
        (DataType::Half, &[a, b]) => f16::from_le_bytes([a, b]).is_nan(),
        (DataType::Bfloat16, &[a, b]) => bf16::from_le_bytes([a, b]).is_nan(),
        _ => false,
    }
}
