// SPDX-License-Identifier: Apache-2.0
//! How often a number fell between limits that grow by a factor, as TensorFlow's samplers count it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// `N` limits: `scale`, `scale * growth`, and so on.
pub const fn exponential<const N: usize>(scale: f64, growth: f64) -> [f64; N] {
    let mut limits = [0.0; N];
    let (mut at, mut limit) = (0, scale);
    while at < N {
        limits[at] = limit;
        limit *= growth;
        at += 1;
    }
    limits
}

/// Counts between `N` limits. Written without a lock; a reader may see one number before another.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    limits: &'static [f64; N],
    /// Numbers below each limit, and not below the one before.
    counts: [AtomicU64; N],
    beyond: AtomicU64,
    /// In thousandths, so that times keep their nanoseconds.
    sum: AtomicU64,
}

/// What a histogram holds at one time.
#[derive(Debug)]
pub struct Counts {
    /// Limit, and how many numbers are below it.
    pub below: Vec<(f64, u64)>,
    pub all: u64,
    pub sum: f64,
}

impl Counts {
    /// What both hold that have the same limits.
    pub(crate) fn plus(mut self, other: &Counts) -> Counts {
        for ((_, count), (_, more)) in self.below.iter_mut().zip(&other.below) {
            *count += more;
        }
        Counts { all: self.all + other.all, sum: self.sum + other.sum, ..self }
    }
}

impl<const N: usize> Histogram<N> {
    pub const fn new(limits: &'static [f64; N]) -> Self {
        Histogram {
            limits,
            counts: [const { AtomicU64::new(0) }; N],
            beyond: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    pub fn record(&self, number: usize) {
        self.observe((number as u64).saturating_mul(1000));
    }

    /// Counts a time in microseconds.
    pub fn record_time(&self, time: Duration) {
        self.observe(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    fn observe(&self, thousandths: u64) {
        let number = thousandths as f64 / 1000.0;
        // As in the original, a number that equals a limit is not below it.
        let at = self.limits.partition_point(|limit| *limit <= number);
        self.counts.get(at).unwrap_or(&self.beyond).fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(thousandths, Ordering::Relaxed);
    }

    /// How many numbers it holds.
    pub fn count(&self) -> u64 {
        self.counts.iter().chain([&self.beyond]).map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The sum of all times.
    pub fn nanos(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// What it holds; `None` if nothing was recorded.
    pub fn counts(&self) -> Option<Counts> {
        let sum = self.sum.load(Ordering::Relaxed) as f64 / 1000.0;
        let mut all = 0;
        let below = self.limits.iter().zip(&self.counts).map(|(limit, count)| {
            all += count.load(Ordering::Relaxed);
            (*limit, all)
        });
        let below = below.collect();
        all += self.beyond.load(Ordering::Relaxed);
        (all > 0).then_some(Counts { below, all, sum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static POWERS: [f64; 4] = exponential(1.0, 2.0);

    #[test]
    fn a_number_that_equals_a_limit_belongs_above_it() {
        let histogram = Histogram::new(&POWERS);
        assert!(histogram.counts().is_none());
        [0, 1, 2, 3, 8, 1000].into_iter().for_each(|number| histogram.record(number));
        let counts = histogram.counts().unwrap();
        assert_eq!(counts.below, [(1.0, 1), (2.0, 2), (4.0, 4), (8.0, 4)]);
        assert_eq!((counts.all, counts.sum), (6, 1014.0));
    }

    #[test]
    fn times_are_microseconds_with_their_fractions() {
        let histogram = Histogram::new(&POWERS);
        histogram.record_time(Duration::from_nanos(1999));
        histogram.record_time(Duration::from_nanos(2000));
        let counts = histogram.counts().unwrap();
        assert_eq!(counts.below, [(1.0, 0), (2.0, 1), (4.0, 2), (8.0, 2)]);
        assert_eq!(counts.sum, 3.999);
        assert_eq!((histogram.count(), histogram.nanos()), (2, 3999));
        let twice = counts.plus(&histogram.counts().unwrap());
        assert_eq!((twice.below[1], twice.all, twice.sum), ((2.0, 2), 4, 7.998));
    }
}
