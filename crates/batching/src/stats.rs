// SPDX-License-Identifier: Apache-2.0
//! Counts of what a queue did. Written without a lock; a reader may see one number before another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Powers of two that are told apart.
const CLASSES: usize = 32;

/// How often a number was at most 1, 2, 4, 8 and so on.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [AtomicU64; CLASSES],
    sum: AtomicU64,
}

impl Histogram {
    pub fn record(&self, number: u64) {
        let class =
            number.max(1).checked_next_power_of_two().map_or(CLASSES - 1, |power| power.trailing_zeros() as usize);
        self.counts[class.min(CLASSES - 1)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(number, Ordering::Relaxed);
    }

    /// Adds what another holds.
    fn absorb(&self, other: &Histogram) {
        for (count, more) in self.counts.iter().zip(&other.counts) {
            count.fetch_add(more.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.sum.fetch_add(other.sum(), Ordering::Relaxed);
    }

    /// Upper bound and count of each class that has any.
    pub fn buckets(&self) -> Vec<(u64, u64)> {
        let counts = self.counts.iter().enumerate();
        counts
            .map(|(class, count)| (1 << class, count.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// The upper bound of the class in which this part (0 to 1) of the numbers ends; 0 if there are none.
    pub fn quantile(&self, part: f64) -> u64 {
        let wanted = (self.count() as f64 * part).ceil() as u64;
        let mut seen = 0;
        let reached = |(_, count): &(u64, u64)| {
            seen += count;
            seen >= wanted
        };
        self.buckets().into_iter().find(reached).map_or(0, |(bound, _)| bound)
    }
}

/// What happened to the requests of one queue.
#[derive(Debug, Default)]
pub struct Stats {
    /// Requests that were run on their own, without having waited for others.
    pub alone: AtomicU64,
    /// Requests that did not get in.
    pub rejected: AtomicU64,
    /// Those whose deadline passed while they waited.
    pub expired: AtomicU64,
    /// Those whose client left while they waited.
    pub abandoned: AtomicU64,
    /// Batches that were run again in halves because they failed.
    pub split_batches: AtomicU64,
    /// Rows that were run only to reach an allowed size.
    pub padding_rows: AtomicU64,
    /// Bytes by which shorter inputs were filled up.
    pub padding_bytes: AtomicU64,
    /// Experiments of the tuner whose candidate was better than the strategy in use, worse, or neither.
    pub better: AtomicU64,
    pub worse: AtomicU64,
    pub unclear: AtomicU64,
    /// Times that the tuner saw another load.
    pub load_changed: AtomicU64,
    /// Rows of each batch, without padding.
    pub batch_rows: Histogram,
    /// Requests of each batch.
    pub batch_requests: Histogram,
    /// Microseconds that each request waited.
    pub wait_micros: Histogram,
}

impl Stats {
    /// Adds what another has counted.
    pub fn absorb(&self, other: &Stats) {
        for (count, more) in self.counts().into_iter().zip(other.counts()) {
            count.fetch_add(more.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.batch_rows.absorb(&other.batch_rows);
        self.batch_requests.absorb(&other.batch_requests);
        self.wait_micros.absorb(&other.wait_micros);
    }

    fn counts(&self) -> [&AtomicU64; 11] {
        [
            &self.alone,
            &self.rejected,
            &self.expired,
            &self.abandoned,
            &self.split_batches,
            &self.padding_rows,
            &self.padding_bytes,
            &self.better,
            &self.worse,
            &self.unclear,
            &self.load_changed,
        ]
    }

    pub fn waited(&self, time: Duration) {
        self.wait_micros.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }
}

/// Adds to a count.
pub fn add(count: &AtomicU64, number: usize) {
    if number > 0 {
        count.fetch_add(number as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_by_powers_of_two() {
        let histogram = Histogram::default();
        [0, 1, 2, 3, 4, 5, 1000, u64::MAX / 2].into_iter().for_each(|number| histogram.record(number));
        assert_eq!(histogram.buckets(), [(1, 2), (2, 1), (4, 2), (8, 1), (1024, 1), (1 << 31, 1)]);
        assert_eq!((histogram.quantile(0.5), histogram.quantile(0.75), histogram.count()), (4, 8, 8));
        assert_eq!(Histogram::default().quantile(0.5), 0);
    }
    #[test]
    fn counts_add_up() {
        let (all, part) = (Stats::default(), Stats::default());
        add(&part.rejected, 2);
        part.waited(Duration::from_micros(3));
        all.absorb(&part);
        all.absorb(&part);
        assert_eq!((all.rejected.into_inner(), all.wait_micros.count(), all.wait_micros.sum()), (4, 2, 6));
    }
}
