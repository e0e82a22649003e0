// SPDX-License-Identifier: Apache-2.0
//! A JSON reader that makes a tree, as lenient as TensorFlow Serving's, and the conversions that its values have.

use half::{bf16, f16};
use tensorserve_tensors::DataType;

/// A value; numbers stay as they were written.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(String),
    String(Vec<u8>),
    Array(Vec<Json>),
    Object(Vec<(Vec<u8>, Json)>),
}

/// Deeper texts are not for this recursive reader.
pub fn is_deep(text: &[u8]) -> bool {
    text.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() > 200
}

/// The first value of the text; `None` if it is malformed.
pub fn parse(text: &[u8]) -> Option<Json> {
    let mut text = text;
    for mark in [0xEF, 0xBB, 0xBF] {
        text = text.strip_prefix(&[mark]).unwrap_or(text);
    }
    value(&mut skip_space(text))
}

fn skip_space(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !b" \n\r\t".contains(byte)).unwrap_or(text.len());
    &text[end..]
}

/// Steps over `token`, and over white space around it.
fn take(text: &mut &[u8], token: &[u8]) -> bool {
    let found = skip_space(text).strip_prefix(token);
    *text = found.map_or(*text, skip_space);
    found.is_some()
}

fn value(text: &mut &[u8]) -> Option<Json> {
    match text.first()? {
        b'{' => object(text),
        b'[' => array(text),
        b'"' => string(text).map(Json::String),
        b't' => literal(text, b"true", Json::Bool(true)),
        b'f' => literal(text, b"false", Json::Bool(false)),
        b'n' => literal(text, b"null", Json::Null),
        _ => number(text).map(Json::Number),
    }
}

fn literal(text: &mut &[u8], token: &[u8], meaning: Json) -> Option<Json> {
    *text = text.strip_prefix(token)?;
    Some(meaning)
}

fn array(text: &mut &[u8]) -> Option<Json> {
    let mut items = Vec::new();
    take(text, b"[");
    while !take(text, b"]") {
        if !items.is_empty() && !take(text, b",") {
            return None;
        }
        items.push(value(text)?);
    }
    Some(Json::Array(items))
}

fn object(text: &mut &[u8]) -> Option<Json> {
    let mut members = Vec::new();
    take(text, b"{");
    while !take(text, b"}") {
        if !members.is_empty() && !take(text, b",") {
            return None;
        }
        let name = string(text)?;
        if !take(text, b":") {
            return None;
        }
        members.push((name, value(text)?));
    }
    Some(Json::Object(members))
}

fn string(text: &mut &[u8]) -> Option<Vec<u8>> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut out = Vec::new();
    loop {
        let (&byte, tail) = rest.split_first()?;
        rest = tail;
        match byte {
            b'"' => {
                *text = rest;
                return Some(out);
            }
            b'\\' => escape(&mut rest, &mut out)?,
            0..0x20 => return None,
            _ => out.push(byte),
        }
    }
}

fn escape(text: &mut &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (&byte, tail) = text.split_first()?;
    *text = tail;
    let plain = match byte {
        b'"' | b'\\' | b'/' => byte,
        b'b' => 8,
        b'f' => 12,
        b'n' => 10,
        b'r' => 13,
        b't' => 9,
        b'u' => return unicode(text, out),
        _ => return None,
    };
    out.push(plain);
    Some(())
}

fn unicode(text: &mut &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut point = hex(text)?;
    if (0xD800..0xDC00).contains(&point) {
        *text = text.strip_prefix(b"\\u")?;
        let low = hex(text)?.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
        point = 0x10000 + (point - 0xD800) * 0x400 + low;
    }
    match char::from_u32(point) {
        Some(c) => out.extend(c.to_string().bytes()),
        // A low surrogate alone, as UTF-8 would write it.
        None => out.extend([0xE0 + (point >> 12) as u8, 0x80 + (point >> 6 & 63) as u8, 0x80 + (point & 63) as u8]),
    }
    Some(())
}

fn hex(text: &mut &[u8]) -> Option<u32> {
    let (digits, tail) = text.split_at_checked(4)?;
    *text = tail;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}

fn number(text: &mut &[u8]) -> Option<String> {
    let rest = text.strip_prefix(b"-").unwrap_or(text);
    let sign = text.len() - rest.len();
    let len = special_len(rest).or_else(|| decimal_len(rest))?;
    let (token, tail) = text.split_at(sign + len);
    *text = tail;
    let token = std::str::from_utf8(token).ok()?.to_owned();
    let too_big = special_len(rest).is_none() && token.parse::<f64>().ok()?.is_infinite();
    (!too_big).then_some(token)
}

