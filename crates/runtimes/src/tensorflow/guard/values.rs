// SPDX-License-Identifier: Apache-2.0
//! What a guard sees of a tensor: its shape and, of few numbers, their values.

/// Elements that are looked at; shapes, windows and boxes are no more.
pub(super) const MOST: usize = 1 << 16;

/// An input of a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Value {
    pub(super) dims: Vec<i64>,
    /// The number of the element type; see `tensorflow.DataType`.
    pub(super) dtype: i32,
    /// The elements, if they are numbers of a kind that is looked at.
    pub(super) bytes: Vec<u8>,
}

const FLOAT: i32 = 1;
const INT32: i32 = 3;
const INT64: i32 = 9;

impl Value {
    pub(super) fn elements(&self) -> i64 {
        self.dims.iter().fold(1, |all, &dim| all.saturating_mul(dim))
    }

    /// Whether the values of elements of this type are looked at.
    pub(super) fn is_looked_at(dtype: i32) -> bool {
        [FLOAT, INT32, INT64].contains(&dtype)
    }

    pub(super) fn is_integer(&self) -> bool {
        [INT32, INT64].contains(&self.dtype)
    }

    /// The elements, if they are whole numbers of 32 or 64 bits.
    pub(super) fn integers(&self) -> Vec<i64> {
        match self.dtype {
            INT32 => self.bytes.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes).into()).collect(),
            INT64 => self.bytes.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect(),
            _ => Vec::new(),
        }
    }

    /// Makes the first of the elements, whole numbers, 0.
    pub(super) fn set_first_to_0(&mut self) {
        let size = if self.dtype == INT32 { 4 } else { 8 };
        self.bytes.iter_mut().take(size).for_each(|byte| *byte = 0);
    }

    pub(super) fn has_float(&self, is: impl Fn(f32) -> bool) -> bool {
        self.dtype == FLOAT && self.bytes.as_chunks().0.iter().any(|bytes| is(f32::from_le_bytes(*bytes)))
    }

    #[cfg(test)]
    pub(super) fn of_integers(dims: &[i64], values: &[i64]) -> Value {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Value { dims: dims.to_vec(), dtype: INT64, bytes }
    }

    #[cfg(test)]
    pub(super) fn of_floats(dims: &[i64], values: &[f32]) -> Value {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Value { dims: dims.to_vec(), dtype: FLOAT, bytes }
    }
}
