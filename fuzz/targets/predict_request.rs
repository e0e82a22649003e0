// SPDX-License-Identifier: Apache-2.0
//! `PredictRequest`, as gRPC brings it: in pieces. The first two bytes say where the message is split; prost reads the same
//! message, and TensorFlow's rules in their slow form give the tensors.

#![no_main]

use std::collections::BTreeMap;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use prost::Message;
use tensorserve_fuzz::memory::within;
use tensorserve_fuzz::tensor_proto::{Meaning, meaning};
use tensorserve_fuzz::value::Value;
use tensorserve_protos::tensorflow::serving::PredictRequest as Reference;
use tensorserve_protos::tensorflow::serving::model_spec::VersionChoice as ReferenceVersion;
use tensorserve_servables::verbs::predict::InputValue;
use tensorserve_servables::{ModelSpec, VersionChoice};
use tensorserve_tensors::Tensor;
use tensorserve_tensors::proto::decode::MAX_FILLED_BYTES;
use tensorserve_tensors::proto::encode::Encoder;
use tensorserve_tensors::proto::{Reader, TensorEncoding, TensorView};
use tensorserve_transport::wire::predict::{PredictRequest, parse};

fuzz_target!(|data: &[u8]| {
    let [first, second, message @ ..] = data else { return };
    let whole = [Bytes::copy_from_slice(message)];
    let pieces = split(&whole[0], *first, *second);
    let found = within(limit(message.len()), || parse(&whole));
    let in_pieces = within(limit(message.len()), || parse(&pieces));
    match (&found, &in_pieces) {
        (Ok(found), Ok(in_pieces)) => compare(found, in_pieces),
        (found, in_pieces) => assert_eq!(found.is_ok(), in_pieces.is_ok(), "the pieces make a difference"),
    }
    if let Ok(reference) = Reference::decode(message) {
        if let Ok(found) = &found {
            compare_with(found, &reference);
        }
        let canonical = [Bytes::from(reference.encode_to_vec())];
        let found = parse(&canonical).expect("what prost writes is readable");
        compare_with(&found, &reference);
        assert_eq!(found.inputs.len(), reference.inputs.len());
    }
});

/// Inputs cost more than their bytes, but their number is bounded.
fn limit(len: usize) -> usize {
    64 * len + (512 * len).min(12 << 20) + (16 << 10)
}

fn split(message: &Bytes, first: u8, second: u8) -> Vec<Bytes> {
    let first = usize::from(first).min(message.len());
    let second = (first + usize::from(second)).min(message.len());
    vec![message.slice(..first), message.slice(first..second), message.slice(second..)]
}

fn tensor(value: &InputValue<'_>) -> Option<Tensor> {
    let InputValue::Wire(view) = value else { return None };
    within(MAX_FILLED_BYTES + (8 << 20), || view.to_tensor().ok())
}

/// The same message, read whole and in pieces.
fn compare(whole: &PredictRequest<'_>, pieces: &PredictRequest<'_>) {
    assert_eq!(whole.spec, pieces.spec);
    assert_eq!(whole.output_filter, pieces.output_filter);
    assert_eq!(whole.inputs.len(), pieces.inputs.len());
    for ((alias, a), (other, b)) in whole.inputs.iter().zip(&pieces.inputs) {
        assert_eq!(alias, other);
        match (tensor(a), tensor(b)) {
            (Some(a), Some(b)) if a.shape().num_elements() < 1 << 16 => {
                let (a_value, b_value) = (Value::of(&a), Value::of(&b));
                assert!(a_value.equals(&b_value), "{a_value:?} is not {b_value:?}");
                round_trip(&a, &a_value);
            }
            (a, b) => assert_eq!(a.is_some(), b.is_some()),
        }
    }
}

/// What is written of a tensor is read as the same tensor.
fn round_trip(tensor: &Tensor, value: &Value) {
    for encoding in [TensorEncoding::TypedValues, TensorEncoding::Content] {
        let encoder = Encoder::new(tensor, encoding).expect("a decoded tensor can be encoded");
        let mut written = Vec::new();
        encoder.put(&mut written);
        assert_eq!(written.len(), encoder.len());
        let written = [Bytes::from(written)];
        let view = TensorView::parse(Reader::new(&written)).expect("what was written is readable");
        let read = Value::of(&view.to_tensor().expect("what was written is readable"));
        // Narrow numbers have bits that the wire does not keep; reading them once has dropped them.
        assert!(read.equals(value), "{encoding:?}: {read:?} is not {value:?}");
    }
}

fn compare_with(found: &PredictRequest<'_>, reference: &Reference) {
    let spec = reference.model_spec.as_ref().map(|spec| ModelSpec {
        name: spec.name.as_str().into(),
        version: match &spec.version_choice {
            None => VersionChoice::Latest,
            Some(ReferenceVersion::Version(version)) => VersionChoice::Specific(*version),
            Some(ReferenceVersion::VersionLabel(label)) => VersionChoice::Label(label.as_str().into()),
        },
        signature_name: spec.signature_name.as_str().into(),
    });
    assert_eq!(found.spec, spec);
    assert_eq!(found.output_filter.to_vec(), reference.output_filter);
    let expected: BTreeMap<&str, _> = reference.inputs.iter().map(|(alias, proto)| (alias.as_str(), proto)).collect();
    for (alias, value) in &found.inputs {
        let proto = expected.get(&**alias).expect("both know the input");
        // A value that stands in an entry twice is refused here, and merged by protobuf.
        let InputValue::Wire(_) = value else { continue };
        match (meaning(proto), tensor(value)) {
            (Meaning::Value(expected), Some(tensor)) => {
                let found = Value::of(&tensor);
                assert!(found.equals(&expected), "{alias}: {found:?} should be {expected:?}");
            }
            (Meaning::Value(expected), None) => panic!("{alias}: should be {expected:?}"),
            (Meaning::Refused, Some(tensor)) => panic!("{alias}: should be refused, is {tensor:?}"),
            (Meaning::Refused, None) | (Meaning::Large, _) => {}
        }
    }
}
