// SPDX-License-Identifier: Apache-2.0
//! When threads are to ask sources again.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Instant;

use crate::Priority;
use crate::source::Entry;

/// Timers of a pool; the next one comes first.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<Timer>>,
    /// Timers that were set so far. Those of the same time go in this order.
    set: u64,
}

struct Timer {
    time: Instant,
    number: u64,
    entry: Arc<Entry>,
    priority: Priority,
}

impl Timers {
    /// Sets a timer; gives whether it is the next one.
    pub(crate) fn set(&mut self, entry: &Arc<Entry>, priority: Priority, time: Instant) -> bool {
        self.set += 1;
        let is_next = self.next().is_none_or(|next| time < next);
        self.heap.push(Reverse(Timer { time, number: self.set, entry: Arc::clone(entry), priority }));
        is_next
    }

    /// The time of the next one.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(timer)| timer.time)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Takes the next one out if its time has come.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<(Arc<Entry>, Priority)> {
        self.next().filter(|&time| time <= now)?;
        let Reverse(Timer { time, entry, priority, .. }) = self.heap.pop()?;
        entry.is_due(priority, time);
        Some((entry, priority))
    }

    pub(crate) fn into_entries(self) -> impl Iterator<Item = Arc<Entry>> {
        self.heap.into_iter().map(|Reverse(timer)| timer.entry)
    }
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.time, self.number).cmp(&(other.time, other.number))
    }
}
