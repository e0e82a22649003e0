// SPDX-License-Identifier: Apache-2.0
//! What Classify, Regress and MultiInference have in common: a request in, the answer of a head, a framed response out.

use bytes::Bytes;
use tensorserve_servables::verbs::head::{Answer, Head, prepare};
use tensorserve_servables::{Result, ServingError, Urgency, verbs::metadata::missing_model_spec};
use tensorserve_tensors::proto::{Malformed, Reader};

use super::message;
use crate::Serving;
use crate::account::Account;
use crate::lane::Lane;
use crate::wire::examples::{Request, ResultEncoder, parse, put_response};
use crate::wire::prediction_log::LogType;

/// Reads the request (`name` is its message's) and gives the answer of the head that it means.
pub(super) async fn answer<H: Head>(
    name: &str,
    pieces: &[Bytes],
    lane: &Lane,
    (urgency, account): (Urgency, &mut Account<'_>),
) -> Result<Answer<H::Output>> {
    let serving = &*lane.serving;
    let Request { spec, input } = parse(Reader::new(pieces)).map_err(|malformed| unreadable(name, malformed))?;
    let spec = spec.ok_or_else(missing_model_spec)?;
    let handle = account.resolve(&spec)?;
    let check_method = serving.options.signature_method_name_check;
    let prepared = prepare::<H>(handle, spec.resolved_signature(), input.into_examples(), check_method)?;
    prepared.run(&serving.executor, lane.load(), urgency).await
}

/// Leaves request and framed reply to the request log, if they are to be logged.
pub(super) fn log<R>(log_type: LogType, pieces: &[Bytes], answer: &Answer<R>, reply: &Bytes, lane: &Lane) {
    if let Some(sample) = lane.serving.request_log.sample(answer.handle.model()) {
        sample.hand_over(message::exchange(log_type, &answer.handle, &answer.signature.name, pieces, reply));
    }
}

/// The error for bytes that are not the message that they should be.
pub(super) fn unreadable(name: &str, malformed: Malformed) -> ServingError {
    ServingError::internal(format!("the request is not a tensorflow.serving.{name}: {malformed}"))
}

/// The framed `ClassificationResponse` or `RegressionResponse`; both have the same fields.
pub(super) fn respond<R>(answer: &Answer<R>, result: &impl ResultEncoder, serving: &Serving) -> Result<Bytes> {
    let max_bytes = serving.options.max_message_bytes();
    put_response(answer, result, |len| message::start(len, max_bytes)).map(Bytes::from)
}
