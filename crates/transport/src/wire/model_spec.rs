// SPDX-License-Identifier: Apache-2.0
//! `tensorflow.serving.ModelSpec` from and to the wire.

use tensorserve_servables::{ModelSpec, VersionChoice};
use tensorserve_tensors::proto::wire::{
    LENGTH_DELIMITED, VARINT, delimited_len, put_bytes, put_delimited_header, put_tag, put_varint, tag_len, varint_len,
};
use tensorserve_tensors::proto::{Malformed, Reader};

const NAME: u32 = 1;
const VERSION: u32 = 2;
const SIGNATURE_NAME: u32 = 3;
const VERSION_LABEL: u32 = 4;

/// Reads a model_spec into `spec`; fields that were set before are merged, as protobuf does.
pub(crate) fn parse<'a>(mut message: Reader<'a>, spec: &mut ModelSpec<'a>) -> Result<(), Malformed> {
    while let Some(field) = message.field()? {
        match field.number {
            NAME if field.wire_type == LENGTH_DELIMITED => spec.name = message.delimited()?.to_text()?,
            VERSION if field.wire_type == LENGTH_DELIMITED => {
                let before = if let VersionChoice::Specific(version) = spec.version { version } else { 0 };
                spec.version = VersionChoice::Specific(merge_int64_value(message.delimited()?, before)?);
            }
            SIGNATURE_NAME if field.wire_type == LENGTH_DELIMITED => {
                spec.signature_name = message.delimited()?.to_text()?;
            }
            VERSION_LABEL if field.wire_type == LENGTH_DELIMITED => {
                spec.version = VersionChoice::Label(message.delimited()?.to_text()?);
            }
            _ => message.skip(field)?,
        }
    }
    Ok(())
}

/// The number in an `Int64Value`; `value` if it has none.
fn merge_int64_value(mut message: Reader<'_>, mut value: i64) -> Result<i64, Malformed> {
    while let Some(field) = message.field()? {
        match field.number {
            1 if field.wire_type == VARINT => value = message.varint()? as i64,
            _ => message.skip(field)?,
        }
    }
    Ok(value)
}

/// Bytes of the model_spec that [`put`] writes.
pub(crate) fn len(name: &str, version: i64, signature_name: &str) -> usize {
    latest_len(name, signature_name) + delimited_len(VERSION, int64_value_len(version))
}

/// Writes a model_spec with the resolved version and signature; an empty signature name is left out.
pub(crate) fn put(out: &mut Vec<u8>, name: &str, version: i64, signature_name: &str) {
    put_text(out, NAME, name);
    put_delimited_header(out, VERSION, int64_value_len(version));
    if version != 0 {
        put_tag(out, 1, VARINT);
        put_varint(out, version as u64);
    }
    put_text(out, SIGNATURE_NAME, signature_name);
}

/// Bytes of the model_spec that [`put_latest`] writes.
pub(crate) fn latest_len(name: &str, signature_name: &str) -> usize {
    let text_len = |field, text: &str| if text.is_empty() { 0 } else { delimited_len(field, text.len()) };
    text_len(NAME, name) + text_len(SIGNATURE_NAME, signature_name)
}

/// Writes a model_spec that names no version.
pub(crate) fn put_latest(out: &mut Vec<u8>, name: &str, signature_name: &str) {
    put_text(out, NAME, name);
    put_text(out, SIGNATURE_NAME, signature_name);
}

fn put_text(out: &mut Vec<u8>, field: u32, text: &str) {
    if !text.is_empty() {
        put_bytes(out, field, text.as_bytes());
    }
}

fn int64_value_len(value: i64) -> usize {
    if value == 0 { 0 } else { tag_len(1) + varint_len(value as u64) }
}
