// SPDX-License-Identifier: Apache-2.0
//! Classify: `ClassificationRequest` in, `ClassificationResponse` out.

use std::sync::Arc;

use bytes::Bytes;
use tensorserve_servables::verbs::classify::Classifier;
use tensorserve_servables::{Result, Urgency};

use super::examples;
use super::message::Pieces;
use crate::account::Account;
use crate::heavy;
use crate::lane::Lane;
use crate::wire::classify::ClassificationEncoder;
use crate::wire::prediction_log::LogType;

/// Replies with more classes than this, in all examples together, are written on an execution thread.
const FEW_CLASSES: usize = 4096;

pub(super) async fn reply(pieces: &Pieces, lane: &Lane, urgency: Urgency, account: &mut Account<'_>) -> Result<Bytes> {
    let answer = examples::answer::<Classifier>("ClassificationRequest", pieces, lane, (urgency, account)).await?;
    let rows = answer.result.rows();
    let is_long = rows > 0 && rows * answer.result.row(0).count() > FEW_CLASSES;
    let (pieces, serving) = (pieces.clone(), Arc::clone(&lane.serving));
    let write = move || {
        let reply = examples::respond(&answer, &ClassificationEncoder::new(&answer.result), &serving)?;
        examples::log(LogType::Classify, &pieces, &answer, &reply, &serving);
        Ok(reply)
    };
    if is_long { heavy::work(lane, &heavy::COPY, 0, urgency.deadline, write).await } else { write() }
}
