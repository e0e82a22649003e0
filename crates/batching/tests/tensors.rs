// SPDX-License-Identifier: Apache-2.0
//! Merging and splitting against a plain model of tensors.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy.toml knows only tests within the crate")]

use bytes::Bytes;
use proptest::prelude::*;
use tensorserve_batching::merge::{Merging, merge};
use tensorserve_batching::split;
use tensorserve_tensors::{AlignedBuffer, Code, DataType, Shape, Tensor, TensorData};

/// A tensor of numbers, or of the same numbers as strings.
fn tensor(dims: &[i64], values: &[i32], strings: bool) -> Tensor {
    let shape = Shape::new(dims).unwrap();
    if strings {
        return Tensor::strings(shape, values.iter().map(|value| Bytes::from(value.to_string())).collect());
    }
    let mut buffer = AlignedBuffer::zeroed(4 * values.len());
    for (place, value) in buffer.as_mut().chunks_exact_mut(4).zip(values) {
        place.copy_from_slice(&value.to_le_bytes());
    }
    Tensor::plain(DataType::Int32, shape, buffer)
}

fn values(tensor: &Tensor) -> Vec<i32> {
    match tensor.data() {
        TensorData::Plain(bytes) => {
            bytes.chunks_exact(4).map(|chunk| i32::from_le_bytes(chunk.try_into().unwrap())).collect()
        }
        TensorData::Strings(strings) => {
            let text = |at| std::str::from_utf8(strings.get(at)).unwrap().parse().unwrap();
            (0..strings.len()).map(text).collect()
        }
    }
}

/// The element at an index, or the padding.
fn expected(part: &[i64], values: &[i32], index: &[i64], pad: Option<i32>) -> i32 {
    if index.iter().zip(part).any(|(at, dim)| at >= dim) {
        return pad.unwrap_or(values[0]);
    }
    let at = index.iter().zip(part).fold(0, |sum, (at, dim)| sum * dim + at);
    values[at as usize]
}

proptest! {
    #[test]
    fn parts_stand_below_each_other_padded(
        rank in 1usize..5,
        sizes in prop::collection::vec(prop::collection::vec(1i64..4, 4), 1..5),
        strings in any::<bool>(),
        pad in prop::option::of(Just(-7)),
        extra in 0usize..3,
    ) {
        let mut next = 0;
        let parts: Vec<(Vec<i64>, Vec<i32>)> = sizes.iter().map(|dims| {
            let dims = dims[..rank].to_vec();
            let count = dims.iter().product::<i64>() as i32;
            next += count;
            (dims, (next - count..next).collect())
        }).collect();
        let tensors: Vec<Tensor> = parts.iter().map(|(dims, values)| tensor(dims, values, strings)).collect();
        let rows: usize = parts.iter().map(|(dims, _)| dims[0] as usize).sum();
        let pad_value = pad.map(|pad: i32| match strings {
            true => Bytes::from(pad.to_string()),
            false => Bytes::copy_from_slice(&pad.to_le_bytes()),
        });
        let merging = Merging { rows: rows + extra, pad: true, pad_value };
        let merged = merge(&tensors.iter().collect::<Vec<_>>(), &merging).unwrap();
        let row: Vec<i64> = (1..rank).map(|at| parts.iter().map(|(dims, _)| dims[at]).max().unwrap()).collect();
        prop_assert_eq!(merged.shape().dims()[0] as usize, rows + extra);
        prop_assert_eq!(&merged.shape().dims()[1..], &row[..]);
        let merged_values = values(&merged);
        let row_len = row.iter().product::<i64>() as usize;
        let mut at = 0;
        for ((dims, values), tensor) in parts.iter().zip(&tensors) {
            let range = at / row_len..at / row_len + dims[0] as usize;
            if dims[1..] == row[..] {
                let back = split::rows(&merged, range);
                prop_assert_eq!(back.shape(), tensor.shape());
                prop_assert_eq!(&self::values(&back), values);
            }
            for line in 0..dims[0] {
                for element in 0..row_len as i64 {
                    let mut index = vec![line];
                    let mut rest = element;
                    let mut places: Vec<i64> = Vec::new();
                    for dim in row.iter().rev() {
                        places.push(rest % dim);
                        rest /= dim;
                    }
                    index.extend(places.iter().rev());
                    prop_assert_eq!(merged_values[at], expected(dims, values, &index, pad));
                    at += 1;
                }
            }
        }
        let last = parts.last().unwrap().0[0] as usize;
        let copied = &merged_values[(rows - last) * row_len..][..row_len];
        for line in merged_values[rows * row_len..].chunks_exact(row_len) {
            prop_assert_eq!(line, copied);
        }
    }
}

#[test]
fn what_cannot_be_merged_is_refused_with_the_codes_of_the_original() {
    let (a, b) = (tensor(&[1, 2], &[1, 2], false), tensor(&[1, 3], &[1, 2, 3], false));
    let error = merge(&[&a, &b], &Merging::default()).unwrap_err();
    assert_eq!(error.code, Code::FailedPrecondition);
    assert!(error.message.contains("Set pad_variable_length_inputs to true"));
    let strings = tensor(&[1, 2], &[1, 2], true);
    let error = merge(&[&a, &strings], &Merging::default()).unwrap_err();
    assert!(error.code == Code::Internal && error.message.starts_with("Tensor concat operation failed: "));
    let padding = Merging { pad: true, ..Merging::default() };
    let empty = tensor(&[1, 0], &[], false);
    assert_eq!(merge(&[&a, &empty], &padding).unwrap_err().message, "Got empty tensor in batch of non-empty tensors.");
    let deep = [tensor(&[1, 1, 1, 1, 1, 1, 1], &[1], false), tensor(&[1, 1, 1, 1, 1, 1, 2], &[1, 2], false)];
    let error = merge(&[&deep[0], &deep[1]], &padding).unwrap_err();
    assert_eq!(error.message, "Only tensors with rank from 1 to 6 can be padded.");
}

#[test]
fn results_must_have_a_row_for_each_row() {
    let scalar = tensor(&[], &[1], false);
    assert_eq!(split::check_rows(&scalar, 1).unwrap_err().message, "Batched output tensor has 0 dimensions");
    let two = tensor(&[2], &[1, 2], false);
    assert!(split::check_rows(&two, 2).is_ok());
    let error = split::check_rows(&two, 3).unwrap_err();
    assert_eq!(error.code, Code::FailedPrecondition);
    assert!(error.message.starts_with("Batched output tensor's 0th dimension does not equal the sum of the 0th"));
}

#[test]
fn merged_memory_is_aligned_for_the_runtime() {
    let parts = [tensor(&[1, 3], &[1, 2, 3], false), tensor(&[2, 3], &[4, 5, 6, 7, 8, 9], false)];
    let merged = merge(&[&parts[0], &parts[1]], &Merging::default()).unwrap();
    assert_eq!(merged.bytes().as_ptr() as usize % tensorserve_tensors::buffer::ALIGNMENT, 0);
}
