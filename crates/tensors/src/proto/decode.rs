// SPDX-License-Identifier: Apache-2.0
//! `tensorflow.TensorProto` to [`Tensor`], with TensorFlow's own rules (`Tensor::FromProto`): `tensor_content` wins over
//! typed values, too few values repeat the last one, none give zeros, surplus ones are dropped. A tensor without elements
//! is one whatever else the message holds.

use bytes::Bytes;
use smallvec::SmallVec;

use super::reader::{Field, Malformed, Reader};
use super::wire;
use crate::{AlignedBuffer, DataType, Shape, Tensor, TensorData};

/// A tensor that states more elements than it carries is filled up. This bounds what a few bytes can make us allocate; the
/// tensors of a request share it.
pub const MAX_FILLED_BYTES: usize = 64 << 20;

const TOO_FEW_VALUES: Malformed = Malformed("the tensor's shape has far more elements than values were sent");

const DTYPE: u32 = 1;
const TENSOR_SHAPE: u32 = 2;
const TENSOR_CONTENT: u32 = 4;
const FLOAT_VAL: u32 = 5;
const DOUBLE_VAL: u32 = 6;
const INT_VAL: u32 = 7;
const STRING_VAL: u32 = 8;
const SCOMPLEX_VAL: u32 = 9;
const INT64_VAL: u32 = 10;
const BOOL_VAL: u32 = 11;
const DCOMPLEX_VAL: u32 = 12;
const HALF_VAL: u32 = 13;
const UINT32_VAL: u32 = 16;
const UINT64_VAL: u32 = 17;
const FLOAT8_VAL: u32 = 18;

/// How the typed values of an element type stand in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// Little-endian values of this many bytes each (half an element for complex types).
    Fixed(usize),
    Varint,
    /// One byte an element, in a `bytes` field.
    Raw,
    Strings,
}

/// Field number and form of the typed values of `dtype`; `None` for types whose values do not cross the wire.
pub(super) fn values_of(dtype: DataType) -> Option<(u32, Values)> {
    use DataType as T;
    Some(match dtype {
        T::Float => (FLOAT_VAL, Values::Fixed(4)),
        T::Double => (DOUBLE_VAL, Values::Fixed(8)),
        T::Complex64 => (SCOMPLEX_VAL, Values::Fixed(4)),
        T::Complex128 => (DCOMPLEX_VAL, Values::Fixed(8)),
        T::Int64 => (INT64_VAL, Values::Varint),
        T::Bool => (BOOL_VAL, Values::Varint),
        T::Half | T::Bfloat16 => (HALF_VAL, Values::Varint),
        T::Uint32 => (UINT32_VAL, Values::Varint),
        T::Uint64 => (UINT64_VAL, Values::Varint),
        T::Int32 | T::Uint8 | T::Int16 | T::Int8 | T::Uint16 => (INT_VAL, Values::Varint),
        T::Qint8 | T::Quint8 | T::Qint16 | T::Quint16 | T::Qint32 => (INT_VAL, Values::Varint),
        T::Int4 | T::Uint4 | T::Int2 | T::Uint2 => (INT_VAL, Values::Varint),
        T::Float8E5m2 | T::Float8E4m3fn | T::Float8E4m3fnuz => (FLOAT8_VAL, Values::Raw),
        T::Float8E4m3b11fnuz | T::Float8E5m2fnuz | T::Float4E2m1fn => (FLOAT8_VAL, Values::Raw),
        T::String => (STRING_VAL, Values::Strings),
        T::Resource | T::Variant => return None,
    })
}

/// Memory and time of a tensor that is yet to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Bytes beside those of the message.
    pub bytes: usize,
    /// Whether it is made in about a tenth of a millisecond.
    pub is_quick: bool,
}

/// A `TensorProto` that was looked over but not copied yet.
#[derive(Clone, Debug)]
pub struct TensorView<'a> {
    dtype: DataType,
    shape: Shape,
    content: Option<Reader<'a>>,
    message: Reader<'a>,
}

impl<'a> TensorView<'a> {
    /// Reads type, shape and the place of the values; the values themselves are checked by [`TensorView::to_tensor`].
    pub fn parse(message: Reader<'a>) -> Result<Self, Malformed> {
        let (mut dtype, mut shape, mut content) = (0, ShapeMessage::default(), None);
        let mut fields = message;
        while let Some(field) = fields.field()? {
            match field.number {
                DTYPE if field.wire_type == wire::VARINT => dtype = fields.varint()? as i32,
                TENSOR_SHAPE if field.wire_type == wire::LENGTH_DELIMITED => shape.merge(fields.delimited()?)?,
                TENSOR_CONTENT if field.wire_type == wire::LENGTH_DELIMITED => content = Some(fields.delimited()?),
                _ => fields.skip(field)?,
            }
        }
        Ok(TensorView {
            dtype: DataType::from_i32(dtype).ok_or(Malformed("the tensor's dtype is not one that has values"))?,
            shape: shape
                .value()
                .ok_or(Malformed("the tensor's shape has a negative dimension or too many elements"))?,
            content: content.filter(|c| !c.is_empty()),
            message,
        })
    }

