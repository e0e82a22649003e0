// SPDX-License-Identifier: Apache-2.0
//! `TensorProto` decoding and encoding against prost's own codec and against TensorFlow's rules for odd messages.

#![allow(clippy::unwrap_used, reason = "a failure is what ends a test")]

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;
use tensorserve_protos::tensorflow::{TensorProto, TensorShapeProto, tensor_shape_proto::Dim};
use tensorserve_tensors::proto::encode::Encoder;
use tensorserve_tensors::proto::{MAX_FILLED_BYTES, Malformed, Reader, TensorEncoding, TensorView, Weight};
use tensorserve_tensors::{AlignedBuffer, DataType, Shape, Tensor, TensorData};

fn decode(bytes: &[u8]) -> Result<Tensor, Malformed> {
    let parts = [Bytes::copy_from_slice(bytes)];
    TensorView::parse(Reader::new(&parts))?.to_tensor()
}

/// Decodes a message that lies in pieces of at most `piece` bytes.
fn decode_in_pieces(bytes: &[u8], piece: usize) -> Result<Tensor, Malformed> {
    let parts: Vec<Bytes> = bytes.chunks(piece).map(Bytes::copy_from_slice).collect();
    TensorView::parse(Reader::new(&parts))?.to_tensor()
}

fn encode(tensor: &Tensor, encoding: TensorEncoding) -> Vec<u8> {
    let encoder = Encoder::new(tensor, encoding).unwrap();
    let mut out = Vec::new();
    encoder.put(&mut out);
    assert_eq!(out.len(), encoder.len(), "the announced length must be the written one");
    out
}

fn plain(dtype: DataType, dims: &[i64], bytes: &[u8]) -> Tensor {
    let mut buffer = AlignedBuffer::zeroed(bytes.len());
    buffer.as_mut().copy_from_slice(bytes);
    Tensor::plain(dtype, Shape::new(dims).unwrap(), buffer)
}

fn elements(tensor: &Tensor) -> Vec<Vec<u8>> {
    match tensor.data() {
        TensorData::Plain(bytes) => bytes.chunks(tensor.dtype().size()).map(<[u8]>::to_vec).collect(),
        TensorData::Strings(strings) => (0..strings.len()).map(|i| strings.get(i).to_vec()).collect(),
    }
}

fn assert_same(a: &Tensor, b: &Tensor) {
    assert_eq!(a.dtype(), b.dtype());
    assert_eq!(a.shape(), b.shape());
    assert_eq!(elements(a), elements(b));
}

