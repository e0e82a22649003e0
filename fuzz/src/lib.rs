// SPDX-License-Identifier: Apache-2.0
//! What the fuzz targets share: a bound on memory, and slow decoders that were written to be read.
//!
//! Each target compares a decoder of the server with a slow one, or what was written with what was read, so that it finds
//! wrong answers and not only crashes. Run with `make fuzz`.

pub mod json;
pub mod memory;
pub mod tensor_proto;
pub mod value;
