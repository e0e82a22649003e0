// SPDX-License-Identifier: Apache-2.0
//! `tensorflow.serving.RegressionResult` to the wire.

use tensorserve_servables::verbs::regress::Regression;
use tensorserve_tensors::proto::wire::{delimited_len, put_delimited_header};

use super::classify::{float_len, put_float};
use super::examples::ResultEncoder;

/// Field numbers of `RegressionResult` and `Regression`.
const REGRESSIONS: u32 = 1;
const VALUE: u32 = 1;

/// Writes a `RegressionResult`.
pub(crate) struct RegressionEncoder<'a> {
    result: &'a Regression,
    len: usize,
}

impl<'a> RegressionEncoder<'a> {
    pub(crate) fn new(result: &'a Regression) -> Self {
        let len = result.values().map(|value| delimited_len(REGRESSIONS, float_len(VALUE, value))).sum();
        RegressionEncoder { result, len }
    }
}

impl ResultEncoder for RegressionEncoder<'_> {
    fn len(&self) -> usize {
        self.len
    }

    fn put(&self, out: &mut Vec<u8>) {
        for value in self.result.values() {
            put_delimited_header(out, REGRESSIONS, float_len(VALUE, value));
            put_float(out, VALUE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use tensorserve_protos::tensorflow::serving::RegressionResult;
    use tensorserve_tensors::{AlignedBuffer, DataType, Shape, Tensor};

    use super::*;

    #[test]
    fn the_message_is_the_one_that_protobuf_reads() {
        let expected = [1.5f32, 0.0, -0.0, f32::INFINITY];
        let mut buffer = AlignedBuffer::zeroed(16);
        for (place, value) in buffer.as_mut().chunks_exact_mut(4).zip(expected) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        let tensor = Tensor::plain(DataType::Float, Shape::new(&[4, 1]).unwrap(), buffer);
        let result = Regression::new(tensor, 4).unwrap();
        let encoder = RegressionEncoder::new(&result);
        let mut out = Vec::new();
        encoder.put(&mut out);
        assert_eq!(out.len(), encoder.len());
        let message = RegressionResult::decode(&*out).unwrap();
        let found: Vec<u32> = message.regressions.iter().map(|regression| regression.value.to_bits()).collect();
        assert_eq!(found, expected.map(f32::to_bits));
    }
}
