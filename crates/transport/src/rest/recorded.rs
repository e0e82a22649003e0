// SPDX-License-Identifier: Apache-2.0
//! REST requests as records, without being run.

use std::sync::Arc;

use smallvec::SmallVec;
use tensorserve_servables::verbs::examples::Examples;
use tensorserve_servables::verbs::predict::InputValue;
use tensorserve_servables::{ModelSpec, Result, Servable, SoleServable};
use tensorserve_tensors::Tensor;
use tensorserve_tensors::json::decode_examples;

use super::logged::examples_request;
use super::predict::{JsonRequest, read_json};
use crate::wire;
use crate::wire::prediction_log::{LogType, encode};

/// The `PredictionLog` of a body such as `:predict` takes. Errors are those of the request.
pub fn record_predict(model: &str, body: &[u8], servable: Arc<Servable>) -> Result<Vec<u8>> {
    let servable = SoleServable::new(model, servable);
    let JsonRequest { signature, inputs, .. } = read_json(&ModelSpec::default(), body, &servable)?;
    let tensor = |(alias, value)| match value {
        InputValue::Tensor(tensor) => Some((std::borrow::Cow::into_owned(alias), tensor)),
        _ => None,
    };
    let inputs: Vec<(String, Tensor)> = inputs.into_iter().filter_map(tensor).collect();
    let request = wire::predict::encode_request(model, &signature.name, &inputs, &[])?;
    Ok(encode(None, LogType::Predict, &[request.into()], None))
}

/// The same for a body such as `:classify` and `:regress` take.
pub fn record_examples(model: &str, body: &[u8], log_type: LogType) -> Result<Vec<u8>> {
    let request = decode_examples(body)?;
    let signature = request.signature_name.unwrap_or_default();
    let examples = Examples { context: request.context, list: request.examples };
    let request = examples_request(model, &signature, &examples);
    let request = SmallVec::<[bytes::Bytes; 1]>::from_elem(request.into(), 1);
    Ok(encode(None, log_type, &request, None))
}
