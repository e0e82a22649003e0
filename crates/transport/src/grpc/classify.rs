// SPDX-License-Identifier: Apache-2.0
//! Classify: `ClassificationRequest` in, `ClassificationResponse` out.

use bytes::Bytes;
use tensorserve_servables::verbs::classify::Classifier;
use tensorserve_servables::{Result, Urgency};

use super::examples;
use crate::account::Account;
use crate::lane::Lane;
use crate::wire::classify::ClassificationEncoder;
use crate::wire::prediction_log::LogType;

pub(super) async fn reply(pieces: &[Bytes], lane: &Lane, urgency: Urgency, account: &mut Account<'_>) -> Result<Bytes> {
    let answer = examples::answer::<Classifier>("ClassificationRequest", pieces, lane, (urgency, account)).await?;
    let reply = examples::respond(&answer, &ClassificationEncoder::new(&answer.result), &lane.serving)?;
    examples::log(LogType::Classify, pieces, &answer, &reply, lane);
    Ok(reply)
}
