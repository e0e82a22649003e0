// SPDX-License-Identifier: Apache-2.0
//! Regress: `RegressionRequest` in, `RegressionResponse` out.

use bytes::Bytes;
use tensorserve_servables::verbs::regress::Regressor;
use tensorserve_servables::{Result, Urgency};

use super::examples;
use super::message::Pieces;
use crate::account::Account;
use crate::lane::Lane;
use crate::wire::prediction_log::LogType;
use crate::wire::regress::RegressionEncoder;

pub(super) async fn reply(pieces: &Pieces, lane: &Lane, urgency: Urgency, account: &mut Account<'_>) -> Result<Bytes> {
    let answer = examples::answer::<Regressor>("RegressionRequest", pieces, lane, (urgency, account)).await?;
    let reply = examples::respond(&answer, &RegressionEncoder::new(&answer.result), &lane.serving)?;
    examples::log(LogType::Regress, pieces, &answer, &reply, &lane.serving);
    Ok(reply)
}
