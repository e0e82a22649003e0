// SPDX-License-Identifier: Apache-2.0
//! `tensorflow.serving.ClassificationResult` to the wire.

use tensorserve_servables::verbs::classify::Classification;
use tensorserve_tensors::proto::wire::{FIXED32, delimited_len, put_bytes, put_delimited_header, put_tag, tag_len};

use super::examples::ResultEncoder;

/// Field numbers of `ClassificationResult`, `Classifications` and `Class`.
const CLASSIFICATIONS: u32 = 1;
const CLASSES: u32 = 1;
const LABEL: u32 = 1;
const SCORE: u32 = 2;

/// Writes a `ClassificationResult`. Labels go out byte for byte, even if they are no UTF-8.
pub(crate) struct ClassificationEncoder<'a> {
    result: &'a Classification,
    /// Bytes of each example's `Classifications`.
    rows: Vec<usize>,
    len: usize,
}

impl<'a> ClassificationEncoder<'a> {
    pub(crate) fn new(result: &'a Classification) -> Self {
        let class_len = |(label, score): (&[u8], f32)| delimited_len(CLASSES, self::class_len(label, score));
        let rows: Vec<usize> = (0..result.rows()).map(|row| result.row(row).map(class_len).sum()).collect();
        let len = rows.iter().map(|&len| delimited_len(CLASSIFICATIONS, len)).sum();
        ClassificationEncoder { result, rows, len }
    }
}

impl ResultEncoder for ClassificationEncoder<'_> {
    fn len(&self) -> usize {
        self.len
    }

    fn put(&self, out: &mut Vec<u8>) {
        for (row, &len) in self.rows.iter().enumerate() {
            put_delimited_header(out, CLASSIFICATIONS, len);
            for (label, score) in self.result.row(row) {
                put_delimited_header(out, CLASSES, class_len(label, score));
                put_class(out, label, score);
            }
        }
    }
}

/// Bytes of a `Class`; an empty label and a score of (positive) zero are left out.
fn class_len(label: &[u8], score: f32) -> usize {
    let label_len = if label.is_empty() { 0 } else { delimited_len(LABEL, label.len()) };
    label_len + float_len(SCORE, score)
}

fn put_class(out: &mut Vec<u8>, label: &[u8], score: f32) {
    if !label.is_empty() {
        put_bytes(out, LABEL, label);
    }
    put_float(out, SCORE, score);
}

/// Bytes of a float field, which is left out if it is (positive) zero.
pub(crate) fn float_len(field: u32, value: f32) -> usize {
    if value.to_bits() == 0 { 0 } else { tag_len(field) + size_of::<f32>() }
}

pub(crate) fn put_float(out: &mut Vec<u8>, field: u32, value: f32) {
    if value.to_bits() != 0 {
        put_tag(out, field, FIXED32);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message;
    use tensorserve_protos::tensorflow::serving::ClassificationResult;
    use tensorserve_tensors::{AlignedBuffer, DataType, Shape, Tensor};

    use super::*;

    #[test]
    fn the_message_is_the_one_that_protobuf_reads() {
        let labels = ["car", "", "a longer label", "bike"].map(|label| Bytes::from_static(label.as_bytes()));
        let labels = Tensor::strings(Shape::new(&[2, 2]).unwrap(), labels.to_vec());
        let mut buffer = AlignedBuffer::zeroed(16);
        for (place, score) in buffer.as_mut().chunks_exact_mut(4).zip([0.25f32, 0.0, -0.0, f32::NAN]) {
            place.copy_from_slice(&score.to_le_bytes());
        }
        let scores = Tensor::plain(DataType::Float, Shape::new(&[2, 2]).unwrap(), buffer);
        let result = Classification::new(Some(labels), Some(scores), 2).unwrap();
        let encoder = ClassificationEncoder::new(&result);
        let mut out = Vec::new();
        encoder.put(&mut out);
        assert_eq!(out.len(), encoder.len());
        let message = ClassificationResult::decode(&*out).unwrap();
        let found: Vec<(String, u32)> = message
            .classifications
            .iter()
            .flat_map(|row| row.classes.iter().map(|class| (class.label.clone(), class.score.to_bits())))
            .collect();
        let expected = [("car", 0.25f32), ("", 0.0), ("a longer label", -0.0), ("bike", f32::NAN)];
        assert_eq!(found, expected.map(|(label, score)| (label.to_owned(), score.to_bits())));
        assert_eq!(message.classifications.len(), 2);
    }
}
