// SPDX-License-Identifier: Apache-2.0
//! `POST /v1/models/NAME:predict`: JSON in row or column form, or one of the binary forms.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HeaderMap;
use smallvec::SmallVec;
use tensorserve_servables::execution::executor::RunTime;
use tensorserve_servables::execution::run_profile::RunProfile;
use tensorserve_servables::table::signature::Endpoint;
use tensorserve_servables::verbs::predict::{Answer, InputValue, Inputs, Prepared, prepare};
use tensorserve_servables::{ModelSpec, Resolve, Result, ServableHandle, ServingError, Signature, Urgency};
use tensorserve_tensors::json::{Format, InputSpec, decode_predict, encode_predict};
use tensorserve_tensors::npy::{encode_npy, encode_npz};
use tensorserve_tensors::{Tensor, TensorData};

use super::format::BodyFormat;
use super::logged::LoggedPredict;
use super::lookup::find;
use super::predict_binary;
use super::reply::{self, Reply};
use crate::account::Account;
use crate::heavy;
use crate::lane::Lane;
use crate::memory::Held;
use crate::serving::Serving;
use crate::{priority, wire};

/// Answers in the form that `Accept` prefers, else in that of the request.
pub(super) async fn reply(
    spec: ModelSpec<'_>,
    headers: &HeaderMap,
    body: &Bytes,
    (lane, account): (&Lane, &mut Account<'_>),
) -> Result<Reply> {
    let serving = &*lane.serving;
    let urgency = urgency(headers, serving)?;
    let given = BodyFormat::of_request(headers);
    let wanted = BodyFormat::wanted(headers);
    let bytes = body.len();
    let Ready { prepared, layout, logged, _held } = if let Some(profile) = profile_elsewhere(given, body) {
        let (spec, headers, body) = (spec.into_owned(), headers.clone(), body.clone());
        let serving = Arc::clone(&lane.serving);
        let job = move || prepare_request(given, &spec, &headers, &body, &serving);
        heavy::work(lane, profile, bytes, urgency.deadline, job).await?
    } else {
        prepare_request(given, &spec, headers, body, serving)?
    };
    if serving.options.enable_signature_method_name_check {
        prepared.signature().check_predict_method()?;
    }
    let reply_format = reply_format(given, wanted, &prepared)?;
    account.answered_by(prepared.handle());
    let answer = prepared.run(&serving.executor, lane.load(), urgency).await?;
    account.computed();
    let logged = logged.map(|logged| logged.answered(&answer));
    let bytes = answer.outputs().map(|(_, tensor)| written_bytes(tensor)).fold(0, usize::saturating_add);
    let reply = if heavy::is_large(bytes) {
        let serving = Arc::clone(&lane.serving);
        let job = move || encode(&answer, reply_format, layout, &serving);
        heavy::work(lane, &heavy::ENCODE, bytes, urgency.deadline, job).await?
    } else {
        encode(&answer, reply_format, layout, serving)?
    };
    if let Some(logged) = logged {
        logged.hand_over();
    }
    Ok(reply)
}

/// Of reading a body, if that may take long; `None` for one that is read where it arrived.
fn profile_elsewhere(given: BodyFormat, body: &Bytes) -> Option<&'static RunProfile> {
    static ARRAY: RunProfile = RunProfile::new(RunTime::InputSizes);
    let is_quick = |body| {
        wire::predict::is_quickly_read(body)
            && wire::predict::parse(body).is_ok_and(|request| request.weight().is_quick)
    };
    match given {
        BodyFormat::Protobuf => (!is_quick(std::slice::from_ref(body))).then_some(&heavy::PARSE),
        _ if !heavy::is_large(body.len()) => None,
        BodyFormat::Json => Some(&heavy::DECODE),
        BodyFormat::Npy => Some(&ARRAY),
        BodyFormat::Npz => Some(&heavy::PARSE),
    }
}

/// About what a tensor takes to be written: its bytes, and those of the brackets of its lists; one without elements may have
/// many.
fn written_bytes(tensor: &Tensor) -> usize {
    let outer = tensor.shape().dims().split_last().map_or(&[][..], |(_, outer)| outer);
    let lists = outer.iter().scan(1usize, |product, &dim| {
        *product = product.saturating_mul(dim as usize);
        Some(*product)
    });
    let lists = lists.fold(0, usize::saturating_add);
    match tensor.data() {
        TensorData::Plain(bytes) => bytes.len().saturating_add(lists),
        TensorData::Strings(strings) if heavy::is_large(strings.len() * 8) => usize::MAX,
        TensorData::Strings(strings) => (0..strings.len()).map(|at| 8 + strings.get(at).len()).sum(),
    }
}

/// A checked request, how a JSON reply to it looks, and what its log shall say.
struct Ready {
    prepared: Prepared,
    layout: Format,
    logged: Option<LoggedPredict>,
    /// What its tensors take of the server's memory.
    _held: Option<Held>,
}

