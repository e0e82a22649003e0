// SPDX-License-Identifier: Apache-2.0
//! Predict: `PredictRequest` in, `PredictResponse` out.

use bytes::Bytes;
use tensorserve_servables::verbs::predict::{self, Prepared};
use tensorserve_servables::{ModelSpec, Result, ServableHandle, Urgency, verbs::metadata::missing_model_spec};

use super::examples::unreadable;
use super::message;
use crate::account::Account;
use crate::lane::Lane;
use crate::wire;
use crate::wire::predict::PredictRequest;
use crate::wire::prediction_log::LogType;

pub(super) async fn reply(pieces: &[Bytes], lane: &Lane, urgency: Urgency, account: &mut Account<'_>) -> Result<Bytes> {
    let serving = &*lane.serving;
    let mut request = wire::predict::parse(pieces).map_err(|malformed| unreadable("PredictRequest", malformed))?;
    let spec = request.spec.take().ok_or_else(missing_model_spec)?;
    let prepared = prepare(request, &spec, account.resolve(&spec)?, serving.options.signature_method_name_check)?;
    let answer = prepared.run(&serving.executor, lane.load(), urgency).await?;
    let max_bytes = serving.options.max_message_bytes();
    let start = |len| message::start(len, max_bytes);
    let reply = wire::predict::encode(&answer, serving.options.tensor_encoding, start)?;
    if let Some(sample) = serving.request_log.sample(answer.handle.model()) {
        sample.hand_over(message::exchange(LogType::Predict, &answer.handle, &answer.signature.name, pieces, &reply));
    }
    Ok(reply)
}

/// Finds the signature that the request means, and checks the request against it.
pub(super) fn prepare(
    request: PredictRequest<'_>,
    spec: &ModelSpec<'_>,
    handle: ServableHandle,
    check_method: bool,
) -> Result<Prepared> {
    let signature = handle.predict_signature(spec.resolved_signature())?;
    if check_method {
        signature.check_predict_method()?;
    }
    predict::prepare(handle, signature, request.inputs, &request.output_filter)
}
