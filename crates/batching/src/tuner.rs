// SPDX-License-Identifier: Apache-2.0
//! Finds by experiment which strategy does the most rows a second, and keeps to it.
//!
//! A paired-comparison (dueling) bandit with change detection, for one strategy that is in use and others that challenge it:
//!
//! * At first each strategy is compared with the one in use, once: a sweep.
//! * Then only neighbours of the one in use are, see [`Strategy::is_neighbour`]: it climbs the hill.
//! * An [`Experiment`](crate::experiment) runs the two in turns. A candidate that is better is used from then on. One that is
//!   not backs off exponentially, so that experiments that do not pay get rare, and none is given up for ever.
//! * When the strategy in use does much more or less than it did at an experiment, and by more than the loser lacked, there is
//!   another load: the loser's back-off ends and what the experiment showed is forgotten.
//!
//! The measure is rows done by time, with everything that a strategy costs: merging, hand-over, waiting clients. While the
//! load is below what the strategy in use can do, no other does more rows, and nothing changes. Time is counted in windows in
//! which there was something to do, so that a night without requests brings no new experiments.
//!
//! Pure: it is told the time and counts.

use std::ops::RangeInclusive;

use crate::back_off::BackOff;
use crate::ewma::Ewma;
use crate::experiment::{Experiment, Gains, Verdict};
use crate::settings::TunerSettings;
use crate::strategy::Strategy;
use crate::window::{Measured, Meter, Report};

/// What the tuner has decided, and the evidence.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// An experiment has ended. If the candidate is better, it is in use now.
    Compared {
        candidate: Strategy,
        used: Strategy,
        verdict: Verdict,
        /// Between how many times the rows of the strategy in use the candidate does.
        ratio: RangeInclusive<f64>,
        /// Pairs of windows that this rests on.
        pairs: u32,
    },
    /// The strategy in use does this number of rows a second, and did the other one when neighbours lost against it: they are
    /// to be compared anew.
    LoadChanged { before: f64, now: f64 },
}

/// A strategy and what is known of it.
#[derive(Debug)]
struct Arm {
    strategy: Strategy,
    /// Rows a second, lately.
    rate: Ewma,
    /// Gains on the strategy in use.
    gains: Gains,
    /// Of the last experiment; `None` if there was none.
    verdict: Option<Verdict>,
    /// What the strategy in use did then, in rows a second.
    used_rate: f64,
    /// After experiments that it lost. Its steps are windows.
    back_off: BackOff,
}

/// Chooses one of several strategies; begins with the first.
#[derive(Debug)]
pub struct Tuner {
    settings: TunerSettings,
    arms: Vec<Arm>,
    /// The number of the strategy in use.
    used: usize,
    experiment: Option<Experiment>,
    meter: Meter,
}

impl Tuner {
    pub fn new(strategies: Vec<Strategy>, settings: TunerSettings) -> Self {
        let arm = |strategy| {
            let (gains, back_off) = (Gains::default(), BackOff::new());
            Arm { strategy, rate: Ewma::new(), gains, verdict: None, used_rate: 0.0, back_off }
        };
        let arms = strategies.into_iter().map(arm).collect();
        Tuner { settings, arms, used: 0, experiment: None, meter: Meter::default() }
    }

    /// The number of the strategy by which work is to be run now.
    pub fn current(&self) -> usize {
        let candidate = self.experiment.filter(Experiment::tries_candidate).map(|experiment| experiment.candidate);
        candidate.unwrap_or(self.used)
    }

    /// The number of the strategy in use, whichever is tried now.
    pub fn used(&self) -> usize {
        self.used
    }

    pub fn strategies(&self) -> impl Iterator<Item = Strategy> {
        self.arms.iter().map(|arm| arm.strategy)
    }

    /// Rows a second of a strategy when it was measured lately.
    pub fn rate(&self, number: usize) -> Option<f64> {
        self.arms.get(number)?.rate.mean()
    }

    /// Between how many times the rows of the strategy in use another one does, as far as is known.
    pub fn share_of_used(&self, number: usize) -> Option<RangeInclusive<f64>> {
        self.arms.get(number)?.gains.ratios(&self.settings)
    }

    /// Takes in work that was done.
    pub fn report(&mut self, report: Report) -> Option<Decision> {
        let before = self.current();
        // One for each batch in flight, so that no window begins and ends with the same one of them.
        let fewest = self.arms[before].strategy.max_in_flight.max(2);
        let Measured { rate, busy } = self.meter.report(report, fewest as u32, &self.settings)?;
        self.arms[before].rate.add(rate);
        let decision = if busy { self.busy_window(rate) } else { self.idle_window() };
        if self.current() != before {
            self.meter.settle(report.in_flight);
        }
        decision
    }

