// SPDX-License-Identifier: Apache-2.0
//! Predict responses and errors, byte for byte.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use bytes::Bytes;
use tensorserve_tensors::json::{Format, encode_error, encode_predict};
use tensorserve_tensors::{AlignedBuffer, Code, DataType, Shape, Tensor};

fn tensor<const N: usize>(dtype: DataType, dims: &[i64], values: &[[u8; N]]) -> Tensor {
    let mut buffer = AlignedBuffer::zeroed(values.len() * N);
    buffer.as_mut().copy_from_slice(values.as_flattened());
    Tensor::plain(dtype, Shape::new(dims).unwrap(), buffer)
}

fn floats(dims: &[i64], values: &[f32]) -> Tensor {
    tensor(DataType::Float, dims, &values.iter().map(|v| v.to_le_bytes()).collect::<Vec<_>>())
}

fn integers(dims: &[i64], values: &[i32]) -> Tensor {
    tensor(DataType::Int32, dims, &values.iter().map(|v| v.to_le_bytes()).collect::<Vec<_>>())
}

fn strings(dims: &[i64], values: &[&'static [u8]]) -> Tensor {
    Tensor::strings(Shape::new(dims).unwrap(), values.iter().map(|v| Bytes::from_static(v)).collect())
}

fn encode(format: Format, outputs: &[(&str, &Tensor)]) -> String {
    String::from_utf8(encode_predict(format, outputs, usize::MAX).unwrap()).unwrap()
}

#[test]
fn rows_of_one_output() {
    let cases = [
        (floats(&[3], &[2.5, 3.5, 4.5]), "[2.5, 3.5, 4.5\n    ]"),
        (integers(&[2, 2], &[1, 2, 1, 2]), "[[1, 2], [1, 2]\n    ]"),
        (integers(&[1, 2, 2], &[1, 2, 3, 4]), "[[[1, 2], [3, 4]]\n    ]"),
        (integers(&[0], &[]), "[]"),
        (integers(&[0, 3], &[]), "[]"),
        (integers(&[2, 0], &[]), "[[], []\n    ]"),
        (strings(&[2], &[b"a", b"\xc3\xa9"]), "[\"a\", \"é\"\n    ]"),
    ];
    for (tensor, expected) in cases {
        let text = encode(Format::Row, &[("y", &tensor)]);
        assert_eq!(text, format!("{{\n    \"predictions\": {expected}\n}}"));
    }
}

#[test]
fn rows_of_bytes() {
    let text = encode(Format::Row, &[("y_bytes", &strings(&[2], &[b"hi", b""]))]);
    let expected = r#"{
    "predictions": [{
            "b64": "aGk="
        }, {
            "b64": ""
        }
    ]
}"#;
    assert_eq!(text, expected);
}

#[test]
fn rows_of_several_outputs() {
    let a = integers(&[2, 2, 2], &[1, 2, 3, 4, 1, 2, 3, 4]);
    let s = strings(&[2], &[b"hi", b"hi"]);
    let text = encode(Format::Row, &[("a", &a), ("s_bytes", &s)]);
    let expected = r#"{
    "predictions": [
        {
            "a": [[1, 2], [3, 4]],
            "s_bytes": {
                "b64": "aGk="
            }
        },
        {
            "a": [[1, 2], [3, 4]],
            "s_bytes": {
                "b64": "aGk="
            }
        }
    ]
}"#;
    assert_eq!(text, expected);
}

#[test]
fn columns_of_one_output() {
    let expected = r#"{
    "outputs": [
        [
            1,
            2
        ],
        [
            1,
            2
        ]
    ]
}"#;
    assert_eq!(encode(Format::Column, &[("y", &integers(&[2, 2], &[1, 2, 1, 2]))]), expected);
    assert_eq!(encode(Format::Column, &[("y", &integers(&[], &[3]))]), "{\n    \"outputs\": 3\n}");
    assert_eq!(encode(Format::Column, &[("y", &integers(&[0], &[]))]), "{\n    \"outputs\": []\n}");
}

#[test]
fn columns_of_several_outputs() {
    let expected = r#"{
    "outputs": {
        "a": [
            1,
            2
        ],
        "b": 3,
        "c": [],
        "\"d\"_bytes": {
            "b64": "AA=="
        }
    }
}"#;
    let (a, b, c) = (integers(&[2], &[1, 2]), integers(&[], &[3]), integers(&[0], &[]));
    let d = strings(&[], &[b"\0"]);
    assert_eq!(encode(Format::Column, &[("a", &a), ("b", &b), ("c", &c), ("\"d\"_bytes", &d)]), expected);
}

