// SPDX-License-Identifier: Apache-2.0
//! `POST /v1/models/NAME:classify`.

use bytes::Bytes;
use http::header::HeaderMap;
use tensorserve_servables::verbs::classify::Classifier;
use tensorserve_servables::{ModelSpec, Result};
use tensorserve_tensors::json::encode_classifications;

use super::examples::answer;
use super::reply::{self, Reply};
use crate::account::Account;
use crate::lane::Lane;
use crate::wire::classify::ClassificationEncoder;
use crate::wire::prediction_log::LogType;

pub(super) async fn reply(
    spec: ModelSpec<'_>,
    headers: &HeaderMap,
    body: &Bytes,
    (lane, account): (&Lane, &mut Account<'_>),
) -> Result<Reply> {
    let (answer, logged) = answer::<Classifier>(spec, headers, body, (lane, account)).await?;
    let rows = (0..answer.result.rows()).map(|row| answer.result.row(row));
    let reply = reply::json(encode_classifications(rows, lane.serving.options.limits.max_reply_bytes)?);
    if let Some(logged) = logged {
        logged.hand_over(LogType::Classify, &answer, &ClassificationEncoder::new(&answer.result));
    }
    Ok(reply)
}