    /// There was little to do, which says nothing of any strategy.
    fn idle_window(&mut self) -> Option<Decision> {
        self.experiment = None;
        None
    }

    fn busy_window(&mut self, rate: f64) -> Option<Decision> {
        self.arms.iter().for_each(|arm| arm.back_off.step());
        let Some(mut experiment) = self.experiment.take() else { return self.resting_window() };
        let verdict = experiment.window(rate, &self.settings);
        let decision = match verdict {
            None => {
                self.experiment = Some(experiment);
                return None;
            }
            Some(verdict) => self.conclude(experiment, verdict),
        };
        self.begin_experiment();
        Some(decision)
    }

    /// Nothing was compared. Looks for a change of the load, and begins the next experiment when one is due.
    fn resting_window(&mut self) -> Option<Decision> {
        let now = self.arms[self.used].rate.mean()?;
        let mut changed = None;
        for number in self.neighbours() {
            let arm = &mut self.arms[number];
            let factor = (now / arm.used_rate).max(arm.used_rate / now);
            // What another load takes from one strategy it can give to another: about as much.
            let may_win = arm.gains.ratios(&self.settings).is_none_or(|ratios| ratios.end() * factor > 1.0);
            if arm.back_off.is_on() && factor > self.settings.change && may_win {
                arm.back_off.reset();
                arm.gains = Gains::default();
                changed = Some(Decision::LoadChanged { before: arm.used_rate, now });
            }
        }
        self.begin_experiment();
        changed
    }

    /// The numbers of the neighbours of the strategy in use.
    fn neighbours(&self) -> Vec<usize> {
        let used = self.arms[self.used].strategy;
        let most = self.arms.iter().map(|arm| arm.strategy.max_in_flight).max().unwrap_or(0);
        (0..self.arms.len()).filter(|&number| used.is_neighbour(self.arms[number].strategy, most)).collect()
    }

    /// Begins with the first strategy that was never compared, or else with the first neighbour whose back-off has ended.
    fn begin_experiment(&mut self) {
        let untried = (0..self.arms.len()).find(|&number| number != self.used && self.arms[number].verdict.is_none());
        let due = || self.neighbours().into_iter().find(|&number| !self.arms[number].back_off.is_on());
        let Some(candidate) = untried.or_else(due) else { return };
        let used = self.arms[self.used].strategy;
        let arm = &self.arms[candidate];
        // An unclear experiment is continued; any other one is done anew, since what it showed may not be so any more.
        let gains = if arm.verdict == Some(Verdict::Unclear) { arm.gains } else { Gains::default() };
        self.experiment = Some(Experiment::new(candidate, bound(arm.strategy, used, &self.settings), gains));
    }

    fn conclude(&mut self, experiment: Experiment, verdict: Verdict) -> Decision {
        let Experiment { candidate, gains, windows, .. } = experiment;
        let used = self.used;
        let decision = Decision::Compared {
            candidate: self.arms[candidate].strategy,
            used: self.arms[used].strategy,
            verdict,
            ratio: gains.ratios(&self.settings).unwrap_or(0.0..=f64::INFINITY),
            pairs: gains.pairs(),
        };
        let loser = if verdict == Verdict::Better { used } else { candidate };
        // A round of experiments with all others is no longer than the first back-off. Whoever lost by more than a change of the
        // load can make up for does so twice: a trial of it costs much.
        let is_far = verdict == Verdict::Worse && gains.mean() < -self.settings.change.ln();
        for _ in 0..1 + u32::from(is_far) {
            self.arms[loser].back_off.fail(windows * self.arms.len() as u32);
        }
        self.arms[candidate].verdict = Some(verdict);
        self.arms[candidate].gains = gains;
        self.arms[candidate].used_rate = self.arms[used].rate.mean().unwrap_or(0.0);
        if verdict == Verdict::Better {
            let others = self.arms.iter_mut().enumerate().filter(|&(number, _)| number != candidate);
            others.for_each(|(_, arm)| arm.gains = arm.gains.shifted(-gains.mean()));
            self.arms[used].gains = gains.reversed();
            self.arms[used].verdict = Some(Verdict::Worse);
            self.arms[candidate].gains = Gains::default();
            // What it did under earlier loads does not count, and the verdicts are as of now.
            self.arms[candidate].rate = Ewma::new();
            self.arms[candidate].rate.add(experiment.candidate_rate);
            self.arms.iter_mut().for_each(|arm| arm.used_rate = experiment.candidate_rate);
            self.used = candidate;
        }
        decision
    }
}

