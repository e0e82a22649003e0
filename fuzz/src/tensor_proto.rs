// SPDX-License-Identifier: Apache-2.0
//! `TensorProto` to a value by TensorFlow's rules, from a message object.

use tensorserve_protos::tensorflow::TensorProto;
use tensorserve_tensors::DataType;

use crate::value::Value;

/// More elements than this are not compared.
pub const MAX_ELEMENTS: i64 = 1 << 16;

/// What a message means.
pub enum Meaning {
    Value(Value),
    Refused,
    /// Too many elements for a slow decoder.
    Large,
}

pub fn meaning(proto: &TensorProto) -> Meaning {
    let Some(dtype) = DataType::from_i32(proto.dtype) else { return Meaning::Refused };
    let Some(dims) = dims(proto) else { return Meaning::Refused };
    let count = dims.iter().product::<i64>();
    if count > MAX_ELEMENTS {
        return Meaning::Large;
    }
    let elements = match (&proto.tensor_content[..], dtype) {
        (_, DataType::Resource | DataType::Variant) => None,
        (_, _) if count == 0 => Some(Vec::new()),
        ([], _) => Some(filled(values(proto, dtype), dtype, count as usize)),
        (content, DataType::String) => strings(content, count as usize),
        (content, _) if content.len() == count as usize * dtype.size() => {
            Some(content.chunks(dtype.size()).map(<[u8]>::to_vec).collect())
        }
        _ => None,
    };
    elements.map_or(Meaning::Refused, |elements| Meaning::Value(Value { dtype, dims, elements }))
}

fn dims(proto: &TensorProto) -> Option<Vec<i64>> {
    let Some(shape) = &proto.tensor_shape else { return Some(Vec::new()) };
    let dims: Vec<i64> = shape.dim.iter().map(|dim| dim.size).collect();
    let fits = dims.iter().try_fold(1i64, |product, dim| product.checked_mul(*dim)).is_some();
    (fits && dims.len() <= 254 && dims.iter().all(|dim| *dim >= 0)).then_some(dims)
}

/// The last value is repeated; without any all are zero.
fn filled(mut values: Vec<Vec<u8>>, dtype: DataType, count: usize) -> Vec<Vec<u8>> {
    let last = values.last().cloned().unwrap_or_else(|| vec![0; dtype.size()]);
    values.resize(count, last);
    values
}

fn values(proto: &TensorProto, dtype: DataType) -> Vec<Vec<u8>> {
    use DataType as T;
    let low = |bytes: &[u8]| bytes[..dtype.size()].to_vec();
    match dtype {
        T::Float => proto.float_val.iter().map(|v| low(&v.to_le_bytes())).collect(),
        T::Double => proto.double_val.iter().map(|v| low(&v.to_le_bytes())).collect(),
        T::Complex64 => pairs(proto.scomplex_val.iter().map(|v| v.to_le_bytes().to_vec())),
        T::Complex128 => pairs(proto.dcomplex_val.iter().map(|v| v.to_le_bytes().to_vec())),
        T::Int64 => proto.int64_val.iter().map(|v| low(&v.to_le_bytes())).collect(),
        T::Uint64 => proto.uint64_val.iter().map(|v| low(&v.to_le_bytes())).collect(),
        T::Uint32 => proto.uint32_val.iter().map(|v| low(&v.to_le_bytes())).collect(),
        T::Bool => proto.bool_val.iter().map(|v| vec![u8::from(*v)]).collect(),
        T::Half | T::Bfloat16 => proto.half_val.iter().map(|v| low(&v.to_le_bytes())).collect(),
        T::String => proto.string_val.iter().map(|v| v.to_vec()).collect(),
        T::Float8E5m2 | T::Float8E4m3fn | T::Float8E4m3fnuz | T::Float8E4m3b11fnuz | T::Float8E5m2fnuz | T::Float4E2m1fn => {
            proto.float8_val.iter().map(|byte| vec![*byte]).collect()
        }
        _ => proto.int_val.iter().map(|v| low(&v.to_le_bytes())).collect(),
    }
}

/// Real and imaginary parts, joined; half a number is none.
fn pairs(parts: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let parts: Vec<Vec<u8>> = parts.collect();
    parts.chunks_exact(2).map(<[Vec<u8>]>::concat).collect()
}

/// All lengths as varints, then all bytes.
fn strings(mut content: &[u8], count: usize) -> Option<Vec<Vec<u8>>> {
    let mut lens = Vec::new();
    for _ in 0..count {
        lens.push(prost::encoding::decode_varint(&mut content).ok()?);
    }
    let mut strings = Vec::new();
    for len in lens {
        let (string, rest) = content.split_at_checked(usize::try_from(len).ok()?)?;
        strings.push(string.to_vec());
        content = rest;
    }
    content.is_empty().then_some(strings)
}
