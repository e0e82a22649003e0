// SPDX-License-Identifier: Apache-2.0
//! What runs take by their number of rows, learned as they happen.
//!
//! A table by powers of two and no line `a + b n`: matrix kernels have steps, and a few rows can take longer for each
//! than one alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const CLASSES: usize = 24;

/// Time by rows. Races between threads lose a sample at worst.
#[derive(Debug, Default)]
pub struct BatchCost {
    /// Nanoseconds a row in runs of 2^(i-1) + 1 to 2^i rows; 0 means that none was measured.
    by_size: [AtomicU64; CLASSES],
}

impl BatchCost {
    pub fn record(&self, rows: usize, took: Duration) {
        let class = &self.by_size[class(rows)];
        let row = (took.as_nanos() as u64 / rows.max(1) as u64).max(1);
        let old = class.load(Ordering::Relaxed);
        // A run that was held up counts for little, several in a row count fully.
        let new = if old == 0 { row } else { old - old / 8 + row.min(old.saturating_mul(8)) / 8 };
        class.store(new.max(1), Ordering::Relaxed);
    }

    /// What a run of `rows` takes; by the nearest smaller size if it was never measured.
    pub fn estimate(&self, rows: usize) -> Option<Duration> {
        let known = (0..=class(rows)).rev().map(|class| self.by_size[class].load(Ordering::Relaxed));
        let row = known.into_iter().find(|&nanos| nanos > 0)?;
        Some(Duration::from_nanos(row.saturating_mul(rows as u64)))
    }

    /// The most rows, at most `rows`, whose run is known to end in time; at least one.
    pub fn rows_within(&self, rows: usize, limit: Duration) -> usize {
        let fits = |rows: &usize| self.estimate(*rows).is_none_or(|time| time <= limit);
        std::iter::successors(Some(rows), |rows| Some(rows / 2)).take_while(|&rows| rows > 1).find(fits).unwrap_or(1)
    }

    /// The time of a row by the rows of a run, for those sizes that were measured.
    pub fn table(&self) -> Vec<(usize, Duration)> {
        (0..CLASSES).filter_map(|class| Some((1 << class, Duration::from_nanos(self.nanos(class)?)))).collect()
    }

    fn nanos(&self, class: usize) -> Option<u64> {
        Some(self.by_size[class].load(Ordering::Relaxed)).filter(|&nanos| nanos > 0)
    }
}

fn class(rows: usize) -> usize {
    (rows.max(1).next_power_of_two().trailing_zeros() as usize).min(CLASSES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    /// The small perceptron's times: small batches lose, large ones gain.
    fn perceptron() -> BatchCost {
        let cost = BatchCost::default();
        for (rows, took) in [(1, 17), (8, 126), (32, 194), (64, 252), (128, 425)] {
            cost.record(rows, micros(took));
        }
        cost
    }

    #[test]
    fn sizes_are_bounded_by_time() {
        let cost = perceptron();
        assert_eq!(cost.rows_within(128, micros(1000)), 128);
        assert_eq!(cost.rows_within(128, micros(300)), 64);
        assert_eq!(cost.rows_within(128, micros(1)), 1);
        assert_eq!(BatchCost::default().rows_within(128, micros(1)), 128);
        assert_eq!(cost.estimate(64), Some(micros(252) / 64 * 64));
    }
}
