// SPDX-License-Identifier: Apache-2.0
//! Predict requests whose body is no JSON: a `PredictRequest`, an array, or several.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderMap;
use smallvec::SmallVec;
use tensorserve_servables::verbs::predict::{InputValue, Inputs, Prepared, prepare};
use tensorserve_servables::{ModelSpec, Result, ServableHandle, ServingError, Signature, VersionChoice};
use tensorserve_tensors::npy::{decode_npy, decode_npz};

use super::logged::LoggedPredict;
use super::lookup::find;
use crate::memory::Held;
use crate::serving::Serving;
use crate::wire;
use crate::wire::inflate::MAX_INFLATED_BYTES;

/// Names the signature of a request whose body cannot.
const SIGNATURE_HEADER: &str = "x-tensorserve-signature";

/// Names the wanted outputs, separated by commas, of a request whose body cannot.
const OUTPUT_FILTER_HEADER: &str = "x-tensorserve-output-filter";

/// A checked request, and what its log shall say.
type Ready = (Prepared, Option<LoggedPredict>);

/// A `PredictRequest`. Model and version are those of the URL; the message may repeat them.
pub(super) fn protobuf(url: &ModelSpec<'_>, body: &Bytes, serving: &Serving, held: &mut Option<Held>) -> Result<Ready> {
    let pieces = std::slice::from_ref(body);
    let request = wire::predict::parse(pieces).map_err(|malformed| {
        let message = format!("the body is not a tensorflow.serving.PredictRequest: {malformed}");
        ServingError::invalid_argument(message)
    })?;
    *held = serving.memory.hold_many(request.weight().bytes)?;
    let given = request.spec.unwrap_or_default();
    check_same_model(url, &given)?;
    let (handle, signature) = find(url, Some(&given.signature_name), &serving.table)?;
    let logged = LoggedPredict::message(&serving.request_log, &handle, &signature, body);
    Ok((prepare(handle, signature, request.inputs, &request.output_filter)?, logged))
}

fn check_same_model(url: &ModelSpec<'_>, given: &ModelSpec<'_>) -> Result<()> {
    let other_name = !given.name.is_empty() && given.name != url.name;
    if other_name || given.version != VersionChoice::Latest && given.version != url.version {
        let message = format!(
            "the model_spec in the body ({}) is not that of the URL ({}); leave it out, or say the same in both",
            shown(given),
            shown(url)
        );
        return Err(ServingError::invalid_argument(message));
    }
    Ok(())
}

fn shown(spec: &ModelSpec<'_>) -> String {
    match &spec.version {
        VersionChoice::Latest => format!("name {:?}", spec.name),
        VersionChoice::Specific(version) => format!("name {:?}, version {version}", spec.name),
        VersionChoice::Label(label) => format!("name {:?}, label {label:?}", spec.name),
    }
}

/// One array, for a signature with one input.
pub(super) fn npy(spec: &ModelSpec<'_>, headers: &HeaderMap, body: &Bytes, serving: &Serving) -> Result<Ready> {
    let (handle, signature) = named(spec, headers, serving)?;
    let [input] = &signature.inputs[..] else {
        let message = format!(
            "signature {} has {} inputs ({}); send them as application/x-npz, an array for each",
            signature.name,
            signature.inputs.len(),
            input_names(&signature)
        );
        return Err(ServingError::invalid_argument(message));
    };
    let tensor = decode_npy(body, input.dtype);
    let tensor = tensor.map_err(|e| ServingError::new(e.code, format!("input {}: {}", input.alias, e.message)))?;
    let mut inputs = Inputs::new();
    inputs.push((Cow::Owned(input.alias.clone()), InputValue::Tensor(tensor)));
    finish((handle, signature), inputs, headers, serving)
}

/// Named arrays.
pub(super) fn npz(spec: &ModelSpec<'_>, headers: &HeaderMap, body: &Bytes, serving: &Serving) -> Result<Ready> {
    let (handle, signature) = named(spec, headers, serving)?;
    // What is not compressed may be as large as the body.
    let limit = body.len().max(serving.options.limits.max_request_bytes.min(MAX_INFLATED_BYTES));
    let arrays = decode_npz(body, limit, |name| match signature.input(name) {
        Some(input) => Ok(input.dtype),
        None => Err(ServingError::invalid_argument(format!(
            "signature {} has no input {name}; its inputs are {}",
            signature.name,
            input_names(&signature)
        ))),
    })?;
    let mut inputs = Inputs::new();
    for (alias, tensor) in arrays {
        if inputs.iter().any(|(known, _)| *known == alias) {
            return Err(ServingError::invalid_argument(format!("the array {alias} is there twice")));
        }
        inputs.push((Cow::Owned(alias), InputValue::Tensor(tensor)));
    }
    finish((handle, signature), inputs, headers, serving)
}

fn named(spec: &ModelSpec<'_>, headers: &HeaderMap, serving: &Serving) -> Result<(ServableHandle, Arc<Signature>)> {
    find(spec, text(headers, SIGNATURE_HEADER)?, &serving.table)
}

fn finish(
    (handle, signature): (ServableHandle, Arc<Signature>),
    inputs: Inputs<'_>,
    headers: &HeaderMap,
    serving: &Serving,
) -> Result<Ready> {
    let filter = text(headers, OUTPUT_FILTER_HEADER)?.unwrap_or_default();
    let filter: SmallVec<[Cow<'_, str>; 2]> =
        filter.split(',').map(str::trim).filter(|alias| !alias.is_empty()).map(Cow::Borrowed).collect();
    let logged = LoggedPredict::tensors(&serving.request_log, &handle, &inputs, &filter);
    Ok((prepare(handle, signature, inputs, &filter)?, logged))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes());
    text.map(Some).map_err(|_| ServingError::invalid_argument(format!("the header {name} is not UTF-8")))
}

fn input_names(signature: &Signature) -> String {
    signature.inputs.iter().map(|input| input.alias.as_str()).collect::<Vec<_>>().join(", ")
}
