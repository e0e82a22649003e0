// SPDX-License-Identifier: Apache-2.0
//! The bodies of Predict responses and of errors.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytemuck::{AnyBitPattern, pod_read_unaligned};

use crate::{DataType, Result, ServingError, Tensor, TensorData};

use super::column::is_supported;
use super::float_text::{write_f16, write_f32, write_f64};
use super::request::Format;
use super::text::BASE64_KEY;
use super::writer::Writer;

/// String outputs with such a name are bytes and are written as base64 objects.
const BYTES_SUFFIX: &str = "_bytes";

/// Elements of a list that are written before the length of the text is looked at again.
const ELEMENTS_BETWEEN_CHECKS: usize = 4096;

/// Encodes the outputs of Predict: `predictions` for a row request, `outputs` for a columnar one. A single output has
/// no name; several are written in the order given.
///
/// # Errors
/// INVALID_ARGUMENT if there are no outputs, if one has a type without a JSON form, or, in row format, if one is a scalar
/// or their first dimensions differ. RESOURCE_EXHAUSTED as soon as the text has more than `max_bytes`.
pub fn encode_predict(format: Format, outputs: &[(&str, &Tensor)], max_bytes: usize) -> Result<Vec<u8>> {
    if outputs.is_empty() {
        return Err(ServingError::invalid_argument("Cannot convert empty tensor map to JSON"));
    }
    let mut writer = Writer::within(max_bytes);
    writer.start_object();
    match format {
        Format::Row => write_rows(&mut writer, outputs)?,
        Format::Column => write_columns(&mut writer, outputs)?,
    }
    writer.end_object();
    writer.check_size()?;
    Ok(writer.into_bytes())
}

/// The body of an error response.
pub fn encode_error(message: &str) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.start_object();
    writer.key(b"error");
    writer.string(message.as_bytes());
    writer.end_object();
    writer.into_bytes()
}

fn write_rows(writer: &mut Writer, outputs: &[(&str, &Tensor)]) -> Result<()> {
    let rows = batch_size(outputs)?;
    let mut cells: Vec<Cells> = outputs.iter().map(|(name, tensor)| Cells::new(name, tensor)).collect();
    writer.key(b"predictions");
    writer.start_array();
    for _ in 0..rows {
        writer.check_size()?;
        if let [cells] = &mut cells[..] {
            writer.set_single_line(true);
            cells.write(writer, 1)?;
            writer.set_single_line(false);
        } else {
            write_named_row(writer, outputs, &mut cells)?;
        }
    }
    writer.end_array();
    Ok(())
}

fn write_named_row(writer: &mut Writer, outputs: &[(&str, &Tensor)], cells: &mut [Cells]) -> Result<()> {
    writer.start_object();
    writer.set_single_line(true);
    for ((name, _), cells) in outputs.iter().zip(cells) {
        writer.key(name.as_bytes());
        cells.write(writer, 1)?;
    }
    writer.set_single_line(false);
    writer.end_object();
    Ok(())
}

/// The first dimension, which all outputs share.
fn batch_size(outputs: &[(&str, &Tensor)]) -> Result<i64> {
    let mut expected = None;
    for (name, tensor) in outputs {
        let Some(&size) = tensor.shape().dims().first() else {
            return Err(ServingError::invalid_argument(format!("Tensor name: {name} has no shape information ")));
        };
        let expected = *expected.get_or_insert(size);
        if size != expected {
            let text = format!("Tensor name: {name} has inconsistent batch size: {size} expecting: {expected}");
            return Err(ServingError::invalid_argument(text));
        }
    }
    Ok(expected.unwrap_or(0))
}

fn write_columns(writer: &mut Writer, outputs: &[(&str, &Tensor)]) -> Result<()> {
    writer.key(b"outputs");
    if let [(name, tensor)] = outputs {
        return Cells::new(name, tensor).write(writer, 0);
    }
    writer.start_object();
    for (name, tensor) in outputs {
        writer.key(name.as_bytes());
        Cells::new(name, tensor).write(writer, 0)?;
    }
    writer.end_object();
    Ok(())
}

/// An output, and how much of it is written.
struct Cells<'a> {
    tensor: &'a Tensor,
    as_bytes: bool,
    next: usize,
}

