// SPDX-License-Identifier: Apache-2.0
//! Classify and Regress bodies: what the features become, what is refused, and the bodies of the answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use prost::Message;
use tensorserve_protos::tensorflow::feature::Kind;
use tensorserve_protos::tensorflow::{BytesList, Example, FloatList, Int64List};
use tensorserve_tensors::json::{decode_examples, encode_classifications, encode_regressions};

type Features = BTreeMap<String, Option<Kind>>;

fn read(bytes: &[u8]) -> Features {
    let features = Example::decode(bytes).unwrap().features.unwrap_or_default().feature;
    features.into_iter().map(|(name, feature)| (name, feature.kind)).collect()
}

/// The features of the one example in `{"examples": [EXAMPLE]}`.
fn features(example: &str) -> Features {
    let body = decode_examples(format!("{{\"examples\": [{example}]}}").as_bytes()).unwrap();
    let [example] = &body.examples[..] else { panic!("not one example") };
    read(example)
}

fn refusal(body: &str) -> String {
    decode_examples(body.as_bytes()).unwrap_err().message
}

fn ints(value: &[i64]) -> Option<Kind> {
    Some(Kind::Int64List(Int64List { value: value.to_vec() }))
}

fn floats(value: &[f32]) -> Option<Kind> {
    Some(Kind::FloatList(FloatList { value: value.to_vec() }))
}

fn bytes(value: &[&[u8]]) -> Option<Kind> {
    Some(Kind::BytesList(BytesList { value: value.iter().map(|v| v.to_vec()).collect() }))
}

#[test]
fn the_first_value_decides_the_kind() {
    let cases = [
        ("1", ints(&[1])),
        ("[]", None),
        ("[1, true, -3, false]", ints(&[1, 1, -3, 0])),
        ("true", ints(&[1])),
        ("-0", ints(&[0])),
        ("9223372036854775807", ints(&[i64::MAX])),
        ("-9223372036854775808", ints(&[i64::MIN])),
        ("1.0", floats(&[1.0])),
        ("[1e2, -0.0, Infinity, -Inf]", floats(&[100.0, -0.0, f32::INFINITY, f32::NEG_INFINITY])),
        ("1e39", floats(&[f32::INFINITY])),
        ("-9223372036854775809", floats(&[-9.223_372e18])),
        ("18446744073709551616", floats(&[1.844_674_4e19])),
        ("\"a\"", bytes(&[b"a"])),
        ("[\"a\\n\", {\"b64\": \"AP8=\"}, \"\"]", bytes(&[b"a\n", &[0, 255], b""])),
        ("{ \"b64\" : \"aGk\" }", bytes(&[b"hi"])),
    ];
    for (value, expected) in cases {
        assert_eq!(features(&format!("{{\"x\": {value}}}")), BTreeMap::from([("x".to_owned(), expected)]), "{value}");
    }
    let Some(Some(Kind::FloatList(list))) = features("{\"x\": NaN}").remove("x") else { panic!("no floats") };
    assert!(list.value[0].is_nan());
}

