// SPDX-License-Identifier: Apache-2.0
//! What `:classify` and `:regress` have in common: examples in JSON, and the way to the verb.

use bytes::Bytes;
use http::header::HeaderMap;
use tensorserve_servables::verbs::examples::Examples;
use tensorserve_servables::verbs::head::{Answer, Head, prepare};
use tensorserve_servables::{ModelSpec, Result};
use tensorserve_tensors::json::decode_examples;

use super::logged::LoggedExamples;
use super::predict::urgency;
use crate::account::Account;
use crate::heavy;
use crate::lane::Lane;

/// Bytes of contexts that are repeated where the request arrived.
const MAX_JOINED: usize = 256 << 10;

/// The answer of the signature's head, and what its log shall say. As in the original, the whole body is checked before the model is looked up.
pub(super) async fn answer<H: Head + Send + 'static>(
    spec: ModelSpec<'_>,
    headers: &HeaderMap,
    body: &Bytes,
    (lane, account): (&Lane, &mut Account<'_>),
) -> Result<(Answer<H::Output>, Option<LoggedExamples>)> {
    let serving = &*lane.serving;
    let urgency = urgency(headers, serving)?;
    let request = if heavy::is_large(body.len()) {
        let (bytes, body) = (body.len(), body.clone());
        heavy::work(lane, &heavy::DECODE, bytes, urgency.deadline, move || decode_examples(&body)).await?
    } else {
        decode_examples(body)?
    };
    let spec = ModelSpec { signature_name: request.signature_name.unwrap_or_default().into(), ..spec };
    let handle = account.resolve(&spec)?;
    let examples = Examples { context: request.context, list: request.examples };
    let logged = LoggedExamples::new(&serving.request_log, &handle, &examples);
    let check_method = serving.options.enable_signature_method_name_check;
    let joined = examples.context.len().saturating_mul(examples.list.len());
    let prepared = if joined > MAX_JOINED {
        let name = spec.resolved_signature().to_owned();
        let job = move || prepare::<H>(handle, &name, examples, check_method);
        heavy::work(lane, &heavy::PARSE, 0, urgency.deadline, job).await?
    } else {
        prepare::<H>(handle, spec.resolved_signature(), examples, check_method)?
    };
    let answer = prepared.run(&serving.executor, lane.load(), urgency).await?;
    account.computed();
    Ok((answer, logged))
}
