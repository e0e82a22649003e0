// SPDX-License-Identifier: Apache-2.0
//! The value that travels: tensors, their wire forms, and the one error type.
//!
//! May depend on `protos` only. Used by every later stage. Read [`tensor`] first, then [`proto`] (TensorProto, the
//! gRPC form), [`json`] (the REST form) and [`npy`] (NumPy's form).

pub mod buffer;
pub mod dtype;
pub mod error;
pub mod example;
pub mod json;
pub mod npy;
pub mod proto;
pub mod shape;
pub mod tensor;
pub mod tfrecord;

pub use buffer::AlignedBuffer;
pub use dtype::DataType;
pub use error::{Code, Result, ServingError};
pub use example::{ExampleWriter, FeatureKind};
pub use shape::Shape;
pub use tensor::{StringElements, Tensor, TensorData};
