// SPDX-License-Identifier: Apache-2.0
//! `GET /v1/models/NAME`: the states of a model's versions.

use tensorserve_servables::verbs::metadata::status_version;
use tensorserve_servables::{ModelSpec, Result};

use super::proto_json;
use super::reply::{self, Reply};
use crate::serving::Serving;
use crate::wire::answers::model_status;

pub(super) fn reply(spec: &ModelSpec<'_>, serving: &Serving) -> Result<Reply> {
    let status = model_status(serving.status.get(&spec.name, status_version(spec))?);
    let mut body = proto_json::to_json(&status, "tensorflow.serving.GetModelStatusResponse")?;
    body.push(b'\n');
    Ok(reply::json(body))
}
