// SPDX-License-Identifier: Apache-2.0
//! From a call's path to its verb.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::RecvStream;
use http::request::Parts;
use tensorserve_servables::metrics::Entry;
use tensorserve_servables::{Code, Result, ServingError, Urgency};

use super::message::Bounds;
use super::{classify, health, message, metadata, model_status, multi_inference, predict, regress, session_run};
use crate::account::Account;
use crate::lane::Lane;
use crate::priority;
use crate::serving::Serving;

const PREDICT: &str = "/tensorflow.serving.PredictionService/Predict";
const CLASSIFY: &str = "/tensorflow.serving.PredictionService/Classify";
const REGRESS: &str = "/tensorflow.serving.PredictionService/Regress";

/// Bytes of a request that holds a name or a few. They are read where they arrive.
pub(super) const MAX_SMALL_MESSAGE: usize = 256 << 10;

/// How a call is counted. As in the original, other methods than these are not.
pub(super) fn account<'a>(head: &Parts, serving: &'a Serving) -> Account<'a> {
    let entry = match head.uri.path() {
        PREDICT => Some(Entry::GrpcPredict),
        CLASSIFY => Some(Entry::GrpcClassify),
        REGRESS => Some(Entry::GrpcRegress),
        _ => None,
    };
    Account::open(serving, entry, Cow::Borrowed(""))
}

/// How urgent a call is that came at `start`, by its headers.
pub(super) fn urgency(head: &Parts, start: Instant) -> Result<Urgency> {
    Ok(Urgency { deadline: deadline_of(head, start)?, priority: priority::of(&head.headers)? })
}

/// The framed reply to a call.
pub(super) async fn reply(
    head: &Parts,
    body: RecvStream,
    lane: &Lane,
    (urgency, account): (Urgency, &mut Account<'_>),
) -> Result<Bytes> {
    answer(head, body, lane, (urgency, account)).await.map_err(|error| in_time(error, urgency.deadline))
}

/// A call that waited in a queue until its deadline fails as its client sees it, whoever of them notices first.
fn in_time(error: ServingError, deadline: Option<Instant>) -> ServingError {
    let is_late = deadline.is_some_and(|deadline| deadline <= Instant::now());
    match error.code {
        Code::ResourceExhausted if is_late => ServingError { code: Code::DeadlineExceeded, ..error },
        _ => error,
    }
}

async fn answer(
    head: &Parts,
    body: RecvStream,
    lane: &Lane,
    (urgency, account): (Urgency, &mut Account<'_>),
) -> Result<Bytes> {
    let serving = &lane.serving;
    let max_bytes = serving.options.grpc.max_receive_bytes;
    let bounds = Bounds { start: account.start(), deadline: urgency.deadline, max_bytes };
    let small = Bounds { max_bytes: max_bytes.min(MAX_SMALL_MESSAGE), ..bounds };
    match head.uri.path() {
        PREDICT => {
            let request = message::read(head, body, lane, bounds).await?;
            account.received();
            predict::reply(&request.pieces, lane, urgency, account).await
        }
        CLASSIFY => {
            let request = message::read(head, body, lane, bounds).await?;
            account.received();
            classify::reply(&request.pieces, lane, urgency, account).await
        }
        REGRESS => {
            let request = message::read(head, body, lane, bounds).await?;
            account.received();
            regress::reply(&request.pieces, lane, urgency, account).await
        }
        "/tensorflow.serving.PredictionService/MultiInference" => {
            let request = message::read(head, body, lane, bounds).await?;
            multi_inference::reply(&request.pieces, lane, urgency).await
        }
        "/tensorflow.serving.PredictionService/GetModelMetadata" => {
            let request = message::read(head, body, lane, small).await?;
            metadata::reply(&request.pieces, serving).await
        }
        "/tensorflow.serving.ModelService/GetModelStatus" => {
            let request = message::read(head, body, lane, small).await?;
            model_status::reply(&request.pieces, serving)
        }
        "/tensorflow.serving.SessionService/SessionRun" if serving.options.enable_session_service => {
            let request = message::read(head, body, lane, bounds).await?;
            session_run::reply(&request.pieces, lane, urgency).await
        }
        "/grpc.health.v1.Health/Check" => {
            let request = message::read(head, body, lane, small).await?;
            health::check(&request.pieces, serving)
        }
        "/grpc.health.v1.Health/List" => {
            message::read(head, body, lane, small).await?;
            health::list(serving)
        }
        path => Err(ServingError::new(Code::Unimplemented, format!("this server has no method {path}"))),
    }
}

/// When the client stops waiting, by its `grpc-timeout` header (up to 8 digits and a unit).
pub(super) fn deadline(head: &Parts) -> Result<Option<Instant>> {
    deadline_of(head, Instant::now())
}

fn deadline_of(head: &Parts, start: Instant) -> Result<Option<Instant>> {
    let Some(value) = head.headers.get("grpc-timeout") else { return Ok(None) };
    let timeout = value.to_str().ok().and_then(parse_timeout);
    let timeout = timeout
        .ok_or_else(|| ServingError::internal("the header grpc-timeout is not a number and a unit, such as 10S"))?;
    Ok(start.checked_add(timeout))
}

fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n = digits.parse::<u64>().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(n * 3600),
        "M" => Duration::from_secs(n * 60),
        "S" => Duration::from_secs(n),
        "m" => Duration::from_millis(n),
        "u" => Duration::from_micros(n),
        "n" => Duration::from_nanos(n),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_up_to_eight_digits_and_a_unit() {
        assert_eq!(parse_timeout("10S"), Some(Duration::from_secs(10)));
        assert_eq!(parse_timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse_timeout("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for bad in ["", "S", "10", "-1S", "123456789S", "1.5S", "10s", "é"] {
            assert_eq!(parse_timeout(bad), None, "{bad}");
        }
    }
}
