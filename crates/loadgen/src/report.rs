// SPDX-License-Identifier: Apache-2.0
//! What was measured.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;

/// Counted nanoseconds.
pub type Nanos = Histogram<u64>;

/// An hour; what takes longer counts as this.
const LONGEST_NANOS: u64 = 3_600_000_000_000;
/// Values differ from what they are counted as by at most a thousandth.
const DIGITS: u8 = 3;
/// Further kinds of errors count as one.
const MAX_ERROR_KINDS: usize = 32;

/// What others may see and do while a plan runs.
#[derive(Debug, Default)]
pub struct Shared {
    answered: AtomicU64,
    failed: AtomicU64,
    stopped: AtomicBool,
}

impl Shared {
    /// Requests answered and failed so far, those of the warm-up too.
    pub fn progress(&self) -> (u64, u64) {
        (self.answered.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// No further request is sent.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, good: bool) {
        let counter = if good { &self.answered } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The measured part of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Nanoseconds of requests that were answered well.
    pub latencies: Nanos,
    /// Nanoseconds by which requests of an open loop were sent later than they should have been.
    pub lags: Nanos,
    /// Requests answered well before the measured time was over: its throughput.
    pub answered_in_time: u64,
    /// Failures by their kind.
    pub errors: BTreeMap<String, u64>,
    /// Requests of an open loop that had no answer when everything was over. They count with the time that they had
    /// waited by then, so percentiles that reach them are too low.
    pub unfinished: u64,
}

/// Nanoseconds up to an hour.
fn histogram() -> Nanos {
    match Histogram::new_with_bounds(1, LONGEST_NANOS, DIGITS) {
        Ok(histogram) => histogram,
        // There are such bounds.
        Err(error) => unreachable!("{error}"),
    }
}

impl Default for Report {
    fn default() -> Self {
        Report {
            latencies: histogram(),
            lags: histogram(),
            answered_in_time: 0,
            errors: BTreeMap::new(),
            unfinished: 0,
        }
    }
}

impl Report {
    pub(crate) fn latency(&mut self, took: Duration) {
        self.latencies.saturating_record(nanos(took));
    }

    pub(crate) fn lag(&mut self, by: Duration) {
        self.lags.saturating_record(nanos(by));
    }

    pub(crate) fn error(&mut self, kind: String) {
        let known = self.errors.contains_key(&kind);
        let kind = if known || self.errors.len() < MAX_ERROR_KINDS { kind } else { "other".to_owned() };
        *self.errors.entry(kind).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Report) {
        // Both have the same bounds.
        let _ = self.latencies.add(&other.latencies);
        let _ = self.lags.add(&other.lags);
        self.answered_in_time += other.answered_in_time;
        self.unfinished += other.unfinished;
        for (kind, count) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).max(1)
}
