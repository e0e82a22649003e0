// SPDX-License-Identifier: Apache-2.0
//! What is counted of requests, runs, batches and loads.
//!
//! Requests write to the [`ModelMetrics`] of the version that answers them, which they hold anyway: no name is looked up
//! and no lock taken. [`page`] writes everything under our names, [`report`] what the original has under its own.

pub mod batching_metrics;
pub mod exposition;
pub mod histogram;
pub mod load_metrics;
pub mod model_metrics;
pub mod page;
mod process;
mod queues;
pub mod report;
pub mod text;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

pub use batching_metrics::BatchingMetrics;
pub use load_metrics::LoadMetrics;
pub use model_metrics::{Api, Entry, ModelMetrics, RequestPhase};

/// Names of models that were never served here, and are counted by their names; clients make them up.
const MAX_UNKNOWN_NAMES: usize = 100;

/// Bytes of such a name.
const MAX_NAME_BYTES: usize = 256;

/// What all further ones are counted as.
const OTHER: &str = "__other__";

/// The counters of one data plane. They never go down: a model that is not served any more keeps its own.
pub struct Metrics {
    models: ArcSwap<Models>,
    /// Writers take turns; readers never see this lock.
    writer: Mutex<()>,
    batching: Arc<BatchingMetrics>,
    pub loads: LoadMetrics,
    started: SystemTime,
}

#[derive(Clone, Default)]
struct Models {
    by_name: HashMap<Arc<str>, Known>,
    /// Those that were never served.
    unknown: usize,
}

#[derive(Clone)]
struct Known {
    metrics: Arc<ModelMetrics>,
    served: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            models: ArcSwap::default(),
            writer: Mutex::default(),
            batching: Arc::default(),
            loads: LoadMetrics::default(),
            started: SystemTime::now(),
        }
    }
}

impl Metrics {
    /// The counters of a model that is served.
    pub(crate) fn of_served(&self, model: &str) -> Arc<ModelMetrics> {
        let found = self.models.load().by_name.get(model).filter(|known| known.served).cloned();
        found.map_or_else(|| self.add(model, true), |known| known.metrics)
    }

    /// The counters for requests to a model that may not exist. `MAX_UNKNOWN_NAMES` of these have
    /// counters of their own.
    pub fn of_requested(&self, model: &str) -> Arc<ModelMetrics> {
        let models = self.models.load();
        if let Some(known) = models.by_name.get(model) {
            return Arc::clone(&known.metrics);
        }
        let name = if models.unknown < MAX_UNKNOWN_NAMES && model.len() <= MAX_NAME_BYTES { model } else { OTHER };
        match models.by_name.get(name) {
            Some(known) => Arc::clone(&known.metrics),
            None => self.add(name, false),
        }
    }

    #[cold]
    fn add(&self, model: &str, served: bool) -> Arc<ModelMetrics> {
        let _turn = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Models::clone(&self.models.load());
        let make = || Known { metrics: Arc::new(ModelMetrics::new(Arc::clone(&self.batching))), served: false };
        let known = next.by_name.entry(Arc::from(model)).or_insert_with(make);
        known.served |= served;
        let metrics = Arc::clone(&known.metrics);
        next.unknown = next.by_name.values().filter(|known| !known.served).count();
        self.models.store(Arc::new(next));
        metrics
    }

    pub(crate) fn batching(&self) -> &BatchingMetrics {
        &self.batching
    }

    /// Every model that was asked for, by name.
    pub(crate) fn models(&self) -> Vec<(Arc<str>, Arc<ModelMetrics>)> {
        let models = self.models.load();
        let mut all: Vec<_> =
            models.by_name.iter().map(|(name, known)| (Arc::clone(name), Arc::clone(&known.metrics))).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// Seconds since 1970.
    pub(crate) fn started(&self) -> f64 {
        self.started.duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_clients_make_up_are_bounded() {
        let metrics = Metrics::default();
        (0..10 * MAX_UNKNOWN_NAMES).for_each(|number| drop(metrics.of_requested(&number.to_string())));
        metrics.of_requested(&"x".repeat(MAX_NAME_BYTES + 1));
        assert_eq!(metrics.models().len(), MAX_UNKNOWN_NAMES + 1);
        let served = metrics.of_served("a");
        assert!(Arc::ptr_eq(&served, &metrics.of_requested("a")));
        assert!(Arc::ptr_eq(&metrics.of_requested("late"), &metrics.of_requested(OTHER)));
    }

    #[test]
    fn a_model_that_is_served_later_keeps_what_was_counted() {
        let metrics = Metrics::default();
        let early = metrics.of_requested("a");
        assert!(Arc::ptr_eq(&early, &metrics.of_served("a")));
        assert_eq!(metrics.models.load().unknown, 0);
    }

    #[test]
    fn long_names_share_a_counter_even_if_they_are_few() {
        let metrics = Metrics::default();
        let long = metrics.of_requested(&"x".repeat(MAX_NAME_BYTES + 1));
        assert!(Arc::ptr_eq(&long, &metrics.of_requested(OTHER)));
    }
}
