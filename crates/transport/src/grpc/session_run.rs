// SPDX-License-Identifier: Apache-2.0
//! SessionRun: `SessionRunRequest` in, `SessionRunResponse` out.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tensorserve_servables::verbs::metadata::missing_model_spec;
use tensorserve_servables::verbs::predict::InputValue;
use tensorserve_servables::verbs::session_run::{Answer, Prepared, Request, prepare};
use tensorserve_servables::{ModelSpec, Result, Urgency};
use tensorserve_tensors::proto::encode::Encoder;
use tensorserve_tensors::proto::wire::{LENGTH_DELIMITED, VARINT, delimited_len, put_bytes, put_delimited_header};
use tensorserve_tensors::proto::{Malformed, Reader, TensorView};

use super::examples::unreadable;
use super::message::{self, Pieces};
use crate::heavy;
use crate::lane::Lane;
use crate::memory::Held;
use crate::serving::{Serving, ServingOptions};
use crate::wire::model_spec;
use crate::wire::predict::{MAX_ENTRIES, weight};

/// A `SessionRunRequest` whose tensors still lie in the message.
#[derive(Default)]
pub(super) struct SessionRunRequest<'a> {
    pub(super) spec: Option<ModelSpec<'a>>,
    pub(super) request: Request<'a>,
    /// `RunOptions.timeout_in_ms`; the other options have no effect.
    timeout_ms: i64,
}

impl SessionRunRequest<'_> {
    fn has_too_many(&self) -> bool {
        let Request { feeds, fetches, targets, .. } = &self.request;
        feeds.len() + fetches.len() + targets.len() >= MAX_ENTRIES
    }
}

/// A request that was read: what to run, how its reply looks, and by when.
struct Ready {
    prepared: Prepared,
    names: Vec<String>,
    signature: String,
    timeout_ms: i64,
    _held: Option<Held>,
}

/// What part of the graph is asked for says nothing of its size, so all but the runs' waiting happens on execution threads.
pub(super) async fn reply(pieces: &Pieces, lane: &Lane, urgency: Urgency) -> Result<Bytes> {
    let serving = &lane.serving;
    let (request, shared) = (pieces.clone(), Arc::clone(serving));
    let read = move || read(&request, &shared);
    let Ready { prepared, names, signature, timeout_ms, _held } =
        heavy::work(lane, &heavy::PARSE, 0, urgency.deadline, read).await?;
    let urgency = Urgency { deadline: earlier(urgency.deadline, timeout_ms), ..urgency };
    let answer = prepared.run(&serving.executor, lane.load(), urgency).await?;
    let shared = Arc::clone(serving);
    let write = move || encode(&answer, &names, &signature, &shared.options);
    heavy::work(lane, &heavy::COPY, 0, urgency.deadline, write).await
}

fn read(pieces: &[Bytes], serving: &Serving) -> Result<Ready> {
    let request = parse(Reader::new(pieces)).map_err(|malformed| unreadable("SessionRunRequest", malformed))?;
    let spec = request.spec.ok_or_else(missing_model_spec)?;
    let _held = serving.memory.hold_many(weight(&request.request.feeds).bytes)?;
    let prepared = prepare(&serving.table, &spec, &request.request)?;
    Ok(Ready {
        prepared,
        _held,
        names: request.request.fetches.iter().map(|name| name.to_string()).collect(),
        signature: if request.request.by_alias { spec.resolved_signature().to_owned() } else { String::new() },
        timeout_ms: request.timeout_ms,
    })
}

/// The deadline of the call or of the run's options, whichever comes first.
fn earlier(deadline: Option<Instant>, timeout_ms: i64) -> Option<Instant> {
    let timeout = u64::try_from(timeout_ms).ok().filter(|&ms| ms > 0).map(Duration::from_millis);
    let own = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    deadline.into_iter().chain(own).min()
}

pub(super) fn parse(mut message: Reader<'_>) -> Result<SessionRunRequest<'_>, Malformed> {
    let mut parsed = SessionRunRequest::default();
    while let Some(field) = message.field()? {
        match (field.number, field.wire_type) {
            (1, LENGTH_DELIMITED) => model_spec::parse(message.delimited()?, parsed.spec.get_or_insert_default())?,
            (2..=4, _) if parsed.has_too_many() => return Err(Malformed("it has too many feeds, fetches or targets")),
            (2, LENGTH_DELIMITED) => parsed.request.feeds.push(parse_feed(message.delimited()?)?),
            (3, LENGTH_DELIMITED) => parsed.request.fetches.push(message.delimited()?.to_text()?),
            (4, LENGTH_DELIMITED) => parsed.request.targets.push(message.delimited()?.to_text()?),
            (5, LENGTH_DELIMITED) => parsed.timeout_ms = parse_timeout(message.delimited()?, parsed.timeout_ms)?,
            (6, VARINT) => parsed.request.by_alias = message.varint()? != 0,
            _ => message.skip(field)?,
        }
    }
    Ok(parsed)
}

fn parse_feed<'a>(mut feed: Reader<'a>) -> Result<(Cow<'a, str>, InputValue<'a>), Malformed> {
    let mut name = Cow::Borrowed("");
    let mut value = InputValue::Malformed;
    while let Some(field) = feed.field()? {
        match (field.number, field.wire_type) {
            (1, LENGTH_DELIMITED) => name = feed.delimited()?.to_text()?,
            (2, LENGTH_DELIMITED) => {
                value = TensorView::parse(feed.delimited()?).map_or(InputValue::Malformed, InputValue::Wire);
            }
            _ => feed.skip(field)?,
        }
    }
    Ok((name, value))
}

fn parse_timeout(mut options: Reader<'_>, mut timeout_ms: i64) -> Result<i64, Malformed> {
    while let Some(field) = options.field()? {
        match (field.number, field.wire_type) {
            (2, VARINT) => timeout_ms = options.varint()? as i64,
            _ => options.skip(field)?,
        }
    }
    Ok(timeout_ms)
}

fn encode(answer: &Answer, names: &[String], signature: &str, options: &ServingOptions) -> Result<Bytes> {
    const TENSOR: u32 = 1;
    const MODEL_SPEC: u32 = 3;
    let (model, version) = (answer.handle.model(), answer.handle.version());
    let mut entries = Vec::with_capacity(names.len());
    let mut len = 0;
    for (name, tensor) in names.iter().zip(&answer.tensors) {
        let encoder = Encoder::new(tensor, options.tensor_encoding)?;
        let entry_len = delimited_len(1, name.len()) + delimited_len(2, encoder.len());
        len += delimited_len(TENSOR, entry_len);
        entries.push((name, encoder, entry_len));
    }
    let spec_len = model_spec::len(model, version, signature);
    let mut out = message::start(len + delimited_len(MODEL_SPEC, spec_len), options.max_message_bytes())?;
    for (name, encoder, entry_len) in &entries {
        put_delimited_header(&mut out, TENSOR, *entry_len);
        put_bytes(&mut out, 1, name.as_bytes());
        put_delimited_header(&mut out, 2, encoder.len());
        encoder.put(&mut out);
    }
    put_delimited_header(&mut out, MODEL_SPEC, spec_len);
    model_spec::put(&mut out, model, version, signature);
    Ok(out.into())
}