    pub fn dtype(&self) -> DataType {
        self.dtype
    }

    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The tensor. Elements that lie in the message as they do in memory stay there: they are copied once, to where a
    /// batch or a run wants them. Others are brought into memory of their own.
    pub fn to_tensor(&self) -> Result<Tensor, Malformed> {
        self.to_tensor_within(&mut { MAX_FILLED_BYTES })
    }

    /// The same for one of several tensors: takes what is filled up from the bytes that are `left` for all of them.
    pub fn to_tensor_within(&self, left: &mut usize) -> Result<Tensor, Malformed> {
        if self.dtype == DataType::String {
            return Ok(Tensor::strings(self.shape.clone(), self.string_elements(left)?));
        }
        let len = self.plain_len(left)?;
        if let Some(elements) = self.elements_in_place(len)? {
            return Ok(Tensor::new(self.dtype, self.shape.clone(), TensorData::Plain(elements)));
        }
        let mut buffer = AlignedBuffer::zeroed(len);
        self.fill(buffer.as_mut())?;
        Ok(Tensor::plain(self.dtype, self.shape.clone(), buffer))
    }

    /// What [`TensorView::to_tensor`] will take.
    pub fn weight(&self) -> Weight {
        /// Elements that are decoded, or copied, in about a tenth of a millisecond.
        const QUICKLY_DECODED: usize = 64 << 10;
        const QUICKLY_COPIED: usize = 1 << 20;
        let is_string = self.dtype == DataType::String;
        let size = if is_string { size_of::<Bytes>() } else { self.dtype.size() };
        let len = self.shape.num_elements().saturating_mul(size);
        if len <= QUICKLY_DECODED && !is_string {
            return Weight { bytes: len, is_quick: true };
        }
        if is_string {
            let bytes = len.saturating_add(self.repeated_string_bytes());
            return self.unless_refused(Weight { bytes, is_quick: bytes <= QUICKLY_DECODED });
        }
        if matches!(self.elements_in_place(len), Ok(Some(_))) {
            return Weight { bytes: 0, is_quick: true };
        }
        let is_copied = self.content.is_some() || matches!(values_of(self.dtype), Some((_, Values::Fixed(_))));
        let is_carried = self.message.len() >= len;
        self.unless_refused(Weight { bytes: len, is_quick: is_copied && is_carried && len <= QUICKLY_COPIED })
    }

    /// A tensor that is filled up too much takes nothing, as it is refused.
    fn unless_refused(&self, weight: Weight) -> Weight {
        const MOST_FOR_A_BYTE: usize = 16;
        let most = self.message.len().saturating_mul(MOST_FOR_A_BYTE).saturating_add(MAX_FILLED_BYTES);
        if weight.bytes > most { Weight { bytes: 0, ..weight } } else { weight }
    }

    /// Bytes of the last string, for each time that it is repeated. Few strings need no counting.
    fn repeated_string_bytes(&self) -> usize {
        const FEW_BYTES: usize = 4 << 10;
        let n = self.shape.num_elements();
        if n.saturating_mul(self.message.len()) <= FEW_BYTES {
            return 0;
        }
        let (mut count, mut last) = (0, 0);
        let counted = self.for_each_value_field(STRING_VAL, |field, values| {
            if field.wire_type != wire::LENGTH_DELIMITED {
                return values.skip(field);
            }
            count += 1;
            last = values.delimited()?.len();
            Ok(())
        });
        // What cannot be read is found out quickly.
        counted.map_or(0, |()| n.saturating_sub(count).saturating_mul(last))
    }

    /// All `len` bytes of the elements, if they lie in one piece of the message and need no decoding.
    fn elements_in_place(&self, len: usize) -> Result<Option<Bytes>, Malformed> {
        let is_whole = |values: &Reader<'_>| values.len() == len && values.chunk().len() == len;
        if let Some(content) = self.content {
            return Ok(Some(content).filter(is_whole).map(Reader::to_bytes));
        }
        let Some((number, Values::Fixed(_))) = values_of(self.dtype) else { return Ok(None) };
        let (mut fields, mut found) = (0, None);
        self.for_each_value_field(number, |field, values| {
            fields += 1;
            if field.wire_type != wire::LENGTH_DELIMITED {
                return values.skip(field);
            }
            found = Some(values.delimited()?);
            Ok(())
        })?;
        Ok(found.filter(|values| fields == 1 && is_whole(values)).map(Reader::to_bytes))
    }

