// SPDX-License-Identifier: Apache-2.0
//! GetModelMetadata.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use prost::Message;
use prost_types::Any;

use tensorserve_protos::tensorflow::serving::GetModelMetadataResponse;
use tensorserve_servables::verbs::metadata::{SIGNATURE_DEF, lookup};
use tensorserve_servables::{ModelSpec, Result, ServableHandle, ServingError};
use tensorserve_tensors::proto::wire::LENGTH_DELIMITED;
use tensorserve_tensors::proto::{Malformed, Reader};

use super::message;
use crate::serving::Serving;
use crate::wire::answers::{FEW_SIGNATURES, resolved_spec, signature_def_map};
use crate::wire::model_spec;
use crate::wire::predict::MAX_ENTRIES;

type Request<'a> = (Option<ModelSpec<'a>>, Vec<Cow<'a, str>>);

pub(super) async fn reply(pieces: &[Bytes], serving: &Serving) -> Result<Bytes> {
    let (spec, fields) = parse(Reader::new(pieces)).map_err(|malformed| {
        ServingError::internal(format!("the request is not a tensorflow.serving.GetModelMetadataRequest: {malformed}"))
    })?;
    let handle = lookup(&serving.table, spec.as_ref(), fields.iter().map(|field| &**field))?;
    let max_bytes = serving.options.max_message_bytes();
    match handle.servable().signature_defs().len() > FEW_SIGNATURES {
        true => serving.clerk.ask(move || write(&handle, max_bytes)).await,
        false => write(&handle, max_bytes),
    }
}

fn write(handle: &ServableHandle, max_bytes: usize) -> Result<Bytes> {
    let any = Any {
        type_url: "type.googleapis.com/tensorflow.serving.SignatureDefMap".to_owned(),
        value: signature_def_map(handle).encode_to_vec(),
    };
    let response = GetModelMetadataResponse {
        model_spec: Some(resolved_spec(handle)),
        metadata: HashMap::from([(SIGNATURE_DEF.to_owned(), any)]),
    };
    message::framed(&response, max_bytes)
}

fn parse(mut message: Reader<'_>) -> Result<Request<'_>, Malformed> {
    let (mut spec, mut fields) = (None, Vec::new());
    while let Some(field) = message.field()? {
        match field.number {
            1 if field.wire_type == LENGTH_DELIMITED => {
                model_spec::parse(message.delimited()?, spec.get_or_insert_default())?;
            }
            2 if fields.len() == MAX_ENTRIES => return Err(Malformed("it has too many metadata fields")),
            2 if field.wire_type == LENGTH_DELIMITED => fields.push(message.delimited()?.to_text()?),
            _ => message.skip(field)?,
        }
    }
    Ok((spec, fields))
}
