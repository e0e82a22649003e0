// SPDX-License-Identifier: Apache-2.0
//! MultiInference: `MultiInferenceRequest` in, `MultiInferenceResponse` out.

use std::sync::Arc;

use bytes::Bytes;
use tensorserve_servables::verbs::multi_inference::{Answer, Outcome, Prepared, Task, prepare};
use tensorserve_servables::{Result, Urgency};
use tensorserve_tensors::proto::wire::{LENGTH_DELIMITED, delimited_len, put_delimited_header};
use tensorserve_tensors::proto::{Malformed, Reader};

use super::examples::unreadable;
use super::message::{self, Pieces};
use crate::heavy;
use crate::lane::Lane;
use crate::serving::Serving;
use crate::wire::classify::ClassificationEncoder;
use crate::wire::examples::{Input, ResultEncoder};
use crate::wire::model_spec;
use crate::wire::prediction_log::LogType;
use crate::wire::regress::RegressionEncoder;

/// More tasks than any model has signatures; a task takes more memory here than in the message.
const MAX_TASKS: usize = 1000;

/// Messages below this are read, and their replies written, where they arrive.
const SMALL_BYTES: usize = 16 << 10;

pub(super) async fn reply(pieces: &Pieces, lane: &Lane, urgency: Urgency) -> Result<Bytes> {
    let serving = &lane.serving;
    let is_small = message::len(pieces) < SMALL_BYTES;
    let (request, shared) = (pieces.clone(), Arc::clone(serving));
    let read = move || prepare_request(&request, &shared);
    let prepared = if is_small { read()? } else { heavy::work(lane, &heavy::PARSE, 0, urgency.deadline, read).await? };
    let answer = prepared.run(&serving.executor, lane.load(), urgency).await?;
    let (request, shared) = (pieces.clone(), Arc::clone(serving));
    let write = move || respond(&answer, &request, &shared);
    if is_small { write() } else { heavy::work(lane, &heavy::COPY, 0, urgency.deadline, write).await }
}

fn respond(answer: &Answer, pieces: &[Bytes], serving: &Serving) -> Result<Bytes> {
    let reply = encode(answer, serving.options.max_message_bytes())?;
    if let Some(sample) = serving.request_log.sample(answer.handle.model()) {
        sample.hand_over(message::exchange(LogType::MultiInference, &answer.handle, "", pieces, &reply));
    }
    Ok(reply)
}

fn prepare_request(pieces: &[Bytes], serving: &Serving) -> Result<Prepared> {
    let (tasks, input) =
        parse(Reader::new(pieces)).map_err(|malformed| unreadable("MultiInferenceRequest", malformed))?;
    prepare(&serving.table, &tasks, input.into_examples(), serving.options.enable_signature_method_name_check)
}

pub(super) fn parse(mut message: Reader<'_>) -> Result<(Vec<Task<'_>>, Input), Malformed> {
    let (mut tasks, mut input) = (Vec::new(), Input::default());
    while let Some(field) = message.field()? {
        match field.number {
            1 if tasks.len() == MAX_TASKS => return Err(Malformed("it has more than 1000 tasks")),
            1 if field.wire_type == LENGTH_DELIMITED => tasks.push(parse_task(message.delimited()?)?),
            2 if field.wire_type == LENGTH_DELIMITED => input.merge(message.delimited()?)?,
            _ => message.skip(field)?,
        }
    }
    Ok((tasks, input))
}

fn parse_task(mut message: Reader<'_>) -> Result<Task<'_>, Malformed> {
    let mut task = Task::default();
    while let Some(field) = message.field()? {
        match field.number {
            1 if field.wire_type == LENGTH_DELIMITED => model_spec::parse(message.delimited()?, &mut task.spec)?,
            2 if field.wire_type == LENGTH_DELIMITED => task.method_name = message.delimited()?.to_text()?,
            _ => message.skip(field)?,
        }
    }
    Ok(task)
}

/// A task's result in wire form, with the number of its field in `InferenceResult`.
enum Encoder<'a> {
    Classification(ClassificationEncoder<'a>),
    Regression(RegressionEncoder<'a>),
}

impl<'a> Encoder<'a> {
    fn new(outcome: &'a Outcome) -> Self {
        match outcome {
            Outcome::Classification(result) => Encoder::Classification(ClassificationEncoder::new(result)),
            Outcome::Regression(result) => Encoder::Regression(RegressionEncoder::new(result)),
        }
    }

    fn result(&self) -> (u32, &dyn ResultEncoder) {
        match self {
            Encoder::Classification(encoder) => (2, encoder),
            Encoder::Regression(encoder) => (3, encoder),
        }
    }
}

fn encode(answer: &Answer, max_bytes: usize) -> Result<Bytes> {
    const RESULTS: u32 = 1;
    const MODEL_SPEC: u32 = 1;
    let (name, version) = (answer.handle.model(), answer.handle.version());
    let mut results = Vec::with_capacity(answer.results.len());
    let mut len = 0;
    for (signature, outcome) in &answer.results {
        let encoder = Encoder::new(outcome);
        let (field, result) = encoder.result();
        let spec_len = model_spec::len(name, version, &signature.name);
        let result_len = delimited_len(MODEL_SPEC, spec_len) + delimited_len(field, result.len());
        len += delimited_len(RESULTS, result_len);
        results.push((signature, encoder, spec_len, result_len));
    }
    let mut out = message::start(len, max_bytes)?;
    for (signature, encoder, spec_len, result_len) in &results {
        let (field, result) = encoder.result();
        put_delimited_header(&mut out, RESULTS, *result_len);
        put_delimited_header(&mut out, MODEL_SPEC, *spec_len);
        model_spec::put(&mut out, name, version, &signature.name);
        put_delimited_header(&mut out, field, result.len());
        result.put(&mut out);
    }
    Ok(out.into())
}
