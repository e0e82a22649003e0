// SPDX-License-Identifier: Apache-2.0
//! One budget for what clients can make this server keep: bodies that are not complete, values that are filled up, replies
//! that nobody reads. Small requests that are complete when they are looked at take nothing from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tensorserve_servables::{Code, Result, ServingError};

/// Replies below this are sent without being counted; a connection has few bytes of such (see `client`).
pub(crate) const COUNTED: usize = 64 << 10;

/// Bytes of a request that are not counted.
pub(crate) const FEW: usize = 4 << 10;

/// Bytes that may be kept at once.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: usize,
    used: AtomicUsize,
}

/// Bytes that are kept, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Arc<Memory>,
    bytes: usize,
}

/// Bytes that are counted as long as anybody has them.
struct Counted {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Memory {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Memory { limit, used: AtomicUsize::new(0) })
    }

    /// Counts bytes. RESOURCE_EXHAUSTED if they are too many; those of one request alone never are.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Result<Held> {
        let mut held = Held { memory: Arc::clone(self), bytes: 0 };
        held.grow(bytes)?;
        Ok(held)
    }

    /// Counts bytes, unless they are few.
    pub(crate) fn hold_many(self: &Arc<Self>, bytes: usize) -> Result<Option<Held>> {
        if bytes > FEW { self.hold(bytes).map(Some) } else { Ok(None) }
    }

    /// A reply that is counted until the last of its bytes is sent or given up.
    pub(crate) fn keep(self: &Arc<Self>, reply: Bytes) -> Result<Bytes> {
        if reply.len() < COUNTED { Ok(reply) } else { self.keep_any(reply) }
    }

    /// The same for a reply of any size.
    pub(crate) fn keep_any(self: &Arc<Self>, reply: Bytes) -> Result<Bytes> {
        let held = self.hold(reply.len())?;
        Ok(Bytes::from_owner(Counted { bytes: reply, _held: held }))
    }

    /// Bytes that are kept now.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Held {
    /// Counts more. On an error nothing has changed.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<()> {
        let Memory { limit, used } = &*self.memory;
        let others = used.fetch_add(bytes, Ordering::Relaxed).saturating_sub(self.bytes);
        if others > 0 && others.saturating_add(self.bytes).saturating_add(bytes) > *limit {
            used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(exhausted(*limit));
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cold]
fn exhausted(limit: usize) -> ServingError {
    let text = format!("requests and replies in memory would have more than {limit} bytes (--max_buffered_bytes)");
    ServingError::new(Code::ResourceExhausted, format!("{text}; try again later"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let memory = Memory::new(100);
        let mut first = memory.hold(60).unwrap();
        assert_eq!(memory.hold(41).unwrap_err().code, Code::ResourceExhausted);
        let second = memory.hold(40).unwrap();
        assert!(first.grow(1).is_err());
        assert_eq!(memory.used(), 100);
        drop(second);
        first.grow(1).unwrap();
        assert_eq!(memory.used(), 61);
        drop(first);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn one_request_alone_always_fits() {
        let memory = Memory::new(100);
        let mut large = memory.hold(1000).unwrap();
        large.grow(1000).unwrap();
        assert!(memory.hold(1).is_err());
        drop(large);
        assert!(memory.hold(1).is_ok());
    }

    #[test]
    fn a_reply_counts_until_its_last_piece_is_gone() {
        let memory = Memory::new(1 << 30);
        let small = memory.keep(Bytes::from(vec![0; COUNTED - 1])).unwrap();
        assert_eq!(memory.used(), 0);
        let mut large = memory.keep(Bytes::from(vec![7; 2 * COUNTED])).unwrap();
        let piece = large.split_to(COUNTED);
        drop((small, large));
        assert_eq!((memory.used(), piece[0]), (2 * COUNTED, 7));
        drop(piece);
        assert_eq!(memory.used(), 0);
    }
}
