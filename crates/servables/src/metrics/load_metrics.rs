// SPDX-License-Identifier: Apache-2.0
//! The original's counters of loads and warm-ups. The control plane writes them, once for each.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::metrics::histogram::Histogram;
use crate::metrics::model_metrics::{LATENCY, Latency};

/// Paths, and texts of failures, that are told apart: a server that runs for years sees many versions.
const MAX_SERIES: usize = 10_000;

/// What happened to the versions of each path.
#[derive(Debug, Default)]
pub struct LoadMetrics(Mutex<Series>);

#[derive(Debug, Default)]
pub(crate) struct Series {
    /// By path and whether it succeeded.
    pub(crate) attempts: BTreeMap<(String, bool), u64>,
    /// Microseconds of the loads that succeeded.
    pub(crate) latency: BTreeMap<String, u64>,
    /// By path and status.
    pub(crate) warmups: BTreeMap<(String, String), (Latency, u64)>,
}

impl LoadMetrics {
    /// Counts an attempt to load the version at `path`.
    pub fn loaded(&self, path: &str, success: bool, took: Duration) {
        let mut series = self.lock();
        let key = (path.to_owned(), success);
        if series.attempts.len() >= MAX_SERIES && !series.attempts.contains_key(&key) {
            return;
        }
        *series.attempts.entry(key).or_default() += 1;
        if success {
            *series.latency.entry(path.to_owned()).or_default() += took.as_micros() as u64;
        }
    }

    /// Counts a warm-up of the version at `path` with recorded requests; `status` is OK or the text of what went wrong.
    pub fn warmed_up(&self, path: &str, status: &str, took: Duration, records: u64) {
        let mut series = self.lock();
        let key = (path.to_owned(), status.to_owned());
        if series.warmups.len() >= MAX_SERIES && !series.warmups.contains_key(&key) {
            return;
        }
        let (latency, read) = series.warmups.entry(key).or_insert_with(|| (Histogram::new(&LATENCY), 0));
        latency.record_time(took);
        *read += records;
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Series> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
