// SPDX-License-Identifier: Apache-2.0
//! A comparison of two strategies by pairs of windows side by side.
//!
//! The windows are those of the candidate (A) and of the strategy in use (B) in the order A B B A, so that both see the same
//! load, machine and neighbours, and a drift favours neither. Gains are natural logarithms of the ratio of rates, so that they
//! add up: the gain of C on A is that of C on B and that of B on A.

use std::ops::RangeInclusive;

use crate::settings::{CostSettings, TunerSettings};

/// What an experiment says of the candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Better,
    Worse,
    Unclear,
}

/// The gains of the candidate in pairs of windows: their number, mean and spread.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gains {
    pairs: u32,
    mean: f64,
    /// The sum of squared differences from the mean.
    squares: f64,
}

impl Gains {
    /// Takes in a pair in which the candidate did `ratio` times the rows. None counts for more than a factor of e: a machine
    /// that stood still for a while says nothing of the strategies.
    pub(crate) fn add(&mut self, ratio: f64) {
        let gain = ratio.max(f64::MIN_POSITIVE).ln().clamp(-1.0, 1.0);
        self.pairs += 1;
        let before = gain - self.mean;
        self.mean += before / f64::from(self.pairs);
        self.squares += before * (gain - self.mean);
    }

    pub(crate) fn mean(&self) -> f64 {
        self.mean
    }

    pub(crate) fn pairs(&self) -> u32 {
        self.pairs
    }

    /// The lowest and the highest gain that the pairs allow for; all from no pairs.
    fn bounds(&self, settings: &TunerSettings) -> (f64, f64) {
        if self.pairs < 2 {
            return (f64::NEG_INFINITY, f64::INFINITY);
        }
        let pairs = f64::from(self.pairs);
        let spread = (self.squares / (pairs - 1.0)).sqrt().max(settings.margin);
        let error = settings.doubt * spread / pairs.sqrt();
        (self.mean - error, self.mean + error)
    }

    /// The same as ratios; `None` if nothing is known.
    pub(crate) fn ratios(&self, settings: &TunerSettings) -> Option<RangeInclusive<f64>> {
        let (least, most) = self.bounds(settings);
        most.is_finite().then(|| least.exp()..=most.exp())
    }

    /// The same against a third strategy, on which the one in use gains `gain`.
    pub(crate) fn shifted(self, gain: f64) -> Gains {
        Gains { mean: self.mean + gain, ..self }
    }

    /// The gains of the other one.
    pub(crate) fn reversed(self) -> Gains {
        Gains { mean: -self.mean, ..self }
    }

    /// Whether the gain is above or below `bound`; `None` if that cannot be said yet.
    fn verdict(&self, bound: f64, settings: &TunerSettings) -> Option<Verdict> {
        match self.bounds(settings) {
            (least, _) if least > bound => Some(Verdict::Better),
            (_, most) if most < bound => Some(Verdict::Worse),
            _ => None,
        }
    }
}

/// An experiment that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Experiment {
    /// The number of the candidate.
    pub(crate) candidate: usize,
    /// The gain that the candidate has to have.
    bound: f64,
    pub(crate) gains: Gains,
    /// Windows so far.
    pub(crate) windows: u32,
    /// The rate in the last window of the candidate.
    pub(crate) candidate_rate: f64,
    /// The rate in the first window of the pair that is not complete.
    first: f64,
}

impl Experiment {
    /// Goes on from the gains that an unclear experiment left.
    pub(crate) fn new(candidate: usize, bound: f64, gains: Gains) -> Self {
        Experiment { candidate, bound, gains, windows: 0, candidate_rate: 0.0, first: 0.0 }
    }

    /// Whether the next window is one of the candidate.
    pub(crate) fn tries_candidate(&self) -> bool {
        matches!(self.windows % 4, 0 | 3)
    }

    /// Takes in the rate of a window; says what follows once something does.
    pub(crate) fn window(&mut self, rate: f64, settings: &TunerSettings) -> Option<Verdict> {
        let of_candidate = self.tries_candidate();
        if of_candidate {
            self.candidate_rate = rate;
        }
        self.windows += 1;
        if self.windows % 2 == 1 {
            self.first = rate;
            return None;
        }
        self.gains.add(if of_candidate { rate / self.first } else { self.first / rate });
        if !self.windows.is_multiple_of(4) {
            return None;
        }
        let is_last = self.windows >= CostSettings::DEFAULT.samples;
        self.gains.verdict(self.bound, settings).or(is_last.then_some(Verdict::Unclear))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: TunerSettings = TunerSettings::DEFAULT;

    /// The verdict of an experiment, and its windows. The machine gets slower by 1 % with each window.
    fn verdict(candidate: f64, bound: f64, noise: f64) -> (Verdict, u32) {
        let mut experiment = Experiment::new(1, bound, Gains::default());
        for window in 0.. {
            let rate = if experiment.tries_candidate() { candidate } else { 100.0 };
            let noise = if window % 2 == 0 { 1.0 + noise } else { 1.0 - noise };
            if let Some(verdict) = experiment.window(rate * noise * 0.99_f64.powi(window), &SETTINGS) {
                return (verdict, experiment.windows);
            }
        }
        unreachable!()
    }

    #[test]
    fn clear_differences_take_two_pairs() {
        assert_eq!(verdict(120.0, 0.0, 0.0), (Verdict::Better, 4));
        assert_eq!(verdict(80.0, 0.0, 0.0), (Verdict::Worse, 4));
    }

    #[test]
    fn equals_stay_unclear_and_noise_needs_more_pairs() {
        assert_eq!(verdict(100.0, 0.0, 0.0), (Verdict::Unclear, CostSettings::DEFAULT.samples));
        assert_eq!(verdict(115.0, 0.0, 0.2), (Verdict::Unclear, CostSettings::DEFAULT.samples));
        assert_eq!(verdict(300.0, 0.0, 0.2).0, Verdict::Better);
    }

    #[test]
    fn the_bound_has_to_be_passed() {
        assert_ne!(verdict(104.0, SETTINGS.margin, 0.0).0, Verdict::Better);
        assert_eq!(verdict(100.0, -0.05, 0.0).0, Verdict::Better);
    }

    #[test]
    fn a_stall_decides_nothing() {
        let mut gains = Gains::default();
        for ratio in [1.05, 1.05, 1.05, 1e-9] {
            gains.add(ratio);
        }
        assert_eq!(gains.verdict(0.0, &SETTINGS), None);
        gains = Gains::default();
        [0.0, f64::INFINITY].into_iter().for_each(|ratio| gains.add(ratio));
        assert_eq!(gains.verdict(0.0, &SETTINGS), None);
        assert!(gains.ratios(&SETTINGS).is_some_and(|ratios| ratios.contains(&1.0)));
    }

    #[test]
    fn gains_add_up() {
        let mut gains = Gains::default();
        assert_eq!(gains.ratios(&SETTINGS), None);
        (0..4).for_each(|_| gains.add(1.2));
        let ratio = |gains: Gains| gains.mean().exp();
        assert!((ratio(gains.reversed()) - 1.0 / 1.2).abs() < 1e-9);
        assert!((ratio(gains.shifted(0.5_f64.ln())) - 0.6).abs() < 1e-9 && gains.pairs() == 4);
    }
}