#[test]
fn every_type_with_a_json_form() {
    let one = |tensor: &Tensor| {
        let text = encode(Format::Column, &[("y", tensor)]);
        text["{\n    \"outputs\": ".len()..text.len() - 2].to_owned()
    };
    assert_eq!(one(&tensor(DataType::Double, &[], &[(1.0 / 3.0f64).to_le_bytes()])), "0.33333333333333331");
    assert_eq!(one(&tensor(DataType::Half, &[], &[0x2E66u16.to_le_bytes()])), "0.0999756");
    assert_eq!(one(&tensor(DataType::Bfloat16, &[], &[0x3FC0u16.to_le_bytes()])), "1.5");
    assert_eq!(one(&tensor(DataType::Bool, &[], &[[1]])), "true");
    assert_eq!(one(&tensor(DataType::Bool, &[], &[[0]])), "false");
    assert_eq!(one(&tensor(DataType::Int8, &[], &[[0x80]])), "-128");
    assert_eq!(one(&tensor(DataType::Uint8, &[], &[[0xFF]])), "255");
    assert_eq!(one(&tensor(DataType::Int16, &[], &[(-300i16).to_le_bytes()])), "-300");
    assert_eq!(one(&tensor(DataType::Uint16, &[], &[65535u16.to_le_bytes()])), "65535");
    assert_eq!(one(&tensor(DataType::Int32, &[], &[i32::MIN.to_le_bytes()])), "-2147483648");
    assert_eq!(one(&tensor(DataType::Uint32, &[], &[u32::MAX.to_le_bytes()])), "4294967295");
    assert_eq!(one(&tensor(DataType::Int64, &[], &[i64::MIN.to_le_bytes()])), "-9223372036854775808");
    assert_eq!(one(&tensor(DataType::Uint64, &[], &[u64::MAX.to_le_bytes()])), "18446744073709551615");
}

#[test]
fn strings_keep_their_bytes() {
    let text = encode_predict(Format::Column, &[("y", &strings(&[], &[b"\x00\"\\/\n\x1f<\xff"]))], usize::MAX).unwrap();
    assert_eq!(text, b"{\n    \"outputs\": \"\\u0000\\\"\\\\/\\n\\u001F<\xff\"\n}");
}

#[test]
fn outputs_that_do_not_fit() {
    let error = |format, outputs: &[(&str, &Tensor)]| {
        let error = encode_predict(format, outputs, usize::MAX).unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument);
        error.message
    };
    let (two, three, scalar) = (floats(&[2], &[1.0; 2]), floats(&[3], &[1.0; 3]), floats(&[], &[1.0]));
    assert_eq!(error(Format::Row, &[]), "Cannot convert empty tensor map to JSON");
    assert_eq!(error(Format::Row, &[("y", &scalar)]), "Tensor name: y has no shape information ");
    assert_eq!(
        error(Format::Row, &[("a", &two), ("b", &three)]),
        "Tensor name: b has inconsistent batch size: 3 expecting: 2"
    );
    let complex = tensor(DataType::Complex64, &[1], &[[0; 8]]);
    for format in [Format::Row, Format::Column] {
        let text = error(format, &[("y", &complex)]);
        assert_eq!(text, "Failed to write JSON value for tensor type: complex64");
    }
}

#[test]
fn errors_are_escaped() {
    let text = encode_error("a\"b\\c/\n\t\u{1}é");
    assert_eq!(String::from_utf8(text).unwrap(), "{\n    \"error\": \"a\\\"b\\\\c/\\n\\t\\u0001é\"\n}");
}

/// Nothing is written much beyond the limit, not even the brackets of lists without elements.
#[test]
fn long_replies_are_refused_while_they_are_written() {
    let empty = |dims: &[i64]| Tensor::plain(DataType::Float, Shape::new(dims).unwrap(), AlignedBuffer::zeroed(0));
    let zeros = |dims: &[i64]| {
        let len = dims.iter().product::<i64>() as usize * 4;
        Tensor::plain(DataType::Float, Shape::new(dims).unwrap(), AlignedBuffer::zeroed(len))
    };
    let cases = [
        empty(&[1 << 40, 0]),
        empty(&[1000, 1 << 30, 0]),
        empty(&[2, 1 << 20, 1 << 20, 1, 0]),
        zeros(&[10_000_000]),
        zeros(&[1000, 1000]),
        zeros(&[100_000, 1, 1, 1, 1]),
        strings(&[2], &[&[b'x'; 200_000], &[0; 200_000]]),
    ];
    for tensor in cases {
        for format in [Format::Row, Format::Column] {
            for outputs in [&[("y", &tensor)][..], &[("y", &tensor), ("z", &tensor)]] {
                let error = encode_predict(format, outputs, 100_000).unwrap_err();
                assert_eq!(error.code, Code::ResourceExhausted, "{tensor:?}");
            }
        }
    }
    let one = zeros(&[10]);
    let text = encode_predict(Format::Column, &[("y", &one)], usize::MAX).unwrap();
    assert_eq!(encode_predict(Format::Column, &[("y", &one)], text.len()).unwrap(), text);
    assert!(encode_predict(Format::Column, &[("y", &one)], text.len() - 1).is_err());
}
