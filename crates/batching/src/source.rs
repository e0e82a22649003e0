// SPDX-License-Identifier: Apache-2.0
//! Where the threads of a [`Pool`](crate::Pool) get work that is put together only when a thread is free for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::Priority;

/// Something to run once.
pub type Job = Box<dyn FnOnce() + Send>;

/// What a source has for a thread.
pub enum Next {
    /// Something to run now; another thread shall ask at once if there is `more`.
    Run { job: Job, more: bool },
    /// Nothing before this time.
    At(Instant),
    /// Something that may not run beside the jobs of this source that run; a thread asks again when one of them ends.
    Busy,
    /// Nothing, until somebody calls [`Pool::wake`](crate::Pool::wake).
    Idle,
}

/// Puts together work of each priority when a thread asks for it.
///
/// A thread asks once for each call of `wake`, when a time that was given has come, and after each job of the source.
pub trait Source: Send + Sync {
    /// What there is to run for a priority. Called without a lock of the pool.
    fn next(self: Arc<Self>, priority: Priority, now: Instant) -> Next;

    /// The priorities that may have more to run, now that a job has ended.
    fn ready(&self, now: Instant) -> [bool; 3];

    /// No thread will ask any more.
    fn stopped(&self);
}

/// A source as its pool knows it. The pool keeps it only while a thread is to ask it.
pub struct Entry {
    pub(crate) source: Weak<dyn Source>,
    pub(crate) group: Arc<str>,
    /// Whether a thread is to ask for this priority.
    asked: [AtomicBool; 3],
    /// Whether work of this priority waits for a job of the source to end.
    busy: [AtomicBool; 3],
    /// When a thread is to ask for this priority: microseconds behind `epoch`.
    due: [AtomicU64; 3],
    epoch: Instant,
}

const NEVER: u64 = u64::MAX;

impl Entry {
    /// `group` is the model whose share of the threads its jobs take.
    pub fn new(source: Weak<dyn Source>, group: Arc<str>) -> Arc<Self> {
        let due = [const { AtomicU64::new(NEVER) }; 3];
        Arc::new(Entry {
            source,
            group,
            asked: Default::default(),
            busy: Default::default(),
            due,
            epoch: Instant::now(),
        })
    }

    /// Whether this call decided that a thread is to ask; false if that was decided before and none has asked yet.
    pub(crate) fn ask(&self, priority: Priority) -> bool {
        !self.asked[priority as usize].swap(true, Ordering::AcqRel)
    }

    /// A thread asks now. What comes from here on needs another question.
    pub(crate) fn asks(&self, priority: Priority) {
        self.asked[priority as usize].swap(false, Ordering::AcqRel);
    }

    /// No thread asks, now or later, though that was decided. What comes from here on needs another question.
    pub(crate) fn forget_questions(&self) {
        Priority::ALL.into_iter().for_each(|priority| self.asks(priority));
        for due in &self.due {
            due.swap(NEVER, Ordering::AcqRel);
        }
    }

    /// Whether this call decided that a thread is to ask at `time`; false if one is to ask earlier.
    pub(crate) fn ask_at(&self, priority: Priority, time: Instant) -> bool {
        let micros = self.micros(time);
        self.due[priority as usize].fetch_min(micros, Ordering::AcqRel) > micros
    }

    /// The time that was decided on has come.
    pub(crate) fn is_due(&self, priority: Priority, time: Instant) {
        let due = &self.due[priority as usize];
        // An earlier one may have been decided on meanwhile; that stays.
        let _ = due.compare_exchange(self.micros(time), NEVER, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Sets whether work of this priority waits for a job of the source to end; gives what it was.
    pub(crate) fn set_busy(&self, priority: Priority, busy: bool) -> bool {
        self.busy[priority as usize].swap(busy, Ordering::Relaxed)
    }

    fn micros(&self, time: Instant) -> u64 {
        let time = time.saturating_duration_since(self.epoch) + Duration::from_nanos(999);
        u64::try_from(time.as_micros()).unwrap_or(NEVER - 1)
    }
}
