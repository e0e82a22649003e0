// SPDX-License-Identifier: Apache-2.0
//! Refused Predict bodies: each message, and which of several problems is reported.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use tensorserve_tensors::json::{InputSpec, PredictBody, decode_predict};
use tensorserve_tensors::{Code, DataType, Result, ServingError};

fn specs(inputs: &[(&str, DataType)]) -> Vec<InputSpec> {
    inputs.iter().map(|&(alias, dtype)| InputSpec { alias: alias.to_owned(), dtype }).collect()
}

fn decode(body: &[u8], inputs: &[(&str, DataType)]) -> Result<PredictBody> {
    decode_predict(body, |_| Ok(specs(inputs)))
}

fn message(body: &str, inputs: &[(&str, DataType)]) -> String {
    let error = decode(body.as_bytes(), inputs).unwrap_err();
    assert_eq!(error.code, Code::InvalidArgument, "{body}");
    error.message
}

const FLOAT: &[(&str, DataType)] = &[("x", DataType::Float)];
const STRING: &[(&str, DataType)] = &[("x", DataType::String)];
const PAIR: &[(&str, DataType)] = &[("a", DataType::Float), ("b", DataType::String)];

#[test]
fn syntax_errors_name_problem_and_offset() {
    let cases: &[(&str, &str)] = &[
        ("  ", "The document is empty. at offset: 2"),
        ("]", "The document is empty. at offset: 0"),
        ("instances = [1]", "Invalid value. at offset: 0"),
        (r#"{"instances": [1, nan]}"#, "Invalid value. at offset: 19"),
        (r#"{"instances": [1, tru]}"#, "Invalid value. at offset: 21"),
        (r#"{"instances": [1, -]}"#, "Invalid value. at offset: 19"),
        (r#"{"instances": [1, +1]}"#, "Invalid value. at offset: 18"),
        (r#"{"instances": [.5]}"#, "Invalid value. at offset: 15"),
        (r#"{"instances": [1,]}"#, "Invalid value. at offset: 17"),
        (r#"{"instances": [1.]}"#, "Miss fraction part in number. at offset: 17"),
        (r#"{"instances": [1e]}"#, "Miss exponent in number. at offset: 17"),
        (r#"{"instances": [1e+]}"#, "Miss exponent in number. at offset: 18"),
        (r#"{"instances": [3, 1e400]}"#, "Number too big to be stored in double. at offset: 18"),
        (r#"{"instances": [01]}"#, "Missing a comma or ']' after an array element. at offset: 16"),
        (r#"{"instances": [1 2]}"#, "Missing a comma or ']' after an array element. at offset: 17"),
        (r#"{"instances": [1"#, "Missing a comma or ']' after an array element. at offset: 16"),
        (r#"{"instances": [1]"#, "Missing a comma or '}' after an object member. at offset: 17"),
        (r#"{"instances" [1]}"#, "Missing a colon after a name of object member. at offset: 13"),
        (r#"{instances: [1]}"#, "Missing a name for object member. at offset: 1"),
        (r#"{"instances": [1],}"#, "Missing a name for object member. at offset: 18"),
        (r#"{"instances": ["\u12g4"]}"#, "Incorrect hex digit after \\u escape in string. at offset: 16"),
        (r#"{"instances": ["\ud83dx"]}"#, "The surrogate pair in string is invalid. at offset: 16"),
        (r#"{"instances": ["a\x"]}"#, "Invalid escape character in string. at offset: 17"),
        ("{\"instances\": [\"a\n\"]}", "Invalid escape character in string. at offset: 17"),
        (r#"{"instances": ["ab]}"#, "Missing a closing quotation mark in string. at offset: 20"),
    ];
    for (body, expected) in cases {
        for inputs in [FLOAT, STRING, PAIR] {
            assert_eq!(message(body, inputs), format!("JSON Parse error: {expected}"), "{body}");
        }
    }
    assert_eq!(message("", FLOAT), "JSON Parse error: The document is empty");
}

#[test]
fn keys_are_checked_before_tensors() {
    let cases: &[(&str, &str)] = &[
        ("[1, 2]", "JSON Value: [1, 2] Is not object"),
        ("0.5", "JSON Value: 0.5 Is not object"),
        ("1E-5", "JSON Value: 0.00001 Is not object"),
        ("1e40", "JSON Value: 1e40 Is not object"),
        ("123456789012345678901234567890", "JSON Value: 1.2345678901234568e29 Is not object"),
        ("{}", "Missing 'inputs' or 'instances' key"),
        (r#"{"instance": [1]}"#, "Missing 'inputs' or 'instances' key"),
        (r#"{"instances": 5}"#, "JSON Value: {\n    \"instances\": 5\n} Expecting 'instances' to be an list/array"),
        (r#"{"instances": []}"#, "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"),
        (
            r#"{"instances": ["x"], "inputs": [1, 2]}"#,
            "JSON Value: {\n    \"instances\": [\"x\"],\n    \"inputs\": [1, 2]\n} Not formatted correctly expecting \
             only one of 'inputs' or 'instances' keys to exist ",
        ),
        (
            r#"{"instances": ["x"], "signature_name": 5}"#,
            "JSON Value: {\n    \"instances\": [\"x\"],\n    \"signature_name\": 5\n} not formatted correctly. \
             'signature_name' key must be a string value.",
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(message(body, FLOAT), *expected, "{body}");
    }
}

#[test]
fn row_errors_name_the_element() {
    let row = |n: usize, text: &str| {
        format!("Failed to process element: {n} of 'instances' list. Error: INVALID_ARGUMENT: {text}")
    };
    let cases = [
        (r#"[1, "a"]"#, row(1, "JSON Value: \"a\" Type: String is not of expected type: float")),
        ("[null]", row(0, "JSON Value: null Type: Null is not of expected type: float")),
        ("[true]", row(0, "JSON Value: true Type: True is not of expected type: float")),
        (r#"[{"b64": "AA=="}]"#, {
            let value = "{\n    \"b64\": \"AA==\"\n}";
            row(0, &format!("JSON Value: {value} Type: Object is not of expected type: float"))
        }),
        ("[1, [2]]", row(1, "Expecting shape [] but got: [1]")),
        ("[[1], 2]", row(1, "Expecting shape [1] but got: []")),
        ("[[1, 2], [3]]", row(1, "Expecting tensor size: 2 but got: 1")),
        ("[[[1, 2], [3, 4]], [[1, 2]]]", row(1, "Expecting tensor size: 4 but got: 2")),
        ("[[[1], [2]], [[1, 2]]]", row(1, "Expecting shape [2,1] but got: [1,2]")),
        ("[[[1, 2], [3]]]", row(0, "Encountered list at unexpected size: 1 at level: 1 expected size: 2")),
        // The size of a list is checked before its elements.
        ("[[[1], [\"a\", 2]]]", row(0, "Encountered list at unexpected size: 2 at level: 1 expected size: 1")),
        ("[[1, [2]]]", row(0, "Encountered list at unexpected level: 1 expected < 1")),
        ("[[[1], 2]]", row(0, "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2")),
        ("[[[], 2.5]]", row(0, "JSON Value: 2.5 found at incorrect level: 2 in the JSON DOM. Expected at level: 2")),
        (r#"[1, {"x": 1}]"#, "Expecting value/list but got object at item 1 of input list".to_owned()),
        (r#"[{"x": 1}, 1]"#, "Expecting object but got list at item 1 of input list".to_owned()),
        (r#"[{"x": 1}, {}]"#, {
            "Failed to process element: 1 of 'instances' list. JSON object: {} keys must be equal to: x".to_owned()
        }),
    ];
    for (instances, expected) in cases {
        assert_eq!(message(&format!(r#"{{"instances": {instances}}}"#), FLOAT), expected, "{instances}");
    }
}

#[test]
fn named_rows_need_exactly_the_inputs() {
    let cases = [
        (
            "[1]",
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per \
             tensorinfo_map",
        ),
        (
            r#"[{"a": 1}]"#,
            "Failed to process element: 0 of 'instances' list. JSON object: {\n    \"a\": 1\n} keys must be equal to: a,b",
        ),
        (
            r#"[{"a": 1, "b": "s"}, {"a": 1, "c": 2, "b": 3}]"#,
            "Failed to process element: 1 key: c of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not \
             have named input: c",
        ),
        (
            r#"[{"a": 1, "a": 2, "b": "s"}]"#,
            "Failed to process element: 0 key: a of 'instances' list. Error: INVALID_ARGUMENT: JSON object: has more \
             than one value for named input: a",
        ),
        (
            r#"[{"a": 1, "b": "s"}, {"a": [1], "b": 3}]"#,
            "Failed to process element: 1 key: a of 'instances' list. Error: INVALID_ARGUMENT: Expecting shape [] but \
             got: [1]",
        ),
        (
            r#"[{"a": 1, "b": "s"}, {"b": 3, "a": [1]}]"#,
            "Failed to process element: 1 key: b of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: 3 Type: \
             Number is not of expected type: string",
        ),
        (
            r#"[{"a": 1, "b": {"c": "AA"}}]"#,
            "Failed to process element: 0 key: b of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: {\n    \
             \"c\": \"AA\"\n} not formatted correctly for base64 data",
        ),
        (
            r#"[{"a": 1, "b": {"b64": "A"}}]"#,
            "Failed to process element: 0 key: b of 'instances' list. Error: INVALID_ARGUMENT: Unable to base64 decode",
        ),
    ];
    for (instances, expected) in cases {
        assert_eq!(message(&format!(r#"{{"instances": {instances}}}"#), PAIR), expected, "{instances}");
    }
}

#[test]
fn columnar_errors() {
    let cases = [
        (
            "1",
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per \
             tensorinfo_map",
        ),
        (r#"{"b": "s"}"#, "Missing named input: a in 'inputs' object."),
        ("{}", "Missing named input: a in 'inputs' object."),
        // Inputs are checked in the signature's order, not in the text's.
        (r#"{"b": 1, "a": "s"}"#, "JSON Value: \"s\" Type: String is not of expected type: float"),
        (r#"{"b": [["s"], "t"], "a": 1}"#, {
            "JSON Value: \"t\" found at incorrect level: 2 in the JSON DOM. Expected at level: 2"
        }),
    ];
    for (inputs, expected) in cases {
        assert_eq!(message(&format!(r#"{{"inputs": {inputs}}}"#), PAIR), expected, "{inputs}");
    }
}

#[test]
fn elements_must_be_of_the_type() {
    use DataType::*;
    let cases: &[(DataType, &[&str], &[&str])] = &[
        (Float, &["1", "-0.5", "1e39", "NaN", "-Infinity", "Inf"], &["true", "\"1\"", "null"]),
        (Double, &["1", "1e308", "NaN"], &["true", "\"1\""]),
        (Half, &["1", "65504.0", "1e9"], &["true", "\"1\""]),
        (Bfloat16, &["1", "0.5"], &["false", "\"1\""]),
        (Bool, &["true", "false"], &["0", "1", "\"true\"", "null"]),
        (Int8, &["-128", "127", "-0"], &["128", "-129", "1.0", "1e1", "\"1\"", "true", "NaN"]),
        (Uint8, &["0", "255", "-0"], &["256", "-1", "300", "1.0"]),
        (Int16, &["-32768", "32767"], &["32768", "-32769", "0.0"]),
        (Uint16, &["0", "65535"], &["65536", "-1"]),
        (Int32, &["-2147483648", "2147483647"], &["2147483648", "-2147483649", "1.0"]),
        (Uint32, &["0", "4294967295"], &["4294967296", "-1"]),
        (Int64, &["-9223372036854775808", "9223372036854775807"], &["9223372036854775808", "1.0", "NaN"]),
        (Uint64, &["0", "18446744073709551615"], &["18446744073709551616", "-1", "99999999999999999999"]),
        (String, &["\"\"", "\"1\"", r#"{"b64": ""}"#], &["1", "true", "null"]),
    ];
    for &(dtype, accepted, refused) in cases {
        for value in accepted {
            let body = format!(r#"{{"inputs": {value}}}"#);
            assert!(decode(body.as_bytes(), &[("x", dtype)]).is_ok(), "{dtype} {value}");
        }
        for value in refused {
            let text = message(&format!(r#"{{"inputs": {value}}}"#), &[("x", dtype)]);
            assert!(text.ends_with(&format!(" is not of expected type: {dtype}")), "{dtype} {value}: {text}");
        }
    }
}

#[test]
fn types_without_a_json_form_are_unimplemented() {
    let inputs = [("x", DataType::Complex64)];
    let error = decode(br#"{"inputs": [1.5]}"#, &inputs).unwrap_err();
    let text = "Conversion of JSON Value: 1.5 to type: complex64";
    assert_eq!(error, ServingError::new(Code::Unimplemented, text));
    let row = format!("Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: {text}");
    assert_eq!(message(r#"{"instances": [1.5]}"#, &inputs), row);
    assert!(decode(br#"{"inputs": []}"#, &inputs).is_ok());
}

#[test]
fn signature_errors_come_after_syntax_and_before_keys() {
    let unknown = |_: Option<&str>| -> Result<Vec<InputSpec>> { Err(ServingError::not_found("no such signature")) };
    let error = |body: &str| decode_predict(body.as_bytes(), unknown).unwrap_err().message;
    assert_eq!(error(r#"{"instances": []}"#), "no such signature");
    assert_eq!(error("{}"), "no such signature");
    assert!(error(r#"{"instances": [}"#).starts_with("JSON Parse error"));
    assert!(error(r#"{"signature_name": null}"#).ends_with("key must be a string value."));
}

#[test]
fn signatures_without_inputs_are_refused() {
    let body = r#"{"instances": [1], "signature_name": "s"}"#;
    assert_eq!(message(body, &[]), "Failed to get input map for signature: s");
    assert_eq!(message(r#"{"instances": [1]}"#, &[]), "Failed to get input map for signature: DEFAULT");
}

#[test]
fn values_in_messages_are_cut_off() {
    let body = format!("[{}]", vec!["1234567"; 1000].join(","));
    let text = message(&body, FLOAT);
    let expected = format!("JSON Value: [{} Is not object", vec!["1234567"; 29].join(", "));
    assert_eq!(text, expected);
}

#[test]
fn deep_nesting_is_refused_without_overflow() {
    let depth = 500_000;
    let deep = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    for key in ["instances", "inputs"] {
        let text = message(&format!(r#"{{"{key}": {deep}}}"#), FLOAT);
        assert!(text.contains("at most 254 dimensions"), "{text}");
    }
    let ignored = format!(r#"{{"other": {deep}, "inputs": 1}}"#);
    assert!(decode(ignored.as_bytes(), FLOAT).is_ok());
    let objects = format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    assert!(decode(format!(r#"{{"other": {objects}, "inputs": 1}}"#).as_bytes(), FLOAT).is_ok());
}

#[test]
fn rank_254_is_accepted() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    for key in ["instances", "inputs"] {
        assert!(decode(format!(r#"{{"{key}": {}}}"#, nested(254)).as_bytes(), FLOAT).is_ok());
        assert!(decode(format!(r#"{{"{key}": {}}}"#, nested(255)).as_bytes(), FLOAT).is_err());
    }
    let named = |depth: usize| format!(r#"{{"instances": [{{"x": {}}}]}}"#, nested(depth));
    assert!(decode(named(253).as_bytes(), FLOAT).is_ok());
    assert!(message(&named(254), FLOAT).contains("at most 254 dimensions"));
}
