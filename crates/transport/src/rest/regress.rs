// SPDX-License-Identifier: Apache-2.0
//! `POST /v1/models/NAME:regress`.

use bytes::Bytes;
use http::header::HeaderMap;
use tensorserve_servables::verbs::regress::Regressor;
use tensorserve_servables::{ModelSpec, Result};
use tensorserve_tensors::json::encode_regressions;

use super::examples::answer;
use super::reply::{self, Reply};
use crate::account::Account;
use crate::lane::Lane;
use crate::wire::prediction_log::LogType;
use crate::wire::regress::RegressionEncoder;

pub(super) async fn reply(
    spec: ModelSpec<'_>,
    headers: &HeaderMap,
    body: &Bytes,
    (lane, account): (&Lane, &mut Account<'_>),
) -> Result<Reply> {
    let (answer, logged) = answer::<Regressor>(spec, headers, body, (lane, account)).await?;
    let reply = reply::json(encode_regressions(answer.result.values(), lane.serving.options.limits.max_reply_bytes)?);
    if let Some(logged) = logged {
        logged.hand_over(LogType::Regress, &answer, &RegressionEncoder::new(&answer.result));
    }
    Ok(reply)
}