    /// Bytes of the elements in memory. Those that the message cannot carry are taken from `left`.
    fn plain_len(&self, left: &mut usize) -> Result<usize, Malformed> {
        let size = self.dtype.size();
        let len = self.shape.num_elements().checked_mul(size).ok_or(Malformed("the tensor is too large"))?;
        // A varint takes at least one byte on the wire, so a message of m bytes holds at most m values.
        let carried = self.message.len().saturating_mul(size.max(1));
        take(left, len.saturating_sub(carried))?;
        Ok(len)
    }

    /// Writes the elements of a fixed-size type into `out`, which is zeroed and has their exact size.
    pub fn fill(&self, out: &mut [u8]) -> Result<(), Malformed> {
        let (number, form) = values_of(self.dtype).ok_or(Malformed("tensors of this dtype cannot be sent"))?;
        match self.content {
            Some(_) if out.is_empty() => return Ok(()),
            Some(content) if content.len() != out.len() => {
                return Err(Malformed("tensor_content does not have the size that dtype and shape ask for"));
            }
            Some(mut content) => return content.copy_to(out),
            None => {}
        }
        let filled = match form {
            Values::Fixed(width) => self.fill_bytes(number, width, out)?,
            Values::Raw => self.fill_raw(number, out)?,
            Values::Varint => self.fill_varints(number, out)?,
            Values::Strings => return Err(Malformed("string tensors have no fixed element size")),
        };
        let whole = filled / self.dtype.size() * self.dtype.size();
        // The real part of a complex number without an imaginary one is no value.
        out[whole..filled].fill(0);
        repeat_last(out, whole, self.dtype.size());
        Ok(())
    }

    /// Copies little-endian values; gives the number of bytes written.
    fn fill_bytes(&self, number: u32, width: usize, out: &mut [u8]) -> Result<usize, Malformed> {
        let mut at = 0;
        self.for_each_value_field(number, |field, values| {
            let mut piece = match field.wire_type {
                wire::LENGTH_DELIMITED => values.delimited()?,
                wire::FIXED32 if width == 4 => values.take(4)?,
                wire::FIXED64 if width == 8 => values.take(8)?,
                _ => return values.skip(field),
            };
            if piece.len() % width != 0 {
                return Err(Malformed("packed values are cut off"));
            }
            let n = piece.len().min(out.len() - at);
            piece.copy_to(&mut out[at..at + n])?;
            at += n;
            Ok(())
        })?;
        Ok(at)
    }

    /// Copies the bytes of a field that is not repeated: the last one counts. Gives the number of bytes written.
    fn fill_raw(&self, number: u32, out: &mut [u8]) -> Result<usize, Malformed> {
        let mut last = None;
        self.for_each_value_field(number, |field, values| {
            if field.wire_type != wire::LENGTH_DELIMITED {
                return values.skip(field);
            }
            last = Some(values.delimited()?);
            Ok(())
        })?;
        let Some(mut values) = last else { return Ok(0) };
        let n = values.len().min(out.len());
        values.copy_to(&mut out[..n])?;
        Ok(n)
    }

    fn fill_varints(&self, number: u32, out: &mut [u8]) -> Result<usize, Malformed> {
        let (dtype, size, mut at) = (self.dtype, self.dtype.size(), 0);
        self.for_each_value_field(number, |field, values| {
            let mut piece = match field.wire_type {
                wire::LENGTH_DELIMITED => values.delimited()?,
                wire::VARINT => {
                    let value = values.varint()?;
                    if at < out.len() {
                        put_element(dtype, value, &mut out[at..at + size]);
                        at += size;
                    }
                    return Ok(());
                }
                _ => return values.skip(field),
            };
            while !piece.is_empty() && at < out.len() {
                put_element(dtype, piece.varint()?, &mut out[at..at + size]);
                at += size;
            }
            Ok(())
        })?;
        Ok(at)
    }