/// Reads the request in its form.
fn prepare_request(
    given: BodyFormat,
    spec: &ModelSpec<'_>,
    headers: &HeaderMap,
    body: &Bytes,
    serving: &Serving,
) -> Result<Ready> {
    let mut held = None;
    let (prepared, logged) = match given {
        BodyFormat::Json => return prepare_json(spec, body, serving),
        BodyFormat::Protobuf => predict_binary::protobuf(spec, body, serving, &mut held)?,
        BodyFormat::Npy => predict_binary::npy(spec, headers, body, serving)?,
        BodyFormat::Npz => predict_binary::npz(spec, headers, body, serving)?,
    };
    Ok(Ready { prepared, layout: Format::Column, logged, _held: held })
}

fn prepare_json(spec: &ModelSpec<'_>, body: &[u8], serving: &Serving) -> Result<Ready> {
    let JsonRequest { handle, signature, inputs, layout } = read_json(spec, body, &serving.table)?;
    let logged = LoggedPredict::tensors(&serving.request_log, &handle, &inputs, &[]);
    Ok(Ready { prepared: prepare(handle, signature, inputs, &[])?, layout, logged, _held: None })
}

/// A request in JSON with its tensors.
pub(super) struct JsonRequest {
    pub(super) handle: ServableHandle,
    pub(super) signature: Arc<Signature>,
    pub(super) inputs: Inputs<'static>,
    layout: Format,
}

/// Reads the body; the signature that it names says which types its values have.
pub(super) fn read_json(spec: &ModelSpec<'_>, body: &[u8], servables: &impl Resolve) -> Result<JsonRequest> {
    let mut target = None;
    let request = decode_predict(body, |signature_name| {
        let found = find(spec, signature_name, servables)?;
        let inputs = input_specs(&found.1)?;
        target = Some(found);
        Ok(inputs)
    });
    let request = match (request, &target) {
        (Err(error), Some((_, signature))) if !is_malformed(&error) => return Err(signature.explain(error)),
        (request, _) => request?,
    };
    let (handle, signature) =
        target.ok_or_else(|| ServingError::internal("the request was read without its signature"))?;
    let inputs = request.inputs.into_iter().map(|(alias, tensor)| (Cow::Owned(alias), InputValue::Tensor(tensor)));
    Ok(JsonRequest { handle, signature, inputs: inputs.collect(), layout: request.format })
}

/// Whether the text is not even JSON, so that it does not matter what the signature takes.
fn is_malformed(error: &ServingError) -> bool {
    error.message.starts_with("JSON Parse error")
}

/// The reply's form. One array cannot hold several outputs: without a wish they are sent as named arrays.
fn reply_format(given: BodyFormat, wanted: Option<BodyFormat>, prepared: &Prepared) -> Result<BodyFormat> {
    match (wanted.unwrap_or(given), prepared.output_count()) {
        (BodyFormat::Npy, 0 | 2..) if wanted.is_none() => Ok(BodyFormat::Npz),
        (BodyFormat::Npy, n @ (0 | 2..)) => Err(ServingError::invalid_argument(format!(
            "the reply has {n} outputs, npy can hold one; accept application/x-npz, or choose an output"
        ))),
        (format, _) => Ok(format),
    }
}

fn encode(answer: &Answer, format: BodyFormat, layout: Format, serving: &Serving) -> Result<Reply> {
    let outputs: SmallVec<[(&str, &Tensor); 4]> = answer.outputs().collect();
    let max_bytes = serving.options.limits.max_reply_bytes;
    let body = match (format, &outputs[..]) {
        (BodyFormat::Json, outputs) => return Ok(reply::json(encode_predict(layout, outputs, max_bytes)?)),
        (BodyFormat::Protobuf, _) => {
            wire::predict::encode(answer, serving.options.tensor_encoding, |len| reply::start(len, max_bytes))?
        }
        (BodyFormat::Npy, [(_, tensor)]) => encode_npy(tensor, max_bytes)?.into(),
        (_, outputs) => encode_npz(outputs, max_bytes)?.into(),
    };
    Ok(reply::binary(format, body))
}

/// How urgent a request is that comes now, by its headers and `--rest_api_timeout_in_ms`.
pub(super) fn urgency(headers: &HeaderMap, serving: &Serving) -> Result<Urgency> {
    let deadline = match serving.options.rest_api_timeout_in_ms {
        0 => None,
        ms => Instant::now().checked_add(Duration::from_millis(ms)),
    };
    Ok(Urgency { deadline, priority: priority::of(headers)? })
}

fn input_specs(signature: &Signature) -> Result<Vec<InputSpec>> {
    let spec = |input: &Endpoint| {
        let unknown = || ServingError::invalid_argument(format!("input {} has no usable dtype", input.alias));
        Ok(InputSpec { alias: input.alias.clone(), dtype: input.dtype.ok_or_else(unknown)? })
    };
    signature.inputs.iter().map(spec).collect()
}
