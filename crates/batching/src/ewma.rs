// SPDX-License-Identifier: Apache-2.0
//! The moving average that everything here learns with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::settings::CostSettings;

/// An exponentially weighted moving average (EWMA) of numbers above 0. The first sample counts fully; each further one has
/// the weight 1/[`CostSettings::samples`], and an outlier no more than twice the mean to add.
///
/// Threads may add to it at once; at worst a race loses a sample.
#[derive(Debug, Default)]
pub struct Ewma {
    /// The mean as the bits of an `f64`; 0 means that there was no sample.
    bits: AtomicU64,
}

/// The weight of a sample is 1 in this number.
const SAMPLES: f64 = CostSettings::DEFAULT.samples as f64;

impl Ewma {
    pub const fn new() -> Self {
        Ewma { bits: AtomicU64::new(0) }
    }

    pub fn add(&self, sample: f64) {
        let sample = sample.max(f64::MIN_POSITIVE);
        let next = self.mean().map_or(sample, |mean| mean + (sample.min(mean * SAMPLES) - mean) / SAMPLES);
        self.bits.store(next.to_bits(), Ordering::Relaxed);
    }

    pub fn mean(&self) -> Option<f64> {
        Some(f64::from_bits(self.bits.load(Ordering::Relaxed))).filter(|mean| *mean > 0.0)
    }

    pub fn add_time(&self, time: Duration) {
        self.add(time.as_secs_f64());
    }

    pub fn mean_time(&self) -> Option<Duration> {
        self.mean().map(Duration::from_secs_f64)
    }

    /// Whether a sample is so far above the mean that it would not count fully.
    pub fn is_outlier(&self, sample: f64) -> bool {
        self.mean().is_some_and(|mean| sample > mean * SAMPLES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_follows_the_samples() {
        let ewma = Ewma::new();
        assert_eq!(ewma.mean(), None);
        ewma.add(10.0);
        assert_eq!(ewma.mean(), Some(10.0));
        (0..100).for_each(|_| ewma.add(20.0));
        assert!(ewma.mean().is_some_and(|mean| (19.9..20.1).contains(&mean)));
        ewma.add_time(Duration::ZERO);
        assert!(ewma.mean_time().is_some_and(|mean| mean > Duration::from_secs(17)));
    }

    #[test]
    fn one_outlier_doubles_the_mean_at_most_and_several_count_fully() {
        let ewma = Ewma::new();
        ewma.add(8.0);
        assert!(ewma.is_outlier(5000.0) && !ewma.is_outlier(16.0));
        ewma.add(5000.0);
        assert!(ewma.mean().is_some_and(|mean| (12.0..16.0).contains(&mean)));
        (0..50).for_each(|_| ewma.add(5000.0));
        assert!(ewma.mean().is_some_and(|mean| mean > 4900.0));
    }
}