fn proto(dtype: DataType, dims: &[i64]) -> TensorProto {
    let dim = dims.iter().map(|&size| Dim { size, name: String::new() }).collect();
    TensorProto {
        dtype: dtype as i32,
        tensor_shape: Some(TensorShapeProto { dim, unknown_rank: false }),
        ..TensorProto::default()
    }
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.bytes().chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// Types whose values cross the wire, strings aside.
fn wire_dtypes() -> impl Strategy<Value = DataType> {
    let without = [DataType::String, DataType::Resource, DataType::Variant];
    let all: Vec<_> = DataType::ALL.iter().copied().filter(|d| !without.contains(d)).collect();
    prop::sample::select(all)
}

fn plain_tensors() -> impl Strategy<Value = Tensor> {
    (wire_dtypes(), prop::collection::vec(0i64..5, 0..4)).prop_flat_map(|(dtype, dims)| {
        let n = dims.iter().product::<i64>() as usize * dtype.size();
        prop::collection::vec(any::<u8>(), n).prop_map(move |mut bytes| {
            if dtype == DataType::Bool {
                bytes.iter_mut().for_each(|b| *b &= 1);
            }
            plain(dtype, &dims, &bytes)
        })
    })
}

fn string_tensors() -> impl Strategy<Value = Tensor> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6).prop_map(|strings| {
        let n = strings.len() as i64;
        Tensor::strings(Shape::new(&[n]).unwrap(), strings.into_iter().map(Bytes::from).collect())
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(tensor in prop_oneof![plain_tensors(), string_tensors()], piece in 1usize..64) {
        for encoding in [TensorEncoding::TypedValues, TensorEncoding::Content] {
            let bytes = encode(&tensor, encoding);
            assert_same(&tensor, &decode(&bytes).unwrap());
            assert_same(&tensor, &decode_in_pieces(&bytes, piece).unwrap());
        }
    }

    #[test]
    fn prost_reads_and_writes_the_same_message(tensor in prop_oneof![plain_tensors(), string_tensors()]) {
        for encoding in [TensorEncoding::TypedValues, TensorEncoding::Content] {
            let bytes = encode(&tensor, encoding);
            let message = TensorProto::decode(&*bytes).unwrap();
            prop_assert_eq!(message.dtype, tensor.dtype() as i32);
            assert_same(&tensor, &decode(&message.encode_to_vec()).unwrap());
        }
    }

    #[test]
    fn any_bytes_give_a_tensor_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1usize..64) {
        let whole = decode(&bytes).map(|t| elements(&t));
        let pieces = decode_in_pieces(&bytes, piece).map(|t| elements(&t));
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn a_damaged_message_gives_a_tensor_or_an_error(tensor in plain_tensors(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = encode(&tensor, TensorEncoding::TypedValues);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(&bytes);
    }
}

#[test]
fn too_few_values_repeat_the_last_and_surplus_ones_are_dropped() {
    let short = TensorProto { float_val: vec![1.0, 2.0], ..proto(DataType::Float, &[4]) };
    assert_eq!(floats(&decode(&short.encode_to_vec()).unwrap()), [1.0, 2.0, 2.0, 2.0]);
    let long = TensorProto { float_val: vec![1.0, 2.0, 3.0], ..proto(DataType::Float, &[2]) };
    assert_eq!(floats(&decode(&long.encode_to_vec()).unwrap()), [1.0, 2.0]);
    let none = proto(DataType::Float, &[2]);
    assert_eq!(floats(&decode(&none.encode_to_vec()).unwrap()), [0.0, 0.0]);
    let strings = TensorProto { string_val: vec![Bytes::from_static(b"a")], ..proto(DataType::String, &[2]) };
    assert_eq!(elements(&decode(&strings.encode_to_vec()).unwrap()), [b"a", b"a"]);
}

#[test]
fn tensor_content_wins_and_must_have_the_right_size() {
    let content = Bytes::copy_from_slice(&7f32.to_le_bytes());
    let both = TensorProto { float_val: vec![1.0], tensor_content: content.clone(), ..proto(DataType::Float, &[1]) };
    assert_eq!(floats(&decode(&both.encode_to_vec()).unwrap()), [7.0]);
    let wrong = TensorProto { tensor_content: content, ..proto(DataType::Float, &[2]) };
    assert!(decode(&wrong.encode_to_vec()).is_err());
}

#[test]
fn shapes_that_no_value_has_are_refused_and_missing_ones_are_scalars() {
    assert!(decode(&proto(DataType::Float, &[-1]).encode_to_vec()).is_err());
    assert!(decode(&proto(DataType::Float, &[i64::MAX, i64::MAX]).encode_to_vec()).is_err());
    assert!(decode(&proto(DataType::Float, &[1; 300]).encode_to_vec()).is_err());
    let missing = TensorProto { dtype: 1, float_val: vec![3.0], ..TensorProto::default() };
    assert_eq!(decode(&missing.encode_to_vec()).unwrap().shape().rank(), 0);
    for (dims, expected) in [(&[][..], &[][..]), (&[5], &[5]), (&[2, 0], &[2, 0]), (&[1, 1, 1], &[1, 1, 1])] {
        let mut unknown = TensorProto { float_val: vec![3.0], ..proto(DataType::Float, dims) };
        unknown.tensor_shape.as_mut().unwrap().unknown_rank = true;
        assert_eq!(decode(&unknown.encode_to_vec()).unwrap().shape().dims(), expected);
    }
    let mut negative = proto(DataType::Float, &[-1]);
    negative.tensor_shape.as_mut().unwrap().unknown_rank = true;
    assert!(decode(&negative.encode_to_vec()).is_err());
}

#[test]
fn a_tensor_without_elements_is_one_whatever_its_content() {
    for (dtype, dims) in [
        (DataType::Float, &[0][..]),
        (DataType::Int8, &[3, 0, 2]),
        (DataType::Bool, &[0, 0]),
        (DataType::Complex128, &[0]),
        (DataType::String, &[0]),
        (DataType::Float8E5m2, &[2, 0]),
    ] {
        for content in [&b"x"[..], &[0; 16], &[255; 1000]] {
            let content = Bytes::from_static(content);
            let message = TensorProto { tensor_content: content, ..proto(dtype, dims) };
            let tensor = decode(&message.encode_to_vec()).unwrap();
            assert_eq!((tensor.dtype(), tensor.shape().dims(), elements(&tensor).len()), (dtype, dims, 0));
        }
    }
}

#[test]
fn a_few_bytes_cannot_ask_for_gigabytes() {
    let huge = TensorProto { float_val: vec![1.0], ..proto(DataType::Float, &[1 << 40]) };
    assert!(decode(&huge.encode_to_vec()).is_err());
    assert!(decode(&proto(DataType::String, &[1 << 40]).encode_to_vec()).is_err());
    let fair = decode(&proto(DataType::Float, &[1, 224, 224, 3]).encode_to_vec()).unwrap();
    assert_eq!(fair.bytes().len(), 224 * 224 * 3 * 4);
}

/// The last string is repeated, so it is its bytes that count.
#[test]
fn strings_that_are_repeated_count_with_their_bytes() {
    let strings = |string_val: &[usize], dims: &[i64]| {
        let string_val = string_val.iter().map(|len| Bytes::from(vec![b'a'; *len])).collect();
        decode(&TensorProto { string_val, ..proto(DataType::String, dims) }.encode_to_vec())
    };
    for (lens, dims) in [
        (&[1_000_000][..], &[1000][..]),
        (&[1_000_000], &[2_000_000]),
        (&[1, 1, 40_000_000], &[2, 3]),
        (&[100], &[700_000]),
        (&[0], &[3_000_000]),
        (&[], &[1 << 40]),
        (&[5], &[1 << 20, 1 << 20, 2]),
    ] {
        assert_eq!(
            strings(lens, dims).unwrap_err().0,
            "the tensor's shape has far more elements than values were sent"
        );
    }
    for (lens, dims) in [(&[1_000_000][..], &[60][..]), (&[80_000_000], &[1]), (&[3], &[1_000_000]), (&[9, 1], &[2, 9])]
    {
        assert_eq!(strings(lens, dims).unwrap().shape().dims(), dims);
    }
}

#[test]
fn the_tensors_of_a_request_share_what_is_filled_up() {
    let message = [Bytes::from(proto(DataType::Double, &[5_000_000]).encode_to_vec())];
    let view = TensorView::parse(Reader::new(&message)).unwrap();
    let mut left = MAX_FILLED_BYTES;
    assert!(view.to_tensor_within(&mut left).is_ok());
    assert!(left < MAX_FILLED_BYTES - 39_000_000);
    assert!(view.to_tensor_within(&mut left).is_err());
}

#[test]
fn types_without_values_are_refused() {
    for dtype in [0, 20, 21, 101, 119, 999] {
        let message = TensorProto { dtype, ..TensorProto::default() };
        assert!(decode(&message.encode_to_vec()).is_err(), "{dtype}");
    }
}

#[test]
fn small_integers_wrap_and_values_in_a_field_of_another_type_are_ignored() {
    let wrapped = TensorProto { int_val: vec![300, -1], ..proto(DataType::Uint8, &[2]) };
    assert_eq!(decode(&wrapped.encode_to_vec()).unwrap().bytes(), [44, 255]);
    let elsewhere = TensorProto { int_val: vec![5], ..proto(DataType::Int64, &[1]) };
    assert_eq!(decode(&elsewhere.encode_to_vec()).unwrap().bytes(), [0; 8]);
}

#[test]
fn values_may_come_unpacked_or_in_several_packed_pieces() {
    let mut message = proto(DataType::Float, &[3]).encode_to_vec();
    message.extend([0x2d]);
    message.extend(1f32.to_le_bytes());
    message.extend([0x2a, 8]);
    message.extend(2f32.to_le_bytes());
    message.extend(3f32.to_le_bytes());
    assert_eq!(floats(&decode(&message).unwrap()), [1.0, 2.0, 3.0]);
    let mut ints = proto(DataType::Int32, &[3]).encode_to_vec();
    ints.extend([0x38, 1, 0x3a, 2, 2, 3]);
    assert_eq!(decode(&ints).unwrap().bytes(), [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
}

// What fuzzing found.

#[test]
fn parts_of_a_shape_are_one_shape() {
    let mut message = proto(DataType::Int32, &[2]).encode_to_vec();
    message.extend([0x12, 4, 0x12, 2, 0x08, 3]);
    assert_eq!(decode(&message).unwrap().shape().dims(), [2, 3]);
}

#[test]
fn half_a_complex_number_is_no_value() {
    let one = TensorProto { scomplex_val: vec![1.0], ..proto(DataType::Complex64, &[]) };
    assert_eq!(decode(&one.encode_to_vec()).unwrap().bytes(), [0; 8]);
    let three = TensorProto { dcomplex_val: vec![1.0, 2.0, 3.0], ..proto(DataType::Complex128, &[2]) };
    let expected = [1f64, 2.0, 1.0, 2.0].map(f64::to_le_bytes).concat();
    assert_eq!(decode(&three.encode_to_vec()).unwrap().bytes(), expected);
}

#[test]
fn of_a_field_that_is_not_repeated_the_last_counts() {
    for dtype in [DataType::Float8E5m2, DataType::Float4E2m1fn] {
        let mut message = TensorProto { float8_val: vec![1, 2, 3], ..proto(dtype, &[3]) }.encode_to_vec();
        message.extend(TensorProto { float8_val: vec![7], ..TensorProto::default() }.encode_to_vec());
        assert_eq!(decode(&message).unwrap().bytes(), [7, 7, 7]);
    }
}

#[test]
fn string_content_has_all_lengths_first() {
    let content = Bytes::from_static(b"\x02\x00\x03hiyou");
    let message = TensorProto { tensor_content: content, ..proto(DataType::String, &[3]) };
    let strings = elements(&decode(&message.encode_to_vec()).unwrap());
    assert_eq!(strings, [b"hi".to_vec(), b"".to_vec(), b"you".to_vec()]);
    let short = TensorProto { tensor_content: Bytes::from_static(b"\x05hi"), ..proto(DataType::String, &[1]) };
    assert!(decode(&short.encode_to_vec()).is_err());
}

/// Only tensors that are long to make, or take memory, are so; how a large message is read depends on it.
#[test]
fn what_a_tensor_takes_is_known_before_it_is_made() {
    let weight = |message: &TensorProto, piece: usize| {
        let bytes = message.encode_to_vec();
        let parts: Vec<Bytes> = bytes.chunks(piece).map(Bytes::copy_from_slice).collect();
        let Weight { bytes, is_quick } = TensorView::parse(Reader::new(&parts)).unwrap().weight();
        (bytes, is_quick)
    };
    let whole = usize::MAX;
    let floats = TensorProto { float_val: vec![1.0; 1_000_000], ..proto(DataType::Float, &[1_000_000]) };
    assert_eq!(weight(&floats, whole), (0, true));
    assert_eq!(weight(&floats, 100_000), (4_000_000, false));
    let content = TensorProto { tensor_content: vec![1; 400_000].into(), ..proto(DataType::Float, &[100_000]) };
    assert_eq!(weight(&content, whole), (0, true));
    assert_eq!(weight(&content, 100_000), (400_000, true));
    let numbers = TensorProto { int64_val: vec![5; 100_000], ..proto(DataType::Int64, &[100_000]) };
    assert_eq!(weight(&numbers, whole), (800_000, false));
    let few = TensorProto { int64_val: vec![5; 1000], ..proto(DataType::Int64, &[1000]) };
    assert_eq!(weight(&few, whole), (8000, true));
    let filled = TensorProto { float_val: vec![1.0], ..proto(DataType::Float, &[1_000_000]) };
    assert_eq!(weight(&filled, whole), (4_000_000, false));
    let refused = TensorProto { float_val: vec![1.0], ..proto(DataType::Float, &[1 << 40]) };
    assert_eq!(weight(&refused, whole), (0, false));
    let string = |len: usize, dims: &[i64]| {
        weight(&TensorProto { string_val: vec![vec![b'a'; len].into()], ..proto(DataType::String, dims) }, whole)
    };
    assert_eq!(string(10, &[]), (32, true));
    assert_eq!(string(1_000_000, &[1]), (32, true));
    assert_eq!(string(1_000_000, &[10]), (9_000_320, false));
    assert_eq!(string(1_000_000, &[2_000_000]), (0, false));
    assert_eq!(string(0, &[100_000]), (3_200_000, false));
}
