// SPDX-License-Identifier: Apache-2.0
//! Random tensors survive the way through JSON, and random text does no harm.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use bytes::Bytes;
use proptest::prelude::*;
use tensorserve_tensors::json::{Format, InputSpec, PredictBody, decode_predict, encode_predict};
use tensorserve_tensors::{AlignedBuffer, Code, DataType, Result, ServingError, Shape, Tensor, TensorData};

const TYPES: [DataType; 14] = [
    DataType::Float,
    DataType::Double,
    DataType::Half,
    DataType::Bfloat16,
    DataType::Bool,
    DataType::Int8,
    DataType::Int16,
    DataType::Int32,
    DataType::Int64,
    DataType::Uint8,
    DataType::Uint16,
    DataType::Uint32,
    DataType::Uint64,
    DataType::String,
];

fn spec(alias: &str, dtype: DataType) -> InputSpec {
    InputSpec { alias: alias.to_owned(), dtype }
}

/// Bytes of any pattern are elements of most types; a boolean is 0 or 1, and a NaN has one pattern.
fn tensor(dtype: DataType, dims: &[i64], seed: &[u8]) -> Tensor {
    let shape = Shape::new(dims).unwrap();
    let count = shape.num_elements();
    let mut random = seed.iter().cycle().copied();
    if dtype == DataType::String {
        let element = |i: usize| (0..i % 20).map(|_| random.next().unwrap()).collect::<Vec<u8>>().into();
        return Tensor::strings(shape, (0..count).map(element).collect::<Vec<Bytes>>());
    }
    let mut buffer = AlignedBuffer::zeroed(count * dtype.size());
    buffer.as_mut().fill_with(|| random.next().unwrap());
    for element in buffer.as_mut().chunks_exact_mut(dtype.size()) {
        canonicalize(dtype, element);
    }
    Tensor::plain(dtype, shape, buffer)
}

fn canonicalize(dtype: DataType, element: &mut [u8]) {
    let top = element.len() - 1;
    let nan = match dtype {
        DataType::Bool => return element[0] &= 1,
        DataType::Float => f32::from_le_bytes(element.try_into().unwrap()).is_nan(),
        DataType::Double => f64::from_le_bytes(element.try_into().unwrap()).is_nan(),
        DataType::Half => u16::from_le_bytes(element.try_into().unwrap()) & 0x7FFF > 0x7C00,
        DataType::Bfloat16 => u16::from_le_bytes(element.try_into().unwrap()) & 0x7FFF > 0x7F80,
        _ => false,
    };
    if nan {
        element[top] = 0x40;
    }
}

fn elements(tensor: &Tensor) -> Vec<Vec<u8>> {
    match tensor.data() {
        TensorData::Strings(strings) => (0..strings.len()).map(|i| strings.get(i).to_vec()).collect(),
        TensorData::Plain(bytes) => vec![bytes.to_vec()],
    }
}

fn assert_same(a: &Tensor, b: &Tensor) {
    assert_eq!((a.dtype(), a.shape()), (b.dtype(), b.shape()));
    assert_eq!(elements(a), elements(b));
}

/// Makes a request of a response: the layouts are the same, only the keys differ.
fn as_request(format: Format, outputs: &[(&str, &Tensor)]) -> Vec<u8> {
    let text = encode_predict(format, outputs, usize::MAX).unwrap();
    let (from, to) = match format {
        Format::Row => (&b"predictions"[..], &b"instances"[..]),
        Format::Column => (&b"outputs"[..], &b"inputs"[..]),
    };
    let start = text.windows(from.len()).position(|window| window == from).unwrap();
    [&text[..start], to, &text[start + from.len()..]].concat()
}

fn decode(body: &[u8], specs: &[InputSpec]) -> Result<PredictBody> {
    decode_predict(body, |_| Ok(specs))
}

