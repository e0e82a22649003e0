// SPDX-License-Identifier: Apache-2.0
//! What Classify, Regress and MultiInference have in common: a request in, the answer of a head, a framed response out.

use std::sync::Arc;

use bytes::Bytes;
use tensorserve_servables::verbs::head::{Answer, Head, Prepared, prepare};
use tensorserve_servables::{
    ModelSpec, Result, ServableHandle, ServingError, Urgency, verbs::metadata::missing_model_spec,
};
use tensorserve_tensors::proto::{Malformed, Reader};

use super::message::{self, Pieces};
use crate::account::{Account, Asked};
use crate::heavy;
use crate::lane::Lane;
use crate::serving::{Serving, ServingOptions};
use crate::wire::examples::{Request, ResultEncoder, parse, put_response};
use crate::wire::prediction_log::LogType;

/// Messages below this, and whose examples with their context are below it, are read where they arrive.
const SMALL_BYTES: usize = 64 << 10;

/// Reads the request (`name` is its message's) and gives the answer of the head that it means.
pub(super) async fn answer<H: Head + Send + 'static>(
    name: &'static str,
    pieces: &Pieces,
    lane: &Lane,
    (urgency, account): (Urgency, &mut Account<'_>),
) -> Result<Answer<H::Output>> {
    let serving = &lane.serving;
    let prepared = match read_at_once(pieces, name)? {
        Some(request) => prepare_for::<H>(request, &serving.options, |spec| account.resolve(spec))?,
        None => {
            let (pieces, serving) = (pieces.clone(), Arc::clone(serving));
            let job = move || {
                let mut asked = Asked::default();
                let prepared = read(&pieces, name).and_then(|request| {
                    prepare_for::<H>(request, &serving.options, |spec| asked.resolve(&serving.table, spec))
                });
                Ok((asked, prepared))
            };
            let (asked, prepared) = heavy::work(lane, &heavy::PARSE, 0, urgency.deadline, job).await?;
            account.note(asked);
            prepared?
        }
    };
    let answer = prepared.run(&serving.executor, lane.load(), urgency).await?;
    account.computed();
    Ok(answer)
}

fn read<'a>(pieces: &'a [Bytes], name: &str) -> Result<Request<'a>> {
    parse(Reader::new(pieces)).map_err(|malformed| unreadable(name, malformed))
}

/// `None` if it would take long to read the request or to put its examples together.
fn read_at_once<'a>(pieces: &'a [Bytes], name: &str) -> Result<Option<Request<'a>>> {
    if message::len(pieces) > SMALL_BYTES {
        return Ok(None);
    }
    let request = read(pieces, name)?;
    Ok(Some(request).filter(|request| request.input.joined_bytes() <= SMALL_BYTES))
}

fn prepare_for<H: Head>(
    Request { spec, input }: Request<'_>,
    options: &ServingOptions,
    resolve: impl FnOnce(&ModelSpec<'_>) -> Result<ServableHandle>,
) -> Result<Prepared<H>> {
    let spec = spec.ok_or_else(missing_model_spec)?;
    let handle = resolve(&spec)?;
    prepare::<H>(handle, spec.resolved_signature(), input.into_examples(), options.enable_signature_method_name_check)
}

/// Leaves request and framed reply to the request log, if they are to be logged.
pub(super) fn log<R>(log_type: LogType, pieces: &[Bytes], answer: &Answer<R>, reply: &Bytes, serving: &Serving) {
    if let Some(sample) = serving.request_log.sample(answer.handle.model()) {
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
