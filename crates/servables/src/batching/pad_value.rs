// SPDX-License-Identifier: Apache-2.0
//! The value that an input is padded with, from its text.

use bytes::Bytes;
use tensorserve_tensors::DataType;

use crate::table::signature::Endpoint;
use crate::{Result, ServingError};

/// One element of the input's type, as it lies in memory. INVALID_ARGUMENT if the text is no value of that type.
pub(crate) fn pad_value(input: &Endpoint, text: &str) -> Result<Bytes> {
    let bytes = input.dtype.and_then(|dtype| element(dtype, text));
    bytes.map(Bytes::from).ok_or_else(|| {
        let dtype = input.dtype.map_or("its type", DataType::name);
        ServingError::invalid_argument(format!("input {} of {dtype} cannot be padded with {text}", input.alias))
    })
}

fn element(dtype: DataType, text: &str) -> Option<Vec<u8>> {
    macro_rules! number {
        ($type:ty) => {
            text.parse::<$type>().ok()?.to_le_bytes().to_vec()
        };
    }
    Some(match dtype {
        DataType::Float => number!(f32),
        DataType::Double => number!(f64),
        DataType::Int8 | DataType::Qint8 => number!(i8),
        DataType::Int16 | DataType::Qint16 => number!(i16),
        DataType::Int32 | DataType::Qint32 => number!(i32),
        DataType::Int64 => number!(i64),
        DataType::Uint8 | DataType::Quint8 => number!(u8),
        DataType::Uint16 | DataType::Quint16 => number!(u16),
        DataType::Uint32 => number!(u32),
        DataType::Uint64 => number!(u64),
        DataType::Bool => vec![u8::from(text.parse::<bool>().ok()?)],
        DataType::String => text.as_bytes().to_vec(),
        _ => return None,
    })
}
