// SPDX-License-Identifier: Apache-2.0
//! GetModelStatus.

use bytes::Bytes;
use tensorserve_protos::tensorflow::serving::GetModelStatusResponse;
use tensorserve_servables::verbs::metadata::{missing_model_spec, status_version};
use tensorserve_servables::{ModelSpec, Result, ServingError};
use tensorserve_tensors::proto::wire::LENGTH_DELIMITED;
use tensorserve_tensors::proto::{Malformed, Reader};

use super::message;
use crate::serving::Serving;
use crate::wire::answers::model_status;
use crate::wire::model_spec;

pub(super) fn reply(pieces: &[Bytes], serving: &Serving) -> Result<Bytes> {
    let spec = parse(Reader::new(pieces)).map_err(|malformed| {
        ServingError::internal(format!("the request is not a tensorflow.serving.GetModelStatusRequest: {malformed}"))
    })?;
    let spec = spec.ok_or_else(missing_model_spec)?;
    let response: GetModelStatusResponse = model_status(serving.status.get(&spec.name, status_version(&spec))?);
    message::framed(&response, serving.options.max_message_bytes())
}

fn parse(mut message: Reader<'_>) -> Result<Option<ModelSpec<'_>>, Malformed> {
    let mut spec = None;
    while let Some(field) = message.field()? {
        match field.number {
            1 if field.wire_type == LENGTH_DELIMITED => {
                model_spec::parse(message.delimited()?, spec.get_or_insert_default())?;
            }
            _ => message.skip(field)?,
        }
    }
    Ok(spec)
}
