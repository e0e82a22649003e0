// SPDX-License-Identifier: Apache-2.0
//! The element type of an array as its header gives it, such as `<f4`.

use std::fmt;

use crate::{DataType, Result, ServingError};

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descr {
    big_endian: bool,
    /// NumPy's letter: `b`, `i`, `u`, `f`, `c`, `S`, `U`, `V`.
    kind: u8,
    /// Bytes of an element; characters for `U`.
    count: usize,
}

impl Descr {
    /// Reads `<f4` and the like. `None` if it is not of that form, as with structured types.
    pub(super) fn parse(text: &str) -> Option<Descr> {
        let [order, kind, digits @ ..] = text.as_bytes() else { return None };
        if !matches!(order, b'<' | b'>' | b'|' | b'=') || !kind.is_ascii_alphabetic() || digits.len() > 9 {
            return None;
        }
        let count = if digits.is_empty() { 0 } else { text[2..].parse().ok()? };
        Some(Descr { big_endian: *order == b'>', kind: *kind, count })
    }

    /// The type in which tensors of `dtype` are written; `width` is the length of the longest string.
    pub(super) fn of(dtype: DataType, width: usize) -> Option<Descr> {
        use DataType as T;
        let kind = match dtype {
            T::Bool => b'b',
            T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::Qint8 | T::Qint16 | T::Qint32 => b'i',
            T::Uint8 | T::Uint16 | T::Uint32 | T::Uint64 | T::Quint8 | T::Quint16 => b'u',
            T::Half | T::Float | T::Double => b'f',
            T::Complex64 | T::Complex128 => b'c',
            T::String => return Some(Descr { big_endian: false, kind: b'S', count: width.max(1) }),
            // NumPy has no such types itself; ml_dtypes writes them as plain bytes.
            T::Bfloat16 | T::Int4 | T::Uint4 | T::Int2 | T::Uint2 | T::Float4E2m1fn => b'V',
            T::Float8E5m2 | T::Float8E4m3fn | T::Float8E4m3fnuz | T::Float8E4m3b11fnuz | T::Float8E5m2fnuz => b'V',
            T::Resource | T::Variant => return None,
        };
        Some(Descr { big_endian: false, kind, count: dtype.size() })
    }

    /// Whether elements are strings of bytes (`S`) or of characters (`U`).
    pub(super) fn is_text(self) -> bool {
        matches!(self.kind, b'S' | b'U')
    }

    pub(super) fn is_unicode(self) -> bool {
        self.kind == b'U'
    }

    pub(super) fn is_big_endian(self) -> bool {
        self.big_endian
    }

    /// Bytes of one element.
    pub(super) fn size(self) -> usize {
        if self.is_unicode() { self.count * 4 } else { self.count }
    }

    /// Bytes that are swapped together when the order differs: halves of complex numbers.
    pub(super) fn swap_unit(self) -> usize {
        if self.kind == b'c' { self.count / 2 } else { self.count }
    }

    /// The tensor's element type. With `wanted`, types that NumPy does not have are taken in the form that ml_dtypes
    /// gives them, and any other type than `wanted` is refused; values are never converted.
    pub(super) fn dtype(self, wanted: Option<DataType>) -> Result<DataType> {
        let found = self.natural();
        let Some(wanted) = wanted else {
            return found.ok_or_else(|| ServingError::invalid_argument(self.unusable()));
        };
        let same_form = Descr::of(wanted, self.count).is_some_and(|d| d.kind == self.kind && d.count == self.count);
        // ml_dtypes writes one of its types as a float.
        let is_float8 = self.kind == b'f' && self.count == 1 && wanted == DataType::Float8E5m2;
        if found == Some(wanted) || same_form || is_float8 {
            return Ok(wanted);
        }
        Err(ServingError::invalid_argument(match found {
            Some(found) => format!("the array is {found} ({self}) but {wanted} is expected; convert it with astype"),
            None => self.unusable(),
        }))
    }

    fn natural(self) -> Option<DataType> {
        use DataType as T;
        Some(match (self.kind, self.count) {
            (b'b', 1) => T::Bool,
            (b'i', 1) => T::Int8,
            (b'i', 2) => T::Int16,
            (b'i', 4) => T::Int32,
            (b'i', 8) => T::Int64,
            (b'u', 1) => T::Uint8,
            (b'u', 2) => T::Uint16,
            (b'u', 4) => T::Uint32,
            (b'u', 8) => T::Uint64,
            (b'f', 2) => T::Half,
            (b'f', 4) => T::Float,
            (b'f', 8) => T::Double,
            (b'c', 8) => T::Complex64,
            (b'c', 16) => T::Complex128,
            (b'S' | b'U', _) => T::String,
            _ => return None,
        })
    }

    fn unusable(self) -> String {
        let why = match self.kind {
            b'O' => "holds Python objects, which are never unpickled; convert it to a number or bytes type",
            b'M' | b'm' => "holds times; convert it to int64 or float64",
            _ => "has elements of a type that tensors do not have",
        };
        format!("the array ({self}) {why}")
    }
}

impl fmt::Display for Descr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match (self.big_endian, self.kind, self.count) {
            (true, ..) => '>',
            (_, b'S' | b'b' | b'O', _) | (_, _, 1) => '|',
            _ => '<',
        };
        write!(f, "{order}{}", char::from(self.kind))?;
        if self.count > 0 { write!(f, "{}", self.count) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_reads_back_as_what_was_wanted() {
        for &dtype in DataType::ALL {
            let Some(descr) = Descr::of(dtype, 7) else { continue };
            assert_eq!(Descr::parse(&descr.to_string()), Some(descr), "{dtype}");
            assert_eq!(descr.dtype(Some(dtype)), Ok(dtype));
            assert_eq!(descr.size(), if dtype == DataType::String { 7 } else { dtype.size() });
        }
    }

    #[test]
    fn other_types_are_refused_with_the_reason() {
        let refusal = |text: &str, wanted| Descr::parse(text).unwrap().dtype(wanted).unwrap_err().message;
        assert_eq!(
            refusal("<f8", Some(DataType::Float)),
            "the array is double (<f8) but float is expected; convert it with astype"
        );
        assert!(refusal("|O", None).contains("never unpickled"));
        assert!(refusal("<M8", Some(DataType::Int64)).contains("holds times"));
        assert!(refusal("<f16", None).contains("(<f16)"));
        assert!(refusal("<V2", Some(DataType::Half)).contains("(<V2)"));
    }

    #[test]
    fn texts_of_another_form_are_none() {
        for text in ["", "<", "f4", "<4", "<f-1", "<f4x", "<f9999999999", "<\u{e9}4", "[('a', '<f4')]"] {
            assert_eq!(Descr::parse(text), None, "{text}");
        }
    }
}