fn special_len(text: &[u8]) -> Option<usize> {
    if text.starts_with(b"NaN") {
        return Some(3);
    }
    match text.strip_prefix(b"Inf")? {
        rest if rest.starts_with(b"inity") => Some(8),
        rest if rest.starts_with(b"i") => None,
        _ => Some(3),
    }
}

fn decimal_len(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut len = if text.starts_with(b"0") { 1 } else { Some(digits(0)).filter(|n| *n > 0)? };
    if text.get(len) == Some(&b'.') {
        len += 1 + Some(digits(len + 1)).filter(|n| *n > 0)?;
    }
    if matches!(text.get(len), Some(b'e' | b'E')) {
        len += 1 + usize::from(matches!(text.get(len + 1), Some(b'+' | b'-')));
        len += Some(digits(len)).filter(|n| *n > 0)?;
    }
    Some(len)
}

impl Json {
    /// The first member of this name.
    pub fn get(&self, name: &str) -> Option<&Json> {
        let Json::Object(members) = self else { return None };
        members.iter().find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value)
    }

    /// The text of an object that carries bytes.
    pub fn base64(&self) -> Option<&[u8]> {
        match self {
            Json::Object(members) => match &members[..] {
                [(key, Json::String(text))] if key == b"b64" => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it is an object of named values.
    pub fn is_named(&self) -> bool {
        matches!(self, Json::Object(_)) && self.base64().is_none()
    }

    /// The bytes of one element of this type.
    pub fn element(&self, dtype: DataType) -> Option<Vec<u8>> {
        use DataType as T;
        match dtype {
            T::Float => Some(self.float::<f32>()?.to_le_bytes().to_vec()),
            T::Double => Some(self.float::<f64>()?.to_le_bytes().to_vec()),
            T::Half => Some(f16::from_f64(self.float::<f64>()?).to_le_bytes().to_vec()),
            T::Bfloat16 => Some(bf16::from_f64(self.float::<f64>()?).to_le_bytes().to_vec()),
            T::Bool => {
                if let Json::Bool(value) = self {
                    Some(vec![u8::from(*value)])
                } else {
                    None
                }
            }
            T::Int8 => self.integer(i8::MIN.into(), i8::MAX.into(), 1),
            T::Int16 => self.integer(i16::MIN.into(), i16::MAX.into(), 2),
            T::Int32 => self.integer(i32::MIN.into(), i32::MAX.into(), 4),
            T::Int64 => self.integer(i64::MIN.into(), i64::MAX.into(), 8),
            T::Uint8 => self.integer(0, u8::MAX.into(), 1),
            T::Uint16 => self.integer(0, u16::MAX.into(), 2),
            T::Uint32 => self.integer(0, u32::MAX.into(), 4),
            T::Uint64 => self.integer(0, u64::MAX.into(), 8),
            T::String => self.bytes(),
            _ => None,
        }
    }

    /// Text and base64 objects.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Json::String(text) => Some(text.clone()),
            other => decode_base64(other.base64()?),
        }
    }

    /// Any number, rounded once. The integer -0 has no sign.
    pub fn float<F: std::str::FromStr>(&self) -> Option<F> {
        match self {
            Json::Number(text) if text == "-0" => "0".parse().ok(),
            Json::Number(text) => text.replace("-NaN", "NaN").parse().ok(),
            _ => None,
        }
    }

    fn integer(&self, min: i128, max: i128, size: usize) -> Option<Vec<u8>> {
        let Json::Number(text) = self else { return None };
        let value: i128 = text.parse().ok()?;
        (min..=max).contains(&value).then(|| value.to_le_bytes()[..size].to_vec())
    }
}

/// Standard base64: padding is complete or left out, white space may stand anywhere.
pub fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| !b" \t\n\r\x0B\x0C".contains(byte)).collect();
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    if padding > 2 || padding > 0 && !text.len().is_multiple_of(4) {
        return None;
    }
    let text = &text[..text.len() - padding];
    if text.len() % 4 == 1 {
        return None;
    }
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |byte: &u8| ALPHABET.iter().position(|known| known == byte);
    let mut out = Vec::new();
    for group in text.chunks(4) {
        let digits: Vec<usize> = group.iter().map(digit).collect::<Option<_>>()?;
        let bits = digits.iter().enumerate().fold(0, |bits, (i, digit)| bits | digit << (18 - 6 * i));
        out.extend(&[(bits >> 16) as u8, (bits >> 8) as u8, bits as u8][..group.len() - 1]);
    }
    Some(out)
}
