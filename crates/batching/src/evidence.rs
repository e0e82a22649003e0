// SPDX-License-Identifier: Apache-2.0
//! How much more one way does than another, by pairs of measurements side by side.
//!
//! Gains are natural logarithms of ratios, so that they add up: what B gains on A, and C on B, is what C gains on A. Time is
//! counted in measurements, so that it suits slow models as well as fast ones.

/// After this number of measurements of anything evidence counts for half.
const HALF_LIFE: u64 = 1600;

/// A mean rests on no more pairs than this: loads change without a sign.
const MOST_PAIRS: f64 = 24.0;

/// One pair says no more than this: a machine that stood still for a while says nothing of the ways.
const MOST_GAIN: f64 = 0.5;

/// How many errors the truth may be above a mean of measurements, and below it. A way that is missed does more harm than
/// one that is taken too early, so they differ.
const DOUBT: f64 = 1.2;
const CAUTION: f64 = 0.5;
/// One of the pairs may be odd by so much more than the noise.
const ODD_PAIR: f64 = 0.2;

/// How much one pair differs from the next, as a variance of gains: at first, at least, and how fast it is learned.
const FIRST_VARIANCE: f64 = 0.06;
const LEAST_VARIANCE: f64 = 0.0004;
const LEARNING: f64 = 1.0 / 32.0;

/// How much measurements differ for no reason.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noise {
    variance: f64,
}

impl Default for Noise {
    fn default() -> Self {
        Noise { variance: FIRST_VARIANCE }
    }
}

impl Noise {
    fn learn(&mut self, square: f64) {
        self.variance = (self.variance + LEARNING * (square - self.variance)).max(LEAST_VARIANCE);
    }
}

/// The mean of what pairs of measurements showed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Evidence {
    gain: f64,
    /// Pairs that this rests on; older ones count less.
    pairs: f64,
    as_of: u64,
}

impl Evidence {
    /// Takes a pair into account; the new one did `ratio` times what the old one did.
    pub(crate) fn learn(&mut self, ratio: f64, now: u64, noise: &mut Noise) {
        let gain = ratio.max(f64::MIN_POSITIVE).ln().clamp(-MOST_GAIN, MOST_GAIN);
        let pairs = self.pairs_at(now);
        if pairs >= 1.0 {
            // The mean is off by some noise as well.
            noise.learn((gain - self.gain).powi(2) * pairs / (pairs + 1.0));
        }
        let pairs = pairs.min(MOST_PAIRS - 1.0);
        *self = Evidence { gain: (self.gain * pairs + gain) / (pairs + 1.0), pairs: pairs + 1.0, as_of: now };
    }

    /// What the gain may well be.
    pub(crate) fn most(&self, now: u64, noise: Noise) -> f64 {
        self.gain + DOUBT * self.error(now, noise)
    }

    /// What the gain probably is at least.
    pub(crate) fn least(&self, now: u64, noise: Noise) -> f64 {
        self.gain - CAUTION * self.error(now, noise)
    }

    fn error(&self, now: u64, noise: Noise) -> f64 {
        let pairs = self.pairs_at(now);
        (noise.variance / pairs).sqrt() + ODD_PAIR / pairs
    }

    /// What is known of a way against another, if `other` is known of that one.
    pub(crate) fn against(&self, other: &Evidence, now: u64) -> Evidence {
        let (pairs, others) = (self.pairs_at(now), other.pairs_at(now));
        let both = if pairs > 0.0 && others > 0.0 { 1.0 / (1.0 / pairs + 1.0 / others) } else { 0.0 };
        Evidence { gain: self.gain - other.gain, pairs: both, as_of: now }
    }

    /// The same, resting on `most_pairs` at most.
    pub(crate) fn doubted(&self, most_pairs: f64) -> Evidence {
        Evidence { pairs: self.pairs.min(most_pairs), ..*self }
    }

    /// What is known of the other way against this one.
    pub(crate) fn reversed(&self) -> Evidence {
        Evidence { gain: -self.gain, ..*self }
    }

    fn pairs_at(&self, now: u64) -> f64 {
        let age = now.saturating_sub(self.as_of) as f64;
        self.pairs * (-age / HALF_LIFE as f64).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1000;

    fn after(ratios: impl IntoIterator<Item = f64>) -> (Evidence, Noise) {
        let (mut evidence, mut noise) = (Evidence::default(), Noise::default());
        ratios.into_iter().for_each(|ratio| evidence.learn(ratio, NOW, &mut noise));
        (evidence, noise)
    }

    #[test]
    fn nothing_is_known_of_what_was_never_measured() {
        let (evidence, noise) = after([]);
        assert_eq!((evidence.least(NOW, noise), evidence.most(NOW, noise)), (f64::NEG_INFINITY, f64::INFINITY));
    }

    #[test]
    fn the_more_pairs_the_surer() {
        let (few, noise) = after([1.1; 2]);
        let (many, less_noise) = after([1.1; 200]);
        let gain = 1.1_f64.ln();
        assert!(few.least(NOW, noise) < 0.0 && few.most(NOW, noise) > 2.0 * gain, "{few:?}");
        assert!((0.8 * gain..gain).contains(&many.least(NOW, less_noise)), "{many:?} {less_noise:?}");
        assert!((gain..1.2 * gain).contains(&many.most(NOW, less_noise)), "{many:?} {less_noise:?}");
        assert!(less_noise.variance >= LEAST_VARIANCE);
    }

    #[test]
    fn what_differs_much_stays_doubtful() {
        let (evidence, noise) = after((0..60).map(|number| if number % 2 == 0 { 1.5 } else { 0.7 }));
        assert!((0.12..0.17).contains(&noise.variance), "{noise:?}");
        assert!(evidence.least(NOW, noise) < 0.0 && evidence.most(NOW, noise) > 0.0);
    }

    #[test]
    fn one_stall_decides_nothing() {
        for ratio in [0.0, 1e-9, f64::INFINITY] {
            let (evidence, noise) = after([[1.0; 10].as_slice(), &[ratio], &[1.0; 10]].concat());
            let (least, most) = (evidence.least(NOW, noise), evidence.most(NOW, noise));
            assert!(least.is_finite() && least < 0.0 && most > 0.0, "{ratio}: {least} {most}");
        }
    }

    #[test]
    fn old_evidence_counts_less() {
        let (evidence, noise) = after([0.7; 8]);
        assert!(evidence.most(NOW, noise) < 0.0);
        assert!(evidence.most(NOW + 20 * HALF_LIFE, noise) > 0.0);
        assert!((evidence.pairs_at(NOW + HALF_LIFE) - 4.0).abs() < 1e-9);
    }

    #[test]
    fn what_changes_without_a_sign_is_noticed() {
        let (evidence, noise) = after([[1.2; 500].as_slice(), &[0.8; 40]].concat());
        assert!(evidence.most(NOW, noise) < 0.0, "{evidence:?}");
    }

    #[test]
    fn gains_add_up() {
        let (first, _) = after([1.2; 4]);
        let (second, _) = after([0.9; 12]);
        let between = second.against(&first, NOW);
        assert!((between.gain - (0.9_f64 / 1.2).ln()).abs() < 1e-9 && (between.pairs - 3.0).abs() < 1e-9);
        assert!((first.reversed().gain + 1.2_f64.ln()).abs() < 1e-9);
        assert!(Evidence::default().against(&first, NOW).pairs == 0.0);
    }
}
