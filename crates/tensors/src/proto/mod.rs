// SPDX-License-Identifier: Apache-2.0
//! The protobuf form of tensors, read and written without intermediate message objects.
//!
//! [`reader`] walks the fields of a message that may lie in several pieces (the DATA frames it came in), so that tensor
//! bytes are copied once, from the frame into aligned memory. [`decode`] reads `TensorProto`, [`encode`] writes it.

pub mod decode;
pub mod encode;
pub mod reader;
pub mod wire;

pub use decode::{MAX_FILLED_BYTES, TensorView, Weight};
pub use encode::TensorEncoding;
pub use reader::{Field, Malformed, Reader};
