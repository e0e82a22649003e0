// SPDX-License-Identifier: Apache-2.0
//! JSON values in error messages: printed with indentation, lists on one line, and cut off when they get long.

use super::cursor::Cursor;
use super::float_text::write_special;
use super::float_value::read_f64;
use super::number::scan;
use super::syntax::{read_name, skip_value};
use super::text::read_string;
use super::writer::Writer;

/// Printing stops before the first token behind this many bytes.
const LIMIT: usize = 256;

/// The value that is next, as error messages show it.
pub(super) fn debug_text(value: &Cursor<'_>) -> String {
    let mut writer = Writer::new();
    writer.set_single_line(true);
    write_value(value.clone(), &mut writer);
    String::from_utf8_lossy(&writer.into_bytes()).into_owned()
}

/// `Null`, `False`, `True`, `Object`, `Array`, `String` or `Number`.
pub(super) fn type_name(value: &Cursor<'_>) -> &'static str {
    match value.peek() {
        b'n' => "Null",
        b'f' => "False",
        b't' => "True",
        b'{' => "Object",
        b'[' => "Array",
        b'"' => "String",
        _ => "Number",
    }
}

/// The integer that is next, if it fits 64 bits.
fn integer(value: &Cursor<'_>) -> Option<i128> {
    let decimal = scan(value.bytes(), value.pos()).filter(|decimal| decimal.integer)?;
    let text = std::str::from_utf8(value.bytes().get(value.pos()..decimal.end)?).ok()?;
    let range = i128::from(i64::MIN)..=i128::from(u64::MAX);
    text.parse().ok().filter(|number| range.contains(number))
}

fn write_value(mut cursor: Cursor<'_>, writer: &mut Writer) {
    let mut open = Vec::new();
    while writer.len() <= LIMIT {
        match cursor.peek() {
            close @ (b']' | b'}') => {
                cursor.take(close);
                open.pop();
                if close == b']' { writer.end_array() } else { writer.end_object() }
            }
            b'[' => {
                cursor.take(b'[');
                open.push(b'[');
                writer.start_array();
            }
            b'{' => {
                cursor.take(b'{');
                open.push(b'{');
                writer.start_object();
            }
            _ => write_scalar(&mut cursor, writer),
        }
        if open.is_empty() || writer.len() > LIMIT {
            return;
        }
        cursor.skip_whitespace();
        if cursor.take(b',') {
            cursor.skip_whitespace();
        }
        if open.last() == Some(&b'{') && cursor.peek() == b'"' {
            let Ok(name) = read_name(&mut cursor) else { return };
            writer.key(&name);
        }
    }
}

fn write_scalar(cursor: &mut Cursor<'_>, writer: &mut Writer) {
    let start = cursor.clone();
    if cursor.peek() == b'"' {
        if let Ok(text) = read_string(cursor) {
            writer.string(&text);
        }
    } else if skip_value(cursor).is_ok() {
        let text = cursor.since(start.pos());
        if type_name(&start) == "Number" { writer.raw(&number_text(&start)) } else { writer.raw(text) }
    }
}

fn number_text(value: &Cursor<'_>) -> Vec<u8> {
    if let Some(number) = integer(value) {
        return number.to_string().into_bytes();
    }
    let mut text = Vec::new();
    if let Some((number, _)) = read_f64(value.bytes(), value.pos()) {
        write_shortest(number, &mut text);
    }
    text
}

/// Appends a number with as few digits as tell it from all others.
fn write_shortest(value: f64, out: &mut Vec<u8>) {
    if value == 0.0 || !value.is_finite() {
        return write_special(value, out);
    }
    if value < 0.0 {
        out.push(b'-');
    }
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let text = match exponent.parse::<i32>().map_or(0, |exponent| exponent + 1) {
        point @ 1..=21 => {
            let point = point as usize;
            let padded = format!("{digits:0<width$}", width = point + 1);
            let (whole, fraction) = padded.split_at(point);
            format!("{whole}.{fraction}")
        }
        point @ -5..=0 => format!("0.{}{digits}", "0".repeat(point.unsigned_abs() as usize)),
        _ => scientific,
    };
    out.extend_from_slice(text.as_bytes());
}
