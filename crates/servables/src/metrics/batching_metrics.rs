// SPDX-License-Identifier: Apache-2.0
//! The original's counters of batches, of all models together.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::metrics::histogram::{Histogram, exponential};

static QUEUING: [f64; 52] = exponential(100.0, 1.2);
static ROWS: [f64; 14] = exponential(1.0, 2.0);

/// Sizes of batches that are told apart; configurations say which there are, but they need not.
const MAX_SIZES: usize = 256;

pub(crate) type Rows = Histogram<14>;

/// What happened to batches.
#[derive(Debug)]
pub struct BatchingMetrics {
    /// What each request waited.
    pub(crate) queuing_latency: Histogram<52>,
    pub(crate) batches: AtomicU64,
    /// Rows of each input of each request.
    pub(crate) input_rows: Rows,
    /// Rows of each batch with its padding.
    pub(crate) batch_rows: Rows,
    /// Rows of padding, by the rows of the batch. Batches of sizes beyond the limit are counted as size 0.
    padding: RwLock<BTreeMap<usize, Arc<Rows>>>,
}

impl Default for BatchingMetrics {
    fn default() -> Self {
        BatchingMetrics {
            queuing_latency: Histogram::new(&QUEUING),
            batches: AtomicU64::new(0),
            input_rows: Histogram::new(&ROWS),
            batch_rows: Histogram::new(&ROWS),
            padding: RwLock::default(),
        }
    }
}

impl BatchingMetrics {
    /// Counts a request that is taken out of its queue to be run.
    pub(crate) fn dequeued(&self, waited: Duration, rows: usize, inputs: usize) {
        self.queuing_latency.record_time(waited);
        (0..inputs).for_each(|_| self.input_rows.record(rows));
    }

    /// Counts a batch of `rows` rows and `padding` more that fill it up.
    pub(crate) fn ran(&self, rows: usize, padding: usize) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.batch_rows.record(rows);
        self.padding_of(rows).record(padding);
    }

    fn padding_of(&self, rows: usize) -> Arc<Rows> {
        let known = self.padding.read().unwrap_or_else(PoisonError::into_inner).get(&rows).cloned();
        known.unwrap_or_else(|| {
            let mut padding = self.padding.write().unwrap_or_else(PoisonError::into_inner);
            let size = if padding.len() < MAX_SIZES { rows } else { 0 };
            Arc::clone(padding.entry(size).or_insert_with(|| Arc::new(Histogram::new(&ROWS))))
        })
    }

    /// By the rows of the batch.
    pub(crate) fn padding(&self) -> Vec<(usize, Arc<Rows>)> {
        let padding = self.padding.read().unwrap_or_else(PoisonError::into_inner);
        padding.iter().map(|(rows, histogram)| (*rows, Arc::clone(histogram))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_batches_are_bounded() {
        let metrics = BatchingMetrics::default();
        (1..=2 * MAX_SIZES).for_each(|rows| metrics.ran(rows, 1));
        let sizes = metrics.padding();
        assert_eq!(sizes.len(), MAX_SIZES + 1);
        assert_eq!(sizes[0].1.counts().map(|counts| counts.all), Some(MAX_SIZES as u64));
        assert_eq!(metrics.batch_rows.counts().map(|counts| counts.all), Some(2 * MAX_SIZES as u64));
    }
}