/// As many dimensions as a zero allows to be seen: nothing can be nested in an empty list.
fn visible(dims: &[i64]) -> &[i64] {
    let end = dims.iter().position(|&dim| dim == 0).map_or(dims.len(), |zero| zero + 1);
    &dims[..end]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn columns_come_back(
        dtype in prop::sample::select(&TYPES[..]),
        dims in prop::collection::vec(0i64..4, 0..5),
        seed in prop::collection::vec(any::<u8>(), 1..64),
    ) {
        let sent = tensor(dtype, visible(&dims), &seed);
        for alias in ["x", "x_bytes"] {
            let body = as_request(Format::Column, &[(alias, &sent)]);
            let request = decode(&body, &[spec(alias, dtype)]).unwrap();
            prop_assert_eq!(request.format, Format::Column);
            assert_same(&request.inputs[0].1, &sent);
        }
    }

    #[test]
    fn rows_come_back(
        dtype in prop::sample::select(&TYPES[..]),
        batch in 1i64..5,
        dims in prop::collection::vec(0i64..4, 0..4),
        seed in prop::collection::vec(any::<u8>(), 1..64),
    ) {
        let sent = tensor(dtype, &[&[batch], visible(&dims)].concat(), &seed);
        for alias in ["x", "x_bytes"] {
            let body = as_request(Format::Row, &[(alias, &sent)]);
            let request = decode(&body, &[spec(alias, dtype)]).unwrap();
            prop_assert_eq!(request.format, Format::Row);
            assert_same(&request.inputs[0].1, &sent);
        }
    }

    #[test]
    fn several_tensors_come_back(
        types in prop::collection::vec(prop::sample::select(&TYPES[..]), 2..5),
        batch in 1i64..4,
        dims in prop::collection::vec(0i64..3, 0..3),
        seed in prop::collection::vec(any::<u8>(), 1..64),
        turn in 0usize..4,
    ) {
        let dims = [&[batch], visible(&dims)].concat();
        let sent: Vec<(String, Tensor)> =
            types.iter().enumerate().map(|(i, &dtype)| (format!("t{i}_bytes"), tensor(dtype, &dims, &seed))).collect();
        let specs: Vec<InputSpec> = sent.iter().map(|(alias, tensor)| spec(alias, tensor.dtype())).collect();
        let mut outputs: Vec<(&str, &Tensor)> = sent.iter().map(|(alias, tensor)| (alias.as_str(), tensor)).collect();
        outputs.rotate_left(turn % types.len());
        for format in [Format::Row, Format::Column] {
            let request = decode(&as_request(format, &outputs), &specs).unwrap();
            for ((alias, received), (name, sent)) in request.inputs.iter().zip(&sent) {
                prop_assert_eq!(alias, name);
                assert_same(received, sent);
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..64), start in 0usize..3) {
        let starts = [&b""[..], b"{\"instances\": [", b"{\"inputs\": {\"x\": "];
        check_harmless(&[starts[start], &body].concat());
    }

    #[test]
    fn random_tokens_never_panic(tokens in prop::collection::vec(prop::sample::select(&TOKENS[..]), 0..16), start in 0usize..4) {
        let starts = ["", "{\"instances\": ", "{\"inputs\": ", "{\"signature_name\": \"s\", \"instances\": [{"];
        check_harmless(format!("{}{}", starts[start], tokens.concat()).as_bytes());
    }

    #[test]
    fn damaged_requests_never_panic(
        dtype in prop::sample::select(&TYPES[..]),
        seed in prop::collection::vec(any::<u8>(), 1..64),
        at in any::<prop::sample::Index>(),
        token in prop::sample::select(&TOKENS[..]),
        cut in 0usize..3,
    ) {
        let sent = tensor(dtype, &[2, 2], &seed);
        let mut body = as_request(Format::Row, &[("x_bytes", &sent), ("y", &sent)]);
        let at = at.index(body.len());
        body.splice(at..(at + cut).min(body.len()), token.bytes());
        check_harmless(&body);
    }
}

const TOKENS: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    "[[",
    "]]",
    "}]",
    "]}",
    ",",
    ":",
    "\"x\"",
    "\"x\":",
    "\"y\":",
    "\"b64\":",
    "\"",
    "{\"b64\":\"AA\"}",
    "1",
    "-",
    "0",
    "300",
    "1.5",
    "1.",
    "e5",
    "1e400",
    "-0",
    "NaN",
    "Infinity",
    "-Inf",
    "true",
    "false",
    "null",
    "nul",
    " ",
    "\\",
    "\"\\u00e9\"",
    "\"\\ud83d\\ude00\"",
    "\0",
    "\u{feff}",
    "\"signature_name\":",
    "\"inputs\":",
];

/// Decodes for several signatures. What is decoded has good syntax, and what is refused has a reason.
fn check_harmless(body: &[u8]) {
    let unknown = |_: Option<&str>| -> Result<Vec<InputSpec>> { Err(ServingError::not_found("")) };
    let syntax = decode_predict(body, unknown).unwrap_err();
    for dtype in TYPES {
        for specs in [vec![spec("x", dtype)], vec![spec("x_bytes", dtype), spec("y", dtype)]] {
            match decode(body, &specs) {
                Ok(_) => assert_eq!(syntax.code, Code::NotFound, "{}", body.escape_ascii()),
                Err(error) => assert_eq!(error.code, Code::InvalidArgument, "{error} {}", body.escape_ascii()),
            }
        }
    }
}
