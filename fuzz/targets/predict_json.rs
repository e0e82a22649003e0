// SPDX-License-Identifier: Apache-2.0
//! The JSON body of Predict. The first bytes choose the signature: the number of inputs and their types. A reader that makes
//! a tree decides what is right, and what is written of a request's tensors is read as the same tensors.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tensorserve_fuzz::json::{Json, is_deep, parse};
use tensorserve_fuzz::memory::within;
use tensorserve_fuzz::value::Value;
use tensorserve_servables::ServingError;
use tensorserve_tensors::json::{Format, InputSpec, PredictBody, decode_predict, encode_predict};
use tensorserve_tensors::{DataType, Tensor};

const TYPES: [DataType; 16] = {
    use DataType::*;
    [
        Float, Double, Half, Bfloat16, Bool, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64, String, String,
        Complex64,
    ]
};
const ALIASES: [&str; 3] = ["a", "b_bytes", "c"];

fuzz_target!(|data: &[u8]| {
    let [count, first, second, third, body @ ..] = data else { return };
    let types = [first, second, third].map(|byte| TYPES[usize::from(byte % 16)]);
    let specs: Vec<InputSpec> =
        (0..usize::from(count % 3) + 1).map(|i| InputSpec { alias: ALIASES[i].to_owned(), dtype: types[i] }).collect();
    let found = within(64 * body.len() + (16 << 10), || decode(body, &specs));
    if !is_deep(body) {
        compare(&found, reference(body, &specs));
    }
    if let Ok(found) = found {
        round_trip(&found, &specs);
    }
});

fn decode(body: &[u8], specs: &[InputSpec]) -> Result<PredictBody, ServingError> {
    decode_predict(body, |name| match name {
        Some("missing") => Err(ServingError::invalid_argument("there is no such signature")),
        _ => Ok(specs),
    })
}

fn compare(found: &Result<PredictBody, ServingError>, expected: Option<(Format, Vec<Value>)>) {
    match (found, expected) {
        (Ok(found), Some((format, expected))) => {
            assert_eq!(found.format, format);
            assert_eq!(found.inputs.len(), expected.len());
            for ((alias, tensor), expected) in found.inputs.iter().zip(expected) {
                let found = Value::of(tensor);
                assert!(found.equals(&expected), "{alias}: {found:?} should be {expected:?}");
            }
        }
        (Err(error), None) => {
            assert!(!error.message.is_empty() && !error.message.starts_with("Cannot tell why"), "{error}");
        }
        (Ok(found), None) => panic!("should be refused: {found:?}"),
        (Err(error), Some(expected)) => panic!("should be {expected:?}: {error}"),
    }
}

fn reference(body: &[u8], specs: &[InputSpec]) -> Option<(Format, Vec<Value>)> {
    let document = parse(body)?;
    match document.get("signature_name") {
        None => {}
        Some(Json::String(name)) if name != b"missing" => {}
        _ => return None,
    }
    match (document.get("instances"), document.get("inputs")) {
        (Some(Json::Array(rows)), None) => Some((Format::Row, read_rows(rows, specs)?)),
        (None, Some(inputs)) => Some((Format::Column, read_columns(inputs, specs)?)),
        _ => None,
    }
}

fn read_rows(rows: &[Json], specs: &[InputSpec]) -> Option<Vec<Value>> {
    let named = rows.first()?.is_named();
    if rows.iter().any(|row| row.is_named() != named) {
        return None;
    }
    if !named {
        let [spec] = specs else { return None };
        return Some(vec![value(&Json::Array(rows.to_vec()), spec.dtype)?]);
    }
    let column = |spec: &InputSpec| {
        let values: Option<Vec<Json>> = rows.iter().map(|row| row.get(&spec.alias).cloned()).collect();
        // A type without a JSON form has no elements; their list is empty in each row.
        value(&Json::Array(values?), spec.dtype)
    };
    let whole = |row: &Json| matches!(row, Json::Object(members) if members.len() == specs.len());
    if !rows.iter().all(whole) {
        return None;
    }
    specs.iter().map(column).collect()
}

fn read_columns(inputs: &Json, specs: &[InputSpec]) -> Option<Vec<Value>> {
    match specs {
        _ if inputs.is_named() => specs.iter().map(|spec| value(inputs.get(&spec.alias)?, spec.dtype)).collect(),
        [spec] => Some(vec![value(inputs, spec.dtype)?]),
        _ => None,
    }
}

fn value(json: &Json, dtype: DataType) -> Option<Value> {
    let mut dims = Vec::new();
    let mut first = Some(json);
    while let Some(Json::Array(items)) = first {
        dims.push(items.len() as i64);
        first = items.first();
    }
    let mut elements = Vec::new();
    gather(json, dtype, &dims, &mut elements)?;
    Some(Value { dtype, dims, elements })
}

fn gather(json: &Json, dtype: DataType, dims: &[i64], elements: &mut Vec<Vec<u8>>) -> Option<()> {
    match (json, dims) {
        (Json::Array(items), [dim, inner @ ..]) if items.len() as i64 == *dim => {
            items.iter().try_for_each(|item| gather(item, dtype, inner, elements))
        }
        (Json::Array(_), _) | (_, [_, ..]) => None,
        _ => {
            elements.push(json.element(dtype)?);
            Some(())
        }
    }
}

/// What is written of the tensors is read as the same tensors.
fn round_trip(found: &PredictBody, specs: &[InputSpec]) {
    let outputs: Vec<(&str, &Tensor)> = found.inputs.iter().map(|(alias, tensor)| (alias.as_str(), tensor)).collect();
    let writable = |dtype| dtype != DataType::Complex64;
    if !outputs.iter().all(|(_, tensor)| writable(tensor.dtype()) && tensor.shape().rank() < 200) {
        return;
    }
    let mut formats = vec![(Format::Column, "\"outputs\"", "\"inputs\"")];
    let batch = outputs.first().and_then(|(_, tensor)| tensor.shape().dims().first().copied());
    if batch.is_some_and(|n| n > 0) && outputs.iter().all(|(_, t)| t.shape().dims().first().copied() == batch) {
        formats.push((Format::Row, "\"predictions\"", "\"instances\""));
    }
    for (format, written_as, read_as) in formats {
        let written = encode_predict(format, &outputs, usize::MAX).expect("all types can be written");
        let at = written.windows(written_as.len()).position(|w| w == written_as.as_bytes()).expect("the key is there");
        let body = [&written[..at], read_as.as_bytes(), &written[at + written_as.len()..]].concat();
        let expected = found.inputs.iter().map(|(_, tensor)| Value::of(tensor)).collect();
        compare(&decode(&body, specs), Some((format, expected)));
    }
}
