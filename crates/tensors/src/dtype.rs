// SPDX-License-Identifier: Apache-2.0
//! Element types; the numbers and names are those of `tensorflow.DataType`.

use std::fmt;

macro_rules! dtypes {
    ($($variant:ident = $number:literal, $proto:literal, $short:literal, $size:literal;)*) => {
        /// Element type of a tensor. Reference types are not values and have no variant here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum DataType { $($variant = $number,)* }

        impl DataType {

            /// Every element type, in the order of their numbers within this table.
            pub const ALL: &'static [DataType] = &[$(DataType::$variant,)*];

            /// The type with this `tensorflow.DataType` number; `None` for DT_INVALID, reference and unknown types.
            pub fn from_i32(number: i32) -> Option<DataType> {
                match number { $($number => Some(DataType::$variant),)* _ => None }
            }

            /// The enum name on the wire, such as `DT_FLOAT`.
            pub fn proto_name(self) -> &'static str {
                match self { $(DataType::$variant => $proto,)* }
            }

            /// TensorFlow's short name, such as `float`, as it appears in error messages.
            pub fn name(self) -> &'static str {
                match self { $(DataType::$variant => $short,)* }
            }

            /// Whether elements lie in typed fields of the wire as they do in memory, so that they are copied and not encoded.
            pub fn is_copied_to_wire(self) -> bool {
                matches!(self, DataType::Float | DataType::Double | DataType::Complex64 | DataType::Complex128)
            }

            /// Bytes of one element in memory; 0 for types without a fixed size (string, resource, variant).
            pub fn size(self) -> usize {
                match self { $(DataType::$variant => $size,)* }
            }
        }
    };
}

dtypes! {
    Float = 1, "DT_FLOAT", "float", 4;
    Double = 2, "DT_DOUBLE", "double", 8;
    Int32 = 3, "DT_INT32", "int32", 4;
    Uint8 = 4, "DT_UINT8", "uint8", 1;
    Int16 = 5, "DT_INT16", "int16", 2;
    Int8 = 6, "DT_INT8", "int8", 1;
    String = 7, "DT_STRING", "string", 0;
    Complex64 = 8, "DT_COMPLEX64", "complex64", 8;
    Int64 = 9, "DT_INT64", "int64", 8;
    Bool = 10, "DT_BOOL", "bool", 1;
    Qint8 = 11, "DT_QINT8", "qint8", 1;
    Quint8 = 12, "DT_QUINT8", "quint8", 1;
    Qint32 = 13, "DT_QINT32", "qint32", 4;
    Bfloat16 = 14, "DT_BFLOAT16", "bfloat16", 2;
    Qint16 = 15, "DT_QINT16", "qint16", 2;
    Quint16 = 16, "DT_QUINT16", "quint16", 2;
    Uint16 = 17, "DT_UINT16", "uint16", 2;
    Complex128 = 18, "DT_COMPLEX128", "complex128", 16;
    Half = 19, "DT_HALF", "half", 2;
    Resource = 20, "DT_RESOURCE", "resource", 0;
    Variant = 21, "DT_VARIANT", "variant", 0;
    Uint32 = 22, "DT_UINT32", "uint32", 4;
    Uint64 = 23, "DT_UINT64", "uint64", 8;
    Float8E5m2 = 24, "DT_FLOAT8_E5M2", "float8_e5m2", 1;
    Float8E4m3fn = 25, "DT_FLOAT8_E4M3FN", "float8_e4m3fn", 1;
    Float8E4m3fnuz = 26, "DT_FLOAT8_E4M3FNUZ", "float8_e4m3fnuz", 1;
    Float8E4m3b11fnuz = 27, "DT_FLOAT8_E4M3B11FNUZ", "float8_e4m3b11fnuz", 1;
    Float8E5m2fnuz = 28, "DT_FLOAT8_E5M2FNUZ", "float8_e5m2fnuz", 1;
    Int4 = 29, "DT_INT4", "int4", 1;
    Uint4 = 30, "DT_UINT4", "uint4", 1;
    Int2 = 31, "DT_INT2", "int2", 1;
    Uint2 = 32, "DT_UINT2", "uint2", 1;
    Float4E2m1fn = 33, "DT_FLOAT4_E2M1FN", "float4_e2m1fn", 1;
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
