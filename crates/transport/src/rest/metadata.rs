// SPDX-License-Identifier: Apache-2.0
//! `GET /v1/models/NAME/metadata`: the signatures of a version.

use tensorserve_servables::verbs::metadata::{SIGNATURE_DEF, lookup};
use tensorserve_servables::{ModelSpec, Result, ServableHandle};

use super::proto_json;
use super::reply::{self, Reply};
use crate::serving::Serving;
use crate::wire::answers::{FEW_SIGNATURES, resolved_spec, signature_def_map};

pub(super) async fn reply(spec: &ModelSpec<'_>, serving: &Serving) -> Result<Reply> {
    let handle = lookup(&serving.table, Some(spec), [SIGNATURE_DEF].into_iter())?;
    match handle.servable().signature_defs().len() > FEW_SIGNATURES {
        true => serving.clerk.ask(move || write(&handle)).await,
        false => write(&handle),
    }
}

fn write(handle: &ServableHandle) -> Result<Reply> {
    // The original puts two JSON documents together by hand; the line breaks are its own.
    let mut body = b"{\n\"model_spec\":".to_vec();
    body.extend(proto_json::to_json(&resolved_spec(handle), "tensorflow.serving.ModelSpec")?);
    body.extend(b"\n,\n\"metadata\": {\"signature_def\": ");
    body.extend(proto_json::to_json(&signature_def_map(handle), "tensorflow.serving.SignatureDefMap")?);
    body.extend(b"\n}\n}\n");
    Ok(reply::json(body))
}
