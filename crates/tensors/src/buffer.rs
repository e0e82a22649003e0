// SPDX-License-Identifier: Apache-2.0
//! Memory for tensor elements, aligned so that a runtime can use it without another copy.

use bytemuck::{Pod, Zeroable};
use bytes::Bytes;

/// TensorFlow wants its tensors on 64-byte boundaries and copies those that are not.
pub const ALIGNMENT: usize = 64;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Block([u8; ALIGNMENT]);

/// Zero-initialised bytes that start on a 64-byte boundary; filled once, then frozen into [`Bytes`].
pub struct AlignedBuffer {
    blocks: Vec<Block>,
    len: usize,
}

impl AlignedBuffer {
    /// `len` zero bytes. Large buffers come zeroed from the system, page by page as they are written.
    pub fn zeroed(len: usize) -> Self {
        AlignedBuffer { blocks: bytemuck::zeroed_vec(len.div_ceil(ALIGNMENT)), len }
    }

    /// Room for `capacity` bytes, none in use yet; see [`AlignedBuffer::resize`].
    pub fn with_capacity(capacity: usize) -> Self {
        AlignedBuffer { blocks: Vec::with_capacity(capacity.div_ceil(ALIGNMENT)), len: 0 }
    }

    /// Makes the buffer `len` bytes long; new bytes are zero. Grows geometrically.
    pub fn resize(&mut self, len: usize) {
        self.blocks.resize(len.div_ceil(ALIGNMENT), Block::zeroed());
        self.len = len;
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The buffer as immutable, shareable bytes; nothing is copied.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for AlignedBuffer {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.blocks)[..self.len]
    }
}

impl AsMut<[u8]> for AlignedBuffer {
    #[inline]
    fn as_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.blocks)[..self.len]
    }
}