#[test]
fn an_example_has_any_number_of_features() {
    assert_eq!(features("{}"), Features::new());
    let expected = BTreeMap::from([("".to_owned(), ints(&[1])), ("é".to_owned(), bytes(&[b"s"]))]);
    assert_eq!(features(r#"{"": 1, "\u00e9": ["s"]}"#), expected);
    assert_eq!(features(r#"{"x": 1, "x": [2.5]}"#), BTreeMap::from([("x".to_owned(), floats(&[2.5]))]));
}

#[test]
fn members_may_come_in_any_order_and_the_first_of_equal_ones_counts() {
    let body = r#" {"more": [[]], "examples": [{"x": 1}, {}], "context": {"c": "v"}, "signature_name": "s",
        "signature_name": 1, "examples": 7, "context": []} and more"#;
    let body = decode_examples(body.as_bytes()).unwrap();
    assert_eq!(body.signature_name.as_deref(), Some("s"));
    assert_eq!(read(&body.context), BTreeMap::from([("c".to_owned(), bytes(&[b"v"]))]));
    assert_eq!(body.examples.len(), 2);
    assert_eq!(read(&body.examples[0]), BTreeMap::from([("x".to_owned(), ints(&[1]))]));
    assert_eq!(body.examples[1].len(), 0);
}

#[test]
fn an_example_after_the_context_is_merged_into_it() {
    let body = decode_examples(br#"{"context": {"a": 1, "b": 2}, "examples": [{"b": 3.5}]}"#).unwrap();
    let merged = [&body.context[..], &body.examples[0]].concat();
    assert_eq!(read(&merged), BTreeMap::from([("a".to_owned(), ints(&[1])), ("b".to_owned(), floats(&[3.5]))]));
}

#[test]
fn what_is_no_example_is_refused() {
    let feature = |value: &str| format!("{{\"examples\": [{{\"f\": {value}}}]}}");
    let mixed = |kind: &str| format!("Unexpected element type in feature: f expecting type: {kind}");
    let json_type = |kind: &str| format!("Feature: f has element with unexpected JSON type: {kind}");
    let cases = [
        (String::new(), "JSON Parse error: The document is empty".to_owned()),
        ("{\"examples\": [{\"f\": 1]}".to_owned(), "JSON Parse error: Missing a comma or '}' after an object member. at \
          offset: 21".to_owned()),
        ("[1]".to_owned(), "JSON Value: [1] Is not object".to_owned()),
        (
            "{\"signature_name\": 1, \"examples\": 1}".to_owned(),
            "JSON Value: {\n    \"signature_name\": 1,\n    \"examples\": 1\n} not formatted correctly. 'signature_name' \
             key must be a string value."
                .to_owned(),
        ),
        (
            "{}".to_owned(),
            "JSON Value: {} When method is classify, key 'examples' is expected and was not found".to_owned(),
        ),
        (
            "{\"examples\": {}}".to_owned(),
            "JSON Value: {\n    \"examples\": {}\n} Expecting 'examples' value to be an list/array".to_owned(),
        ),
        (
            "{\"examples\": []}".to_owned(),
            "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array".to_owned(),
        ),
        ("{\"examples\": [[1]]}".to_owned(), "Example must be JSON object but got JSON Array".to_owned()),
        ("{\"examples\": [{}, 1]}".to_owned(), "Example must be JSON object but got JSON Number".to_owned()),
        ("{\"examples\": 1, \"context\": []}".to_owned(), "Example must be JSON object but got JSON Array".to_owned()),
        (feature("[1, 2.0]"), mixed("int64")),
        (feature("[1.0, 2]"), mixed("float")),
        (feature("[1.0, true]"), mixed("float")),
        (feature("[\"a\", 1]"), mixed("bytes")),
        (feature("[1, \"a\"]"), mixed("int64")),
        (feature("[1, {\"b64\": \"\"}]"), mixed("int64")),
        (feature("null"), json_type("Null")),
        (feature("[1, null]"), json_type("Null")),
        (feature("[[1]]"), json_type("Array")),
        (feature("{\"b\": \"\"}"), json_type("Object")),
        (feature("{\"b64\": 1}"), json_type("Object")),
        (feature("{\"b64\": \"*\"}"), "Unable to base64 decode".to_owned()),
        (feature("9223372036854775808"), "Feature: f has uint64_t element. Only int64_t is supported.".to_owned()),
        (feature("nul"), "JSON Parse error: Invalid value. at offset: 23".to_owned()),
        (feature("1e400"), "JSON Parse error: Number too big to be stored in double. at offset: 20".to_owned()),
    ];
    for (body, expected) in cases {
        assert_eq!(refusal(&body), expected, "{body}");
    }
}

#[test]
fn answers_are_laid_out_as_the_originals() {
    let rows: [[(&[u8], f32); 2]; 2] = [[(b"car", 0.2), (b"bike", 0.7)], [(b"car", 0.7), (b"bike", 0.1)]];
    let expected =
        "{\n    \"results\": [[[\"car\", 0.2], [\"bike\", 0.7]], [[\"car\", 0.7], [\"bike\", 0.1]]\n    ]\n}";
    assert_eq!(String::from_utf8(encode_classifications(rows.into_iter(), usize::MAX).unwrap()).unwrap(), expected);
    let expected = "{\n    \"results\": [0.2, 1.2, 2.2]\n}";
    assert_eq!(
        String::from_utf8(encode_regressions([0.2, 1.2, 2.2].into_iter(), usize::MAX).unwrap()).unwrap(),
        expected
    );
    let none = encode_regressions([].into_iter(), usize::MAX).unwrap_err();
    assert_eq!(none.message, "Cannot convert empty RegressionResults to JSON");
    let none: [[(&[u8], f32); 0]; 0] = [];
    let none = encode_classifications(none.into_iter(), usize::MAX).unwrap_err();
    assert_eq!(none.message, "Cannot convert empty ClassificationResults to JSON");
}

/// A feature's values; JSON cannot tell a bytes value that is text from a string.
fn kind() -> impl Strategy<Value = Option<Kind>> {
    prop_oneof![
        Just(None),
        prop::collection::vec(any::<i64>(), 1..20).prop_map(|value| ints(&value)),
        prop::collection::vec(prop::num::f32::NORMAL | prop::num::f32::ZERO, 1..20).prop_map(|value| floats(&value)),
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..5)
            .prop_map(|value| bytes(&value.iter().map(Vec::as_slice).collect::<Vec<_>>())),
    ]
}

fn value_text(kind: &Option<Kind>, scalar: bool) -> String {
    let values: Vec<String> = match kind {
        None => Vec::new(),
        Some(Kind::Int64List(list)) => list.value.iter().map(i64::to_string).collect(),
        Some(Kind::FloatList(list)) => list.value.iter().map(|value| format!("{value:e}")).collect(),
        Some(Kind::BytesList(list)) => {
            let text = |value: &[u8]| match std::str::from_utf8(value) {
                Ok(text) => serde_json::to_string(text).unwrap(),
                Err(_) => format!("{{\"b64\": \"{}\"}}", STANDARD.encode(value)),
            };
            list.value.iter().map(|value| text(value)).collect()
        }
    };
    match &values[..] {
        [value] if scalar => value.clone(),
        _ => format!("[{}]", values.join(", ")),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_what_protobuf_reads(
        examples in prop::collection::vec(prop::collection::btree_map(".{0,8}", (kind(), any::<bool>()), 0..6), 1..6),
    ) {
        let text = |example: &BTreeMap<String, (Option<Kind>, bool)>| {
            let member = |(name, (kind, scalar)): (&String, &(Option<Kind>, bool))| {
                format!("{}: {}", serde_json::to_string(name).unwrap(), value_text(kind, *scalar))
            };
            format!("{{{}}}", example.iter().map(member).collect::<Vec<_>>().join(", "))
        };
        let body = format!("{{\"examples\": [{}]}}", examples.iter().map(text).collect::<Vec<_>>().join(", "));
        let found = decode_examples(body.as_bytes()).unwrap();
        prop_assert_eq!(found.examples.len(), examples.len());
        for (bytes, example) in found.examples.iter().zip(&examples) {
            let expected: Features = example.iter().map(|(name, (kind, _))| (name.clone(), kind.clone())).collect();
            prop_assert_eq!(read(bytes), expected);
        }
    }

    #[test]
    fn any_text_is_decoded_or_refused(body in "[{}\\[\\]\":, a1.e\\\\-]{0,40}|\\{\"examples\": \\[[{}\\[\\]\":, a1.e\\\\-]{0,40}") {
        let _ = decode_examples(body.as_bytes());
    }
}
