// SPDX-License-Identifier: Apache-2.0
//! The examples of Classify and Regress: an even first byte means features in JSON, an odd one a serialized `Input`.

#![no_main]

use std::collections::BTreeMap;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use prost::Message;
use tensorserve_fuzz::json::{Json, is_deep, parse};
use tensorserve_fuzz::memory::within;
use tensorserve_protos::tensorflow::feature::Kind;
use tensorserve_protos::tensorflow::serving::Input as InputProto;
use tensorserve_protos::tensorflow::serving::input::Kind as InputKind;
use tensorserve_protos::tensorflow::{BytesList, Example, FloatList, Int64List};
use tensorserve_tensors::json::{ExamplesBody, decode_examples};
use tensorserve_tensors::proto::Reader;
use tensorserve_transport::wire::examples::Input;

fuzz_target!(|data: &[u8]| {
    match data {
        [kind, body @ ..] if kind % 2 == 0 => json(body),
        [_, split, message @ ..] => proto(usize::from(*split), message),
        _ => {}
    }
});

type Features = BTreeMap<Vec<u8>, Option<Kind>>;

fn json(body: &[u8]) {
    let found = within(64 * body.len() + (16 << 10), || decode_examples(body));
    if is_deep(body) {
        return;
    }
    match (found, reference(body)) {
        (Ok(found), Some(expected)) => compare(&found, &expected),
        (Err(_), None) => {}
        (found, expected) => panic!("{found:?} should be {expected:?}"),
    }
}

fn compare(found: &ExamplesBody, (context, examples): &(Option<Features>, Vec<Features>)) {
    let context = context.clone().unwrap_or_default();
    assert!(same(&read(&found.context), &context), "{found:?} should have the context {context:?}");
    assert_eq!(found.examples.len(), examples.len());
    for (found, expected) in found.examples.iter().zip(examples) {
        let found = read(found);
        assert!(same(&found, expected), "{found:?} should be {expected:?}");
    }
}

/// One NaN is as good as another; the texts of both are equal.
fn same(found: &Features, expected: &Features) -> bool {
    format!("{found:?}") == format!("{expected:?}")
}

/// The features of a serialized example; names need not be text.
fn read(example: &[u8]) -> Features {
    let mut features = Features::new();
    let whole = [Bytes::copy_from_slice(example)];
    let mut fields = Reader::new(&whole);
    while fields.field().expect("an example is a message").is_some() {
        let mut map = fields.delimited().expect("with features");
        while map.field().expect("with a map").is_some() {
            let mut entry = map.delimited().expect("with entries");
            entry.field().expect("with a name");
            let name = entry.delimited().expect("which is bytes").to_bytes().to_vec();
            entry.field().expect("with a feature");
            let feature = entry.delimited().expect("which is a message").to_bytes();
            let feature = tensorserve_protos::tensorflow::Feature::decode(feature).expect("that prost reads");
            features.insert(name, feature.kind);
        }
    }
    features
}

fn reference(body: &[u8]) -> Option<(Option<Features>, Vec<Features>)> {
    let document = parse(body)?;
    if document.get("signature_name").is_some_and(|name| !matches!(name, Json::String(_))) {
        return None;
    }
    let context = match document.get("context") {
        None => None,
        Some(context) => Some(features(context)?),
    };
    let Some(Json::Array(examples)) = document.get("examples") else { return None };
    let examples: Vec<Features> = examples.iter().map(features).collect::<Option<_>>()?;
    (!examples.is_empty()).then_some((context, examples))
}

fn features(example: &Json) -> Option<Features> {
    let Json::Object(members) = example else { return None };
    members.iter().map(|(name, value)| Some((name.clone(), feature(value)?))).collect()
}

fn feature(value: &Json) -> Option<Option<Kind>> {
    let one = [value.clone()];
    let values = if let Json::Array(values) = value { values } else { &one[..] };
    let Some(first) = values.first() else { return Some(None) };
    Some(Some(match first {
        Json::Bool(_) | Json::Number(_) if integer(first).is_some() => {
            let value = values.iter().map(|v| integer(v).and_then(|v| i64::try_from(v).ok())).collect::<Option<_>>()?;
            Kind::Int64List(Int64List { value })
        }
        Json::Number(_) => {
            let float = |v: &Json| if integer(v).is_none() { v.float() } else { None };
            Kind::FloatList(FloatList { value: values.iter().map(float).collect::<Option<_>>()? })
        }
        _ => Kind::BytesList(BytesList { value: values.iter().map(Json::bytes).collect::<Option<_>>()? }),
    }))
}

/// Truth values, and numbers without fraction and exponent that fit 64 bits, with or without a sign.
fn integer(value: &Json) -> Option<i128> {
    match value {
        Json::Bool(value) => Some(i128::from(*value)),
        Json::Number(text) => text.parse().ok().filter(|n| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(n)),
        _ => None,
    }
}

fn proto(split: usize, message: &[u8]) {
    let split = split.min(message.len());
    let pieces = [Bytes::copy_from_slice(&message[..split]), Bytes::copy_from_slice(&message[split..])];
    let whole = [Bytes::copy_from_slice(message)];
    let read = |pieces: &[Bytes]| {
        let mut input = Input::default();
        let merged = within(128 * message.len() + (16 << 10), || input.merge(Reader::new(pieces)));
        merged.ok().map(|()| input.into_examples())
    };
    let found = read(&whole);
    assert_eq!(found, read(&pieces), "the pieces make a difference");
    let (Some(found), Ok(reference)) = (found, InputProto::decode(message)) else { return };
    let (context, examples) = match reference.kind {
        None => (None, Vec::new()),
        Some(InputKind::ExampleList(list)) => (None, list.examples),
        Some(InputKind::ExampleListWithContext(list)) => (list.context, list.examples),
    };
    let decode = |bytes: &Bytes| Example::decode(bytes.clone()).expect("prost has read it as a part");
    let text = |example: &Example| format!("{:?}", example.features.as_ref().map(sorted));
    assert_eq!(text(&decode(&found.context)), text(&context.unwrap_or_default()));
    assert_eq!(found.list.len(), examples.len());
    for (found, expected) in found.list.iter().zip(&examples) {
        assert_eq!(text(&decode(found)), text(expected));
    }
}

fn sorted(features: &tensorserve_protos::tensorflow::Features) -> BTreeMap<&String, &Option<Kind>> {
    features.feature.iter().map(|(name, feature)| (name, &feature.kind)).collect()
}