/// The gain that a candidate has to have: batches have to be worth it.
fn bound(candidate: Strategy, used: Strategy, settings: &TunerSettings) -> f64 {
    match (candidate == Strategy::UNBATCHED, used == Strategy::UNBATCHED) {
        (true, false) => -settings.margin,
        (false, true) => settings.margin,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const SETTINGS: TunerSettings = TunerSettings::DEFAULT;

    /// Clients that keep `in_flight` rows waiting; each strategy does a row in its own time, give or take the noise.
    struct Simulation {
        tuner: Tuner,
        now: Instant,
        rows: u64,
        time_by_strategy: Vec<Duration>,
        noise: f64,
        chance: u64,
        decisions: Vec<Decision>,
    }

    impl Simulation {
        /// Strategies with up to this number of batches in flight, and the microseconds of a row with each.
        fn new<const N: usize>(most: usize, micros: [u64; N]) -> Self {
            let strategies = Strategy::all(most);
            assert_eq!(strategies.len(), N);
            let time_by_strategy = micros.map(Duration::from_micros).to_vec();
            let (tuner, now, decisions) = (Tuner::new(strategies, SETTINGS), Instant::now(), Vec::new());
            Simulation { tuner, now, rows: 0, time_by_strategy, noise: 0.0, chance: 0x9e37_79b9, decisions }
        }

        fn run(&mut self, time: Duration, in_flight: usize) {
            let end = self.now + time;
            while self.now < end {
                self.rows += 8;
                self.chance ^= self.chance << 13;
                self.chance ^= self.chance >> 7;
                self.chance ^= self.chance << 17;
                let noise = 1.0 + self.noise * (self.chance % 2001) as f64 / 1000.0 - self.noise;
                self.now += (8 * self.time_by_strategy[self.tuner.current()]).mul_f64(noise);
                self.decisions.extend(self.tuner.report(Report { now: self.now, rows: self.rows, in_flight }));
            }
        }

        /// The part of the rows that a strategy does in this time.
        fn share_of(&mut self, strategy: usize, time: Duration) -> f64 {
            let before = self.rows;
            self.run(time, 64);
            (self.rows - before) as f64 * self.time_by_strategy[strategy].as_secs_f64() / time.as_secs_f64()
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_best_strategy_is_found_soon() {
        for (micros, best) in [([100, 20, 50], 1), ([100, 120, 50], 2), ([10, 20, 50], 0), ([100, 99, 101], 0)] {
            let mut simulation = Simulation::new(1, micros);
            simulation.run(seconds(2), 64);
            assert_eq!(simulation.tuner.used(), best, "{micros:?}");
            for (number, time) in micros.into_iter().enumerate().filter(|&(number, _)| number != best) {
                let share = simulation.tuner.share_of_used(number).unwrap();
                let exact = (micros[best] as f64 / time as f64).max(0.37);
                assert!((0.9 * share.start()..1.1 * share.end()).contains(&exact), "{micros:?} {number} {share:?}");
            }
            assert_eq!(simulation.tuner.share_of_used(best), None);
        }
    }

    #[test]
    fn it_climbs_from_neighbour_to_neighbour_when_the_load_changes() {
        // By batches in flight: 0, 1, 1 with linger, 2, 2 with linger and so on.
        let mut simulation = Simulation::new(16, [50, 20, 21, 30, 31, 40, 41, 50, 51, 60, 61]);
        simulation.run(seconds(20), 64);
        assert_eq!(simulation.tuner.used(), 1);
        simulation.time_by_strategy = [90, 80, 81, 60, 61, 50, 51, 30, 40, 50, 51].map(Duration::from_micros).to_vec();
        simulation.run(seconds(10), 64);
        assert_eq!(simulation.tuner.used(), 7, "{:?}", simulation.decisions);
        assert!(simulation.decisions.iter().any(|decision| matches!(decision, Decision::LoadChanged { .. })));
    }

    #[test]
    fn none_is_preferred_to_batches_that_do_about_the_same() {
        for micros in [[100, 99, 98], [100, 100, 105]] {
            let mut simulation = Simulation { noise: 0.3, ..Simulation::new(1, micros) };
            simulation.run(seconds(2), 64);
            let share = simulation.share_of(0, seconds(60));
            assert!(share > 0.97, "{micros:?} {share}");
        }
        let mut simulation = Simulation::new(1, [100, 90, 120]);
        simulation.run(seconds(2), 64);
        assert_eq!(simulation.tuner.used(), 1);
        simulation.time_by_strategy[0] = Duration::from_micros(89);
        simulation.run(seconds(20), 64);
        assert_eq!(simulation.tuner.used(), 0);
    }

    #[test]
    fn experiments_that_do_not_pay_cost_little() {
        let mut simulation = Simulation::new(1, [10, 100, 40]);
        simulation.run(seconds(3), 64);
        let share = simulation.share_of(0, seconds(60));
        assert!(share > 0.98, "{share} of what the best strategy does");
        let share = simulation.share_of(0, seconds(60));
        assert!(share > 0.995, "{share} of what the best strategy does");
    }

    #[test]
    fn no_strategy_starves() {
        for noise in [0.0, 0.3] {
            let mut simulation = Simulation {
                noise,
                ..Simulation::new(32, [1000, 500, 800, 800, 440, 500, 800, 1200, 180, 1200, 1200, 1200, 1200])
            };
            simulation.run(seconds(60), 64);
            let candidates = |decisions: &[Decision]| -> Vec<Strategy> {
                let candidate = |decision: &Decision| match decision {
                    Decision::Compared { candidate, .. } => Some(*candidate),
                    Decision::LoadChanged { .. } => None,
                };
                decisions.iter().filter_map(candidate).collect()
            };
            let compared = candidates(&simulation.decisions);
            assert!(simulation.tuner.strategies().skip(1).all(|strategy| compared.contains(&strategy)), "{compared:?}");
            // Each neighbour is tried again in each time that is five times as long as that before.
            for part in [240, 1200, 6000] {
                simulation.decisions.clear();
                let used = simulation.tuner.strategies().nth(simulation.tuner.used()).unwrap();
                simulation.run(seconds(part), 64);
                let compared = candidates(&simulation.decisions);
                let neighbours = simulation.tuner.strategies().filter(|other| used.is_neighbour(*other, 32));
                neighbours.for_each(|other| assert!(compared.contains(&other), "{other:?} in {part} s: {compared:?}"));
            }
        }
    }

    #[test]
    fn noise_leads_nobody_astray_for_long() {
        let mut simulation = Simulation { noise: 0.9, ..Simulation::new(1, [100, 85, 110]) };
        simulation.run(seconds(20), 64);
        let share = simulation.share_of(1, seconds(60));
        assert!(share > 0.96, "{share} of what the best strategy does");
    }

    #[test]
    fn after_a_lull_not_everything_is_tried_anew() {
        let mut simulation = Simulation::new(1, [10, 20, 20]);
        simulation.run(seconds(20), 64);
        let rows = simulation.rows;
        for _ in 0..20 {
            simulation.now += seconds(15);
            simulation.run(Duration::from_millis(200), 64);
        }
        let share = (simulation.rows - rows) as f64 / 400_000.0;
        assert!(share > 0.97, "{share} of what the best strategy does");
    }

    #[test]
    fn lulls_between_bursts_mislead_nobody() {
        for (micros, best) in [([10, 20, 30], 0), ([30, 12, 20], 1)] {
            let mut simulation = Simulation::new(1, micros);
            for burst in 0..400 {
                simulation.run(Duration::from_millis(60 + burst % 7), 64);
                simulation.now += Duration::from_millis(100);
            }
            assert_eq!(simulation.tuner.used(), best, "{micros:?}");
            let rates: Vec<_> = (0..3).filter_map(|number| simulation.tuner.rate(number)).collect();
            assert!(rates.iter().all(|&rate| rate > 25_000.0), "{rates:?}");
        }
    }

    #[test]
    fn a_request_alone_tries_nothing() {
        let mut simulation = Simulation::new(1, [100, 10, 10]);
        for _ in 0..10_000 {
            simulation.run(Duration::from_millis(1), 1);
            assert_eq!(simulation.tuner.current(), 0);
        }
        assert_eq!(simulation.decisions, []);
    }

    #[test]
    fn what_was_best_stays_so_over_a_pause() {
        let mut simulation = Simulation::new(1, [100, 20, 50]);
        simulation.run(seconds(2), 64);
        simulation.now += seconds(3600);
        simulation.run(Duration::from_millis(10), 64);
        assert_eq!(simulation.tuner.current(), 1);
    }

    #[test]
    fn what_pays_under_another_load_is_found_again() {
        for (before, after, best) in [([10, 30, 30], [100, 30, 15], 2), ([100, 30, 34], [100, 60, 34], 2)] {
            let mut simulation = Simulation { noise: 0.2, ..Simulation::new(1, before) };
            simulation.run(seconds(60), 64);
            simulation.time_by_strategy = after.map(Duration::from_micros).to_vec();
            simulation.run(seconds(3), 64);
            assert_eq!(simulation.tuner.used(), best, "{before:?}");
        }
    }
}