impl<'a> Cells<'a> {
    fn new(name: &str, tensor: &'a Tensor) -> Self {
        let as_bytes = tensor.dtype() == DataType::String && name.ends_with(BYTES_SUFFIX);
        Cells { tensor, as_bytes, next: 0 }
    }

    /// Writes the next part of the tensor, which has the dimensions from `axis` on.
    fn write(&mut self, writer: &mut Writer, axis: usize) -> Result<()> {
        let dims = &self.tensor.shape().dims()[axis..];
        let Some((&size, inner)) = dims.split_first() else {
            return self.write_elements(writer, 1);
        };
        writer.check_size()?;
        writer.start_array();
        if inner.is_empty() {
            let mut left = size as usize;
            while left > ELEMENTS_BETWEEN_CHECKS {
                self.write_elements(writer, ELEMENTS_BETWEEN_CHECKS)?;
                writer.check_size()?;
                left -= ELEMENTS_BETWEEN_CHECKS;
            }
            self.write_elements(writer, left)?;
        } else {
            for _ in 0..size {
                self.write(writer, axis + 1)?;
            }
        }
        writer.end_array();
        Ok(())
    }

    fn write_elements(&mut self, writer: &mut Writer, count: usize) -> Result<()> {
        let range = self.next..self.next + count;
        self.next = range.end;
        match self.tensor.data() {
            TensorData::Strings(strings) if self.tensor.dtype() == DataType::String => {
                range.for_each(|i| write_string(writer, strings.get(i), self.as_bytes));
                Ok(())
            }
            _ if is_supported(self.tensor.dtype()) || count == 0 => {
                let size = self.tensor.dtype().size();
                let bytes = self.tensor.bytes().get(range.start * size..range.end * size).unwrap_or_default();
                write_plain(writer, self.tensor.dtype(), bytes);
                Ok(())
            }
            _ => Err(ServingError::invalid_argument(format!(
                "Failed to write JSON value for tensor type: {}",
                self.tensor.dtype()
            ))),
        }
    }
}

fn write_string(writer: &mut Writer, text: &[u8], as_bytes: bool) {
    if !as_bytes {
        return writer.string(text);
    }
    writer.start_object();
    writer.key(BASE64_KEY);
    writer.raw(format!("\"{}\"", STANDARD.encode(text)).as_bytes());
    writer.end_object();
}

fn write_plain(writer: &mut Writer, dtype: DataType, bytes: &[u8]) {
    match dtype {
        DataType::Float => write_each(writer, bytes, write_f32),
        DataType::Double => write_each(writer, bytes, write_f64),
        DataType::Half => write_each(writer, bytes, |bits, out| write_f16(half::f16::from_bits(bits).to_f32(), out)),
        DataType::Bfloat16 => {
            write_each(writer, bytes, |bits, out| write_f16(half::bf16::from_bits(bits).to_f32(), out))
        }
        DataType::Bool => write_each(writer, bytes, write_bool),
        DataType::Int8 => write_each(writer, bytes, write_integer::<i8>),
        DataType::Int16 => write_each(writer, bytes, write_integer::<i16>),
        DataType::Int32 => write_each(writer, bytes, write_integer::<i32>),
        DataType::Int64 => write_each(writer, bytes, write_integer::<i64>),
        DataType::Uint8 => write_each(writer, bytes, write_integer::<u8>),
        DataType::Uint16 => write_each(writer, bytes, write_integer::<u16>),
        DataType::Uint32 => write_each(writer, bytes, write_integer::<u32>),
        DataType::Uint64 => write_each(writer, bytes, write_integer::<u64>),
        _ => {}
    }
}

fn write_bool(value: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(if value == 0 { b"false" } else { b"true" });
}

/// Digits fit: the longest are those of `i64::MIN`.
fn write_integer<T: std::fmt::Display>(value: T, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{value}");
}

fn write_each<T: AnyBitPattern>(writer: &mut Writer, bytes: &[u8], write: impl Fn(T, &mut Vec<u8>)) {
    for element in bytes.chunks_exact(size_of::<T>()) {
        writer.value(|out| write(pod_read_unaligned(element), out));
    }
}
