// SPDX-License-Identifier: Apache-2.0
//! REST requests as the messages that the request log keeps.

use std::borrow::Cow;

use bytes::Bytes;
use smallvec::SmallVec;
use tensorserve_servables::verbs::examples::Examples;
use tensorserve_servables::verbs::head::Answer as HeadAnswer;
use tensorserve_servables::verbs::predict::{Answer, InputValue, Inputs};
use tensorserve_servables::{ServableHandle, Signature};
use tensorserve_tensors::proto::wire::{delimited_len, put_bytes, put_delimited_header};

use crate::request_log::{Exchange, Message, RequestLog, Sample};
use crate::wire;
use crate::wire::examples::{ResultEncoder, put_response};
use crate::wire::prediction_log::LogType;

/// A Predict request that shall be logged.
pub(super) struct LoggedPredict {
    sample: Sample,
    request: Message,
}

impl LoggedPredict {
    /// Keeps the tensors of a request that is sampled.
    pub(super) fn tensors(
        log: &RequestLog,
        handle: &ServableHandle,
        inputs: &Inputs<'_>,
        output_filter: &[Cow<'_, str>],
    ) -> Option<Self> {
        let sample = log.sample(handle.model())?;
        let tensor = |(alias, value): &(Cow<'_, str>, InputValue<'_>)| match value {
            InputValue::Tensor(tensor) => Some((alias.to_string(), tensor.clone())),
            _ => None,
        };
        let inputs = inputs.iter().filter_map(tensor).collect();
        let output_filter = output_filter.iter().map(|alias| alias.to_string()).collect();
        Some(LoggedPredict { sample, request: Message::PredictRequest { inputs, output_filter } })
    }

    /// Keeps a `PredictRequest`, with the model and the signature that the URL may have named instead.
    pub(super) fn message(
        log: &RequestLog,
        handle: &ServableHandle,
        signature: &Signature,
        message: &Bytes,
    ) -> Option<Self> {
        let sample = log.sample(handle.model())?;
        let spec = wire::predict::request_spec(handle.model(), &signature.name);
        Some(LoggedPredict { sample, request: Message::wire(&[message.clone(), spec.into()]) })
    }

    /// Leaves the request and its answer to the log.
    pub(super) fn answered(self, answer: &Answer) -> PendingPredict {
        let outputs = answer.outputs().map(|(alias, tensor)| (alias.to_owned(), tensor.clone())).collect();
        PendingPredict {
            logged: self,
            handle: answer.handle.clone(),
            signature: answer.signature.name.clone(),
            response: Message::PredictResponse(outputs),
        }
    }
}

/// An answered request whose reply is yet to be written.
pub(super) struct PendingPredict {
    logged: LoggedPredict,
    handle: ServableHandle,
    signature: String,
    response: Message,
}

impl PendingPredict {
    /// The reply was written: the record is complete.
    pub(super) fn hand_over(self) {
        let LoggedPredict { sample, request } = self.logged;
        sample.hand_over(Exchange {
            log_type: LogType::Predict,
            handle: &self.handle,
            signature: &self.signature,
            request,
            response: self.response,
        });
    }
}

/// A Classify or Regress request that shall be logged.
pub(super) struct LoggedExamples {
    sample: Sample,
    examples: Examples,
}

impl LoggedExamples {
    /// Keeps the examples of a request that is sampled.
    pub(super) fn new(log: &RequestLog, handle: &ServableHandle, examples: &Examples) -> Option<Self> {
        Some(LoggedExamples { sample: log.sample(handle.model())?, examples: examples.clone() })
    }

    /// Leaves the request and its answer to the log.
    pub(super) fn hand_over<R>(self, log_type: LogType, answer: &HeadAnswer<R>, result: &impl ResultEncoder) {
        let signature = &answer.signature.name;
        let request = examples_request(answer.handle.model(), signature, &self.examples);
        let Ok(response) = put_response(answer, result, |len| Ok(Vec::with_capacity(len))) else { return };
        self.sample.hand_over(Exchange {
            log_type,
            handle: &answer.handle,
            signature,
            request: Message::Wire(SmallVec::from_elem(request.into(), 1)),
            response: Message::Wire(SmallVec::from_elem(response.into(), 1)),
        });
    }
}

/// A `ClassificationRequest` or `RegressionRequest` to the latest version; both have the same fields.
pub(super) fn examples_request(model: &str, signature: &str, examples: &Examples) -> Vec<u8> {
    const INPUT: u32 = 2;
    /// Members of `Input`, and fields of both.
    const EXAMPLE_LIST: u32 = 1;
    const EXAMPLE_LIST_WITH_CONTEXT: u32 = 2;
    const EXAMPLES: u32 = 1;
    const CONTEXT: u32 = 2;
    let (kind, context_len) = match examples.context.len() {
        0 => (EXAMPLE_LIST, 0),
        len => (EXAMPLE_LIST_WITH_CONTEXT, delimited_len(CONTEXT, len)),
    };
    let list_len: usize = examples.list.iter().map(|example| delimited_len(EXAMPLES, example.len())).sum();
    let mut out = wire::predict::request_spec(model, signature);
    put_delimited_header(&mut out, INPUT, delimited_len(kind, list_len + context_len));
    put_delimited_header(&mut out, kind, list_len + context_len);
    examples.list.iter().for_each(|example| put_bytes(&mut out, EXAMPLES, example));
    if context_len > 0 {
        put_bytes(&mut out, CONTEXT, &examples.context);
    }
    out
}
