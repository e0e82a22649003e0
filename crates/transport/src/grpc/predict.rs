// SPDX-License-Identifier: Apache-2.0
//! Predict: `PredictRequest` in, `PredictResponse` out.

use std::sync::Arc;

use bytes::Bytes;
use tensorserve_servables::verbs::predict::{self, Answer, Prepared};
use tensorserve_servables::{ModelSpec, Result, ServableHandle, Urgency, verbs::metadata::missing_model_spec};

use super::examples::unreadable;
use super::message::{self, Pieces};
use crate::account::{Account, Asked};
use crate::lane::Lane;
use crate::memory::Held;
use crate::serving::{Serving, ServingOptions};
use crate::wire::predict::PredictRequest;
use crate::wire::prediction_log::LogType;
use crate::{heavy, wire};

pub(super) async fn reply(pieces: &Pieces, lane: &Lane, urgency: Urgency, account: &mut Account<'_>) -> Result<Bytes> {
    let serving = &lane.serving;
    let (prepared, _held) = match read_at_once(pieces, serving, account)? {
        Some(read) => read,
        None => read_elsewhere(pieces, lane, urgency, account).await?,
    };
    let answer = prepared.run(&serving.executor, lane.load(), urgency).await?;
    account.computed();
    if wire::predict::is_long(&answer, serving.options.tensor_encoding) {
        let (serving, pieces) = (Arc::clone(serving), pieces.clone());
        return heavy::work(lane, &heavy::COPY, 0, urgency.deadline, move || encode(&answer, &pieces, &serving)).await;
    }
    encode(&answer, pieces, serving)
}

/// A request that can be run, and what its tensors take of the server's memory.
type Ready = (Prepared, Option<Held>);

/// Reads a request right here; `None` if that would take long.
fn read_at_once(pieces: &[Bytes], serving: &Serving, account: &mut Account<'_>) -> Result<Option<Ready>> {
    if !wire::predict::is_quickly_read(pieces) {
        return Ok(None);
    }
    let request = parse(pieces)?;
    let weight = request.weight();
    if !weight.is_quick {
        return Ok(None);
    }
    let held = serving.memory.hold_many(weight.bytes)?;
    let prepared = prepare_for(request, &serving.options, |spec| account.resolve(spec))?;
    Ok(Some((prepared, held)))
}

/// Reads a request on an execution thread.
async fn read_elsewhere(pieces: &Pieces, lane: &Lane, urgency: Urgency, account: &mut Account<'_>) -> Result<Ready> {
    let (pieces, serving) = (pieces.clone(), Arc::clone(&lane.serving));
    let job = move || {
        let mut asked = Asked::default();
        let ready = parse(&pieces).and_then(|request| {
            let held = serving.memory.hold_many(request.weight().bytes)?;
            let prepared = prepare_for(request, &serving.options, |spec| asked.resolve(&serving.table, spec))?;
            Ok((prepared, held))
        });
        Ok((asked, ready))
    };
    let (asked, ready) = heavy::work(lane, &heavy::PARSE, 0, urgency.deadline, job).await?;
    account.note(asked);
    ready
}

fn parse(pieces: &[Bytes]) -> Result<PredictRequest<'_>> {
    wire::predict::parse(pieces).map_err(|malformed| unreadable("PredictRequest", malformed))
}

fn prepare_for(
    mut request: PredictRequest<'_>,
    options: &ServingOptions,
    resolve: impl FnOnce(&ModelSpec<'_>) -> Result<ServableHandle>,
) -> Result<Prepared> {
    let spec = request.spec.take().ok_or_else(missing_model_spec)?;
    prepare(request, &spec, resolve(&spec)?, options.enable_signature_method_name_check)
}

/// The framed reply; leaves it with its request to the log, if it is to be logged.
fn encode(answer: &Answer, pieces: &[Bytes], serving: &Serving) -> Result<Bytes> {
    let max_bytes = serving.options.max_message_bytes();
    let start = |len| message::start(len, max_bytes);
    let reply = wire::predict::encode(answer, serving.options.tensor_encoding, start)?;
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
