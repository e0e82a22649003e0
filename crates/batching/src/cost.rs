// SPDX-License-Identifier: Apache-2.0
//! What runs of one kind take by their size, learned as they happen, and what follows from that.
//!
//! The size is the bytes of the inputs or the rows, as whoever has the model chooses. The times stand in a table by powers of
//! two and not in a line `a + b n`: matrix kernels have steps, and a few rows can take longer for each than one alone.

use std::time::Duration;

use crate::back_off::BackOff;
use crate::ewma::Ewma;
use crate::settings::CostSettings;

const SETTINGS: CostSettings = CostSettings::DEFAULT;

/// Powers of two that are told apart.
const CLASSES: usize = 40;

/// Times by size, and whether a run is trusted to be short.
#[derive(Debug)]
pub struct CostModel {
    /// Seconds for each unit of size in runs of 2^(i-1) + 1 to 2^i units.
    by_size: [Ewma; CLASSES],
    /// Keeps runs off the lanes after one that took long there. Its steps are runs.
    off_lanes: BackOff,
}

impl Default for CostModel {
    fn default() -> Self {
        CostModel::new()
    }
}

impl CostModel {
    pub const fn new() -> Self {
        CostModel { by_size: [const { Ewma::new() }; CLASSES], off_lanes: BackOff::new() }
    }

    /// Takes a run into account.
    pub fn record(&self, size: usize, took: Duration) {
        self.by_size[class(size)].add(took.as_secs_f64() / size.max(1) as f64);
    }

    /// Takes a run on a lane into account; gives whether it was a surprise, after which runs are kept off the lanes for a while.
    pub fn record_inline(&self, size: usize, took: Duration) -> bool {
        self.record(size, took);
        let surprises = took > SETTINGS.surprise;
        if surprises {
            self.off_lanes.fail(SETTINGS.back_off_runs);
        }
        surprises
    }

    /// Takes a run on an execution thread into account.
    pub fn record_on_thread(&self, size: usize, took: Duration) {
        self.record(size, took);
        self.off_lanes.step();
    }

    /// What a run of this size takes; `None` if none of about its size was measured, or if runs surprised lately.
    pub fn estimate(&self, size: usize) -> Option<Duration> {
        if self.off_lanes.is_on() { None } else { self.measured(class(size), size) }
    }

    /// Whether a run of this size may happen on the lane that read its request, on which other requests wait or not.
    pub fn is_inline(&self, size: usize, others_wait: bool) -> bool {
        let limit = if others_wait { SETTINGS.inline_always } else { SETTINGS.inline_alone };
        self.estimate(size).is_some_and(|time| time < limit)
    }

    /// What a batch takes; by the nearest smaller size if it was never measured.
    pub fn batch(&self, rows: usize) -> Option<Duration> {
        (0..=class(rows)).rev().find_map(|class| self.measured(class, rows))
    }

    /// The most rows, at most `rows`, whose batch is known to end in time; at least one.
    pub fn rows_within(&self, rows: usize, limit: Duration) -> usize {
        let fits = |rows: &usize| self.batch(*rows).is_none_or(|time| time <= limit);
        std::iter::successors(Some(rows), |rows| Some(rows / 2)).take_while(|&rows| rows > 1).find(fits).unwrap_or(1)
    }

    /// How long a batch of this number of rows may wait until it has them.
    pub fn linger(&self, rows: usize) -> Option<Duration> {
        self.batch(rows).map(|time| time.mul_f64(SETTINGS.linger).min(SETTINGS.longest_linger))
    }

    /// The time of a row by the rows of a run, for those sizes that were measured.
    pub fn table(&self) -> Vec<(usize, Duration)> {
        let measured = |class: usize| Some((1 << class, self.by_size[class].mean_time()?));
        (0..CLASSES).filter_map(measured).collect()
    }

    fn measured(&self, class: usize, size: usize) -> Option<Duration> {
        Some(Duration::from_secs_f64(self.by_size[class].mean()? * size.max(1) as f64))
    }
}

fn class(size: usize) -> usize {
    let power = size.max(1).checked_next_power_of_two();
    power.map_or(CLASSES - 1, |power| (power.trailing_zeros() as usize).min(CLASSES - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    fn about(time: Option<Duration>, micros: f64) -> bool {
        time.is_some_and(|time| (time.as_secs_f64() * 1e6 - micros).abs() < 0.01)
    }

    /// The small perceptron's times: small batches lose, large ones gain.
    fn perceptron() -> CostModel {
        let cost = CostModel::default();
        for (rows, took) in [(1, 17), (8, 126), (32, 194), (64, 252), (128, 425)] {
            cost.record(rows, micros(took));
        }
        cost
    }

    #[test]
    fn sizes_of_batches_are_bounded_by_time() {
        let cost = perceptron();
        assert_eq!(cost.rows_within(128, micros(1000)), 128);
        assert_eq!(cost.rows_within(128, micros(300)), 64);
        assert_eq!(cost.rows_within(128, micros(1)), 1);
        assert_eq!(CostModel::default().rows_within(128, micros(1)), 128);
        assert!(about(cost.batch(64), 252.0) && about(cost.batch(16), 252.0));
    }

    #[test]
    fn batches_linger_for_a_part_of_their_time() {
        assert!(about(perceptron().linger(64), 126.0));
        assert_eq!(perceptron().linger(1 << 20), Some(SETTINGS.longest_linger));
        assert_eq!(CostModel::default().linger(64), None);
    }

    #[test]
    fn sizes_are_learned_apart() {
        let cost = CostModel::new();
        cost.record(10, micros(5));
        assert!(about(cost.estimate(12), 6.0));
        assert_eq!((cost.estimate(1000), cost.estimate(4)), (None, None));
        assert_eq!(cost.estimate(usize::MAX), None);
        cost.record(0, micros(3));
        assert!(about(cost.estimate(1), 3.0));
    }

    #[test]
    fn one_slow_run_counts_little_and_a_few_count_fully() {
        let cost = CostModel::new();
        cost.record(10, micros(8));
        cost.record(10, micros(5000));
        assert!(cost.is_inline(10, true));
        (0..5).for_each(|_| cost.record(10, micros(5000)));
        assert!(!cost.is_inline(10, false));
    }

    #[test]
    fn longer_runs_are_inline_on_an_idle_lane_only() {
        let cost = CostModel::new();
        cost.record(10, micros(100));
        assert!(cost.is_inline(10, false) && !cost.is_inline(10, true));
        assert!(!cost.is_inline(1000, false), "no run of this size was seen");
    }

    #[test]
    fn after_a_surprise_runs_are_kept_off_the_lanes_for_a_while() {
        let cost = CostModel::new();
        cost.record(10, micros(5));
        assert!(!cost.record_inline(10, micros(5)));
        for failures in 0..2 {
            assert!(cost.record_inline(10, 2 * SETTINGS.surprise));
            (1..SETTINGS.back_off_runs << failures).for_each(|_| cost.record_on_thread(10, micros(5)));
            assert_eq!(cost.estimate(10), None);
            cost.record_on_thread(10, micros(5));
            assert!(cost.is_inline(10, true));
        }
    }
}