    /// Calls `visit` with a reader that stands before each value of field `number`; `visit` moves past it.
    fn for_each_value_field(
        &self,
        number: u32,
        mut visit: impl FnMut(Field, &mut Reader<'a>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mut fields = self.message;
        while let Some(field) = fields.field()? {
            if field.number == number { visit(field, &mut fields)? } else { fields.skip(field)? }
        }
        Ok(())
    }

    fn string_elements(&self, left: &mut usize) -> Result<Vec<Bytes>, Malformed> {
        let n = self.shape.num_elements();
        // A string takes two bytes on the wire at least.
        take(left, n.saturating_sub(self.message.len() / 2).saturating_mul(size_of::<Bytes>()))?;
        if n == 0 {
            return Ok(Vec::new());
        }
        let mut strings = match self.content {
            Some(content) => return split_string_content(content, n),
            None => Vec::with_capacity(n),
        };
        self.for_each_value_field(STRING_VAL, |field, values| {
            if field.wire_type != wire::LENGTH_DELIMITED {
                return values.skip(field);
            }
            let string = values.delimited()?;
            if strings.len() < n {
                strings.push(string.to_bytes());
            }
            Ok(())
        })?;
        let last = strings.last().cloned().unwrap_or_default();
        // Here they share one string; a runtime has a copy of it for each element.
        take(left, (n - strings.len()).saturating_mul(last.len()))?;
        strings.resize(n, last);
        Ok(strings)
    }
}

/// Takes bytes for values that no message carries.
fn take(left: &mut usize, bytes: usize) -> Result<(), Malformed> {
    *left = left.checked_sub(bytes).ok_or(TOO_FEW_VALUES)?;
    Ok(())
}

/// A `TensorShapeProto`; parts of it that come one after the other are one message. The dimensions of a value count whatever
/// `unknown_rank` says; without any it is a scalar.
#[derive(Default)]
struct ShapeMessage {
    dims: SmallVec<[i64; 8]>,
    /// Whether there were more dimensions than a tensor can have.
    too_many: bool,
}

impl ShapeMessage {
    /// TensorFlow's own limit; beyond it its library refuses the tensor in a less readable way.
    const MAX_RANK: usize = 254;

    fn merge(&mut self, mut message: Reader<'_>) -> Result<(), Malformed> {
        const DIM: u32 = 2;
        while let Some(field) = message.field()? {
            match field.number {
                DIM if field.wire_type == wire::LENGTH_DELIMITED => self.push(parse_dim(message.delimited()?)?),
                _ => message.skip(field)?,
            }
        }
        Ok(())
    }

    /// A message has room for millions of dimensions; those beyond the limit need not be kept.
    fn push(&mut self, dim: i64) {
        if self.dims.len() < Self::MAX_RANK { self.dims.push(dim) } else { self.too_many = true }
    }

    /// The dimensions; `None` for those that no value can have.
    fn value(&self) -> Option<Shape> {
        if self.too_many { None } else { Shape::new(&self.dims) }
    }
}

fn parse_dim(mut message: Reader<'_>) -> Result<i64, Malformed> {
    const SIZE: u32 = 1;
    let mut size = 0;
    while let Some(field) = message.field()? {
        match field.number {
            SIZE if field.wire_type == wire::VARINT => size = message.varint()? as i64,
            _ => message.skip(field)?,
        }
    }
    Ok(size)
}

/// One element from its varint; values that do not fit wrap around, as a cast does.
fn put_element(dtype: DataType, value: u64, out: &mut [u8]) {
    match dtype {
        DataType::Bool => out[0] = u8::from(value != 0),
        _ => out.copy_from_slice(&value.to_le_bytes()[..out.len()]),
    }
}

/// Fills `out[filled..]` with copies of the element that ends at `filled`.
fn repeat_last(out: &mut [u8], filled: usize, size: usize) {
    if filled == 0 || filled >= out.len() {
        return;
    }
    let (values, rest) = out.split_at_mut(filled);
    let last = &values[filled - size..];
    if last.iter().all(|&b| b == 0) {
        // The buffer is zeroed; writing zeros again would only touch pages.
        return;
    }
    rest.chunks_exact_mut(size).for_each(|element| element.copy_from_slice(last));
}

/// TensorFlow's string content: all lengths as varints, then all bytes.
fn split_string_content(mut content: Reader<'_>, n: usize) -> Result<Vec<Bytes>, Malformed> {
    if n > content.len() {
        return Err(Malformed("tensor_content is too short for the number of strings"));
    }
    let lengths = (0..n).map(|_| content.varint()).collect::<Result<Vec<u64>, _>>()?;
    let mut strings = Vec::with_capacity(n);
    for len in lengths {
        let len = usize::try_from(len).map_err(|_| Malformed("a string is too long"))?;
        strings.push(content.take(len)?.to_bytes());
    }
    if content.is_empty() { Ok(strings) } else { Err(Malformed("tensor_content has bytes after the last string")) }
}
