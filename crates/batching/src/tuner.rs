// SPDX-License-Identifier: Apache-2.0
//! Finds by trial which way of running gives the most rows a second, and keeps to it.
//!
//! A way is tried against the one in use in short windows that take turns, so that both see the same load, machine and
//! neighbours. What all trials of a way have shown counts, older ones less. The way that may gain the most, as far as is
//! known, is tried next; one that surely gains nothing is not. So trials of what is about as good go on, which costs
//! little, and trials of what is bad are rare. The measure is rows done by time, with everything that a way costs in it:
//! merging, hand-over, waiting clients. While the load is below what the way in use can do, no other does more rows, and
//! nothing changes.
//!
//! Pure: it is told the time and counts.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use crate::baseline::{Baseline, Load};
use crate::evidence::{Evidence, Noise};

/// A window is at least this long, and long enough for this number of reports of work done.
const WINDOW: Duration = Duration::from_millis(25);
const REPORTS: u32 = 4;
/// Of work that takes long, fewer reports are enough after this: there would be too few windows.
const LONG_WINDOW: Duration = Duration::from_millis(100);
const FEW_REPORTS: u32 = 2;
const ROWS: u64 = 16;

/// If nothing is done for so long, and for several times longer than usual, there was nothing to do. A window with such a
/// lull in it says nothing.
const LULL: Duration = Duration::from_millis(5);
const LULL_TIMES: u32 = 6;

/// A window that gets no further in this time says that there is little to do.
const IDLE: Duration = Duration::from_secs(20);

/// A way that surely does no more than this times what the one in use does is not tried.
const WORTH_A_TRIAL: f64 = 1.02;
/// One that surely does so much more is taken.
const WORTH_A_CHANGE: f64 = 1.01;
/// The first way, which is the simplest, counts as doing so much more than it does.
const PREFERENCE: f64 = 1.03;
/// A way that does so little is given up in the middle of its trial.
const HOPELESS: f64 = 0.5;
/// After a drift of the load findings count for no more than this number of pairs: ways that came close are put to the test again.
const DOUBTED_PAIRS: f64 = 2.0;
/// Rows in flight, on average, from which on it matters how they are run.
const BUSY_ROWS: f64 = 1.5;

/// The fewest and the most windows of a trial, of the new way and the one in use in turns.
const FEWEST_WINDOWS: u64 = 4;
const MOST_WINDOWS: u64 = 6;

/// After a trial there is none for as many windows as it took, times the number of trials by this, but no more than so
/// many times.
const DENSE_TRIALS: u64 = 10;
const LONGEST_REST: u64 = 20;

/// What happened since the start, as of a moment at which work was done.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    pub now: Instant,
    /// Rows done since the start.
    pub rows: u64,
    /// Rows in flight now.
    pub in_flight: usize,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    start: Instant,
    rows: u64,
    reports: u32,
    in_flight: f64,
    /// Rows that were begun in another way and have to be done first.
    unsettled: u64,
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    way: usize,
    /// Windows so far.
    windows: u64,
    /// The rate in the first window of the pair that is not complete.
    first: f64,
}

impl Trial {
    /// Whether the window to come is of the new way: new, old, old, new and so on.
    fn tries_new(&self) -> bool {
        matches!(self.windows % 4, 0 | 3)
    }
}

#[derive(Clone, Debug)]
struct Way {
    /// Rows a second when it was measured lately.
    rate: Option<f64>,
    /// Rows a second that it cannot exceed.
    ceiling: f64,
    /// Of what it does against the way in use.
    evidence: Evidence,
}

/// Chooses one of several ways, numbered from 0; begins with 0.
#[derive(Debug)]
pub struct Tuner {
    ways: Vec<Way>,
    best: usize,
    trial: Option<Trial>,
    window: Option<Window>,
    /// When work was last done, and how long it usually takes until more is.
    last: Option<Instant>,
    spacing: Duration,
    /// Windows in which there was something to do. Everything ages by them: after a night without requests not everything is
    /// to be tried at once.
    windows: u64,
    noise: Noise,
    /// Trials since the load changed, and when the next one may begin.
    trials: u64,
    next_trial: u64,
    /// The load that the evidence is of.
    baseline: Option<Baseline>,
}

impl Tuner {
    pub fn new(ways: usize) -> Self {
        let way = Way { rate: None, ceiling: f64::INFINITY, evidence: Evidence::default() };
        Tuner {
            ways: vec![way; ways.max(1)],
            best: 0,
            trial: None,
            window: None,
            last: None,
            spacing: Duration::ZERO,
            windows: 0,
            noise: Noise::default(),
            trials: 0,
            next_trial: 0,
            baseline: None,
        }
    }

    /// The way in which work is to be run now.
    pub fn way(&self) -> usize {
        match self.trial {
            Some(trial) if trial.tries_new() => trial.way,
            _ => self.best,
        }
    }

    /// The way that did most, whatever is tried now.
    pub fn best(&self) -> usize {
        self.best
    }

    /// Says how many rows a second a way can do at most. It is not tried while the one in use does more.
    pub fn set_ceiling(&mut self, way: usize, rows_a_second: f64) {
        if let Some(way) = self.ways.get_mut(way) {
            way.ceiling = rows_a_second;
        }
    }

    /// Rows a second of a way when it was last measured.
    pub fn rate(&self, way: usize) -> Option<f64> {
        self.ways.get(way)?.rate
    }

    /// Between how many times what the best way does this one does by what is known, in rows.
    pub fn share_of_best(&self, way: usize) -> Option<RangeInclusive<f64>> {
        let evidence = self.ways.get(way)?.evidence;
        let most = evidence.most(self.windows, self.noise).exp();
        most.is_finite().then(|| evidence.least(self.windows, self.noise).exp()..=most)
    }

    /// Takes work into account that was done; gives the way for what comes.
    pub fn report(&mut self, report: Report) -> usize {
        let before = self.way();
        let after_lull = self.is_after_lull(report.now);
        let Some(window) = self.window.as_mut().filter(|_| !after_lull) else {
            self.open_window(report, 0);
            return before;
        };
        window.reports += 1;
        window.in_flight += report.in_flight as f64;
        if window.unsettled > 0 {
            if report.rows.saturating_sub(window.rows) >= window.unsettled {
                self.open_window(report, 0);
            }
            return before;
        }
        let window = *window;
        // Who counted first may report last.
        let rows = report.rows.saturating_sub(window.rows);
        let elapsed = report.now.saturating_duration_since(window.start);
        let rate = rows as f64 / elapsed.as_secs_f64().max(1e-9);
        if elapsed > IDLE {
            self.rest(report);
        } else if is_long_enough(elapsed, window.reports, rows) || self.is_hopeless(elapsed, rate) {
            let in_flight = window.in_flight / f64::from(window.reports);
            self.close_window(report, rate, in_flight);
        }
        self.way()
    }

    fn is_after_lull(&mut self, now: Instant) -> bool {
        let last = self.last.replace(now).unwrap_or(now);
        let (gap, lull) = (now.saturating_duration_since(last), LULL.max(self.spacing * LULL_TIMES));
        self.spacing = self.spacing - self.spacing / 4 + gap.min(lull) / 4;
        gap > lull
    }

    fn open_window(&mut self, report: Report, unsettled: u64) {
        let Report { now, rows, .. } = report;
        self.window = Some(Window { start: now, rows, reports: 0, in_flight: 0.0, unsettled });
    }

    /// Whether the way on trial has shown enough already.
    fn is_hopeless(&self, elapsed: Duration, rate: f64) -> bool {
        let Some(trial) = self.trial else { return false };
        let reports = self.window.map_or(0, |window| window.reports);
        let usual = self.ways[self.best].rate.unwrap_or(0.0);
        trial.tries_new() && elapsed > WINDOW / 2 && reports >= REPORTS && rate < HOPELESS / 2.0 * usual
    }

    /// Nothing much to do. What was the best stays so until a load shows something else.
    fn rest(&mut self, report: Report) {
        self.trial = None;
        self.open_window(report, 0);
    }

    fn close_window(&mut self, report: Report, rate: f64, in_flight: f64) {
        let before = self.way();
        self.windows += 1;
        let lately = self.ways[before].rate.get_or_insert(rate);
        *lately += (rate - *lately) / 4.0;
        match self.trial.take() {
            Some(trial) => self.go_on(trial, rate),
            None => self.after_rest(rate, in_flight),
        }
        let unsettled = if self.way() == before { 0 } else { report.in_flight as u64 };
        self.open_window(report, unsettled);
    }

    fn go_on(&mut self, before: Trial, rate: f64) {
        let usual = self.ways[self.best].rate.unwrap_or(0.0);
        let trial = Trial { windows: before.windows + 1, ..before };
        if before.tries_new() && rate < HOPELESS * usual {
            self.learn(trial.way, rate / usual);
            self.end(trial);
        } else if trial.windows % 2 == 1 {
            self.trial = Some(Trial { first: rate, ..trial });
        } else {
            let ratio = rate / trial.first;
            self.learn(trial.way, if before.tries_new() { ratio } else { 1.0 / ratio });
            self.judge(trial);
        }
    }

    fn judge(&mut self, trial: Trial) {
        let (evidence, bonus) = (self.ways[trial.way].evidence, self.bonus(trial.way));
        let pays = evidence.least(self.windows, self.noise) + bonus > WORTH_A_CHANGE.ln();
        let may_pay = evidence.most(self.windows, self.noise) + bonus > WORTH_A_TRIAL.ln();
        if trial.windows < FEWEST_WINDOWS || !pays && may_pay && trial.windows < MOST_WINDOWS {
            self.trial = Some(trial);
            return;
        }
        if pays {
            self.change(trial.way);
        }
        self.end(trial);
    }

    fn end(&mut self, Trial { windows, .. }: Trial) {
        self.trials += 1;
        self.next_trial = self.windows + (windows * self.trials / DENSE_TRIALS).min(windows * LONGEST_REST);
    }

    /// What counts for a way besides what it gains on the one in use.
    fn bonus(&self, way: usize) -> f64 {
        match (way, self.best) {
            (0, _) => PREFERENCE.ln(),
            (_, 0) => -PREFERENCE.ln(),
            _ => 0.0,
        }
    }

    fn learn(&mut self, way: usize, ratio: f64) {
        self.ways[way].evidence.learn(ratio, self.windows, &mut self.noise);
    }

    /// Takes another way; all evidence is against that one from now on.
    fn change(&mut self, way: usize) {
        let (before, now) = (std::mem::replace(&mut self.best, way), self.windows);
        let gained = self.ways[way].evidence;
        self.ways.iter_mut().for_each(|way| way.evidence = way.evidence.against(&gained, now));
        self.ways[before].evidence = gained.reversed();
        self.ways[way].evidence = Evidence::default();
        self.baseline = None;
    }

    fn after_rest(&mut self, rate: f64, in_flight: f64) {
        let now = self.windows;
        self.follow(rate);
        if in_flight >= BUSY_ROWS && now >= self.next_trial {
            let next = self.most_promising(rate);
            self.trial = next.map(|way| Trial { way, windows: 0, first: 0.0 });
        }
    }

    /// Takes into account what the way in use did in a window; doubts what is known if that is another load.
    fn follow(&mut self, rate: f64) {
        let now = self.windows;
        let load = self.baseline.get_or_insert_with(|| Baseline::new(rate, now)).follow(rate, now);
        let doubted: fn(&Evidence) -> Evidence = match load {
            Load::Same => return,
            Load::Drifted => |evidence| evidence.doubted(DOUBTED_PAIRS),
            Load::Other => |_| Evidence::default(),
        };
        (self.trials, self.next_trial) = (0, now);
        self.ways.iter_mut().for_each(|way| way.evidence = doubted(&way.evidence));
    }

    /// The way that may gain the most on the one in use, which does `rate` rows a second.
    fn most_promising(&self, rate: f64) -> Option<usize> {
        let others = self.ways.iter().enumerate().filter(|&(number, way)| number != self.best && way.ceiling > rate);
        let promises =
            others.map(|(number, way)| (number, way.evidence.most(self.windows, self.noise) + self.bonus(number)));
        let worth_it = promises.filter(|&(_, gain)| gain > WORTH_A_TRIAL.ln());
        // The first of those that were never tried.
        worth_it.rev().max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(number, _)| number)
    }
}

fn is_long_enough(elapsed: Duration, reports: u32, rows: u64) -> bool {
    let least = if elapsed >= LONG_WINDOW { FEW_REPORTS } else { REPORTS };
    elapsed >= WINDOW && reports >= least && rows >= ROWS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients that keep `in_flight` rows waiting; each way does a row in its own time, give or take the noise.
    struct Simulation {
        tuner: Tuner,
        now: Instant,
        rows: u64,
        time_by_way: [Duration; 3],
        noise: f64,
        chance: u64,
    }

    impl Simulation {
        fn new(micros: [u64; 3]) -> Self {
            let time_by_way = micros.map(Duration::from_micros);
            let (tuner, now) = (Tuner::new(3), Instant::now());
            Simulation { tuner, now, rows: 0, time_by_way, noise: 0.0, chance: 0x9e37_79b9 }
        }

        fn run(&mut self, time: Duration, in_flight: usize) {
            let end = self.now + time;
            while self.now < end {
                self.rows += 8;
                self.chance ^= self.chance << 13;
                self.chance ^= self.chance >> 7;
                self.chance ^= self.chance << 17;
                let noise = 1.0 + self.noise * (self.chance % 2001) as f64 / 1000.0 - self.noise;
                self.now += (8 * self.time_by_way[self.tuner.way()]).mul_f64(noise);
                self.tuner.report(Report { now: self.now, rows: self.rows, in_flight });
            }
        }
    }

    #[test]
    fn the_way_that_does_most_is_found_soon() {
        for (micros, best) in [([100, 20, 50], 1), ([100, 120, 50], 2), ([10, 20, 50], 0), ([100, 99, 101], 0)] {
            let mut simulation = Simulation::new(micros);
            simulation.run(Duration::from_secs(2), 64);
            assert_eq!(simulation.tuner.best(), best, "{micros:?}");
            for (way, time) in micros.into_iter().enumerate().filter(|&(way, _)| way != best) {
                let share = simulation.tuner.share_of_best(way).unwrap();
                let exact = (micros[best] as f64 / time as f64).max(0.61);
                assert!((0.9 * share.start()..1.1 * share.end()).contains(&exact), "{micros:?} {way} {share:?}");
            }
            assert_eq!(simulation.tuner.share_of_best(best), None);
        }
    }

    #[test]
    fn the_first_way_is_kept_among_about_equals() {
        for micros in [[100, 99, 98], [100, 100, 105]] {
            let mut simulation = Simulation { noise: 0.3, ..Simulation::new(micros) };
            for _ in 0..60 {
                simulation.run(Duration::from_secs(1), 64);
                assert_eq!(simulation.tuner.best(), 0, "{micros:?}");
            }
        }
    }

    #[test]
    fn trials_that_do_not_pay_cost_little() {
        let mut simulation = Simulation::new([10, 100, 40]);
        simulation.run(Duration::from_secs(3), 64);
        let rows = simulation.rows;
        simulation.run(Duration::from_secs(60), 64);
        let share = (simulation.rows - rows) as f64 / 6_000_000.0;
        assert!(share > 0.99, "{share} of what the best way does");
    }

    #[test]
    fn noise_leads_nobody_astray_for_long() {
        let mut simulation = Simulation { noise: 0.9, ..Simulation::new([100, 92, 110]) };
        simulation.run(Duration::from_secs(10), 64);
        let rows = simulation.rows;
        simulation.run(Duration::from_secs(60), 64);
        let share = (simulation.rows - rows) as f64 / (60e6 / 92.0);
        assert!(share > 0.98, "{share} of what the best way does");
    }

    #[test]
    fn after_a_lull_not_everything_is_tried_anew() {
        let mut simulation = Simulation::new([10, 20, 20]);
        simulation.run(Duration::from_secs(20), 64);
        let rows = simulation.rows;
        for _ in 0..20 {
            simulation.now += Duration::from_secs(15);
            simulation.run(Duration::from_millis(200), 64);
        }
        let share = (simulation.rows - rows) as f64 / 400_000.0;
        assert!(share > 0.97, "{share} of what the best way does");
    }

    #[test]
    fn lulls_between_bursts_mislead_nobody() {
        for (micros, best) in [([10, 20, 30], 0), ([30, 12, 20], 1)] {
            let mut simulation = Simulation::new(micros);
            for burst in 0..400 {
                simulation.run(Duration::from_millis(60 + burst % 7), 64);
                simulation.now += Duration::from_millis(100);
            }
            assert_eq!(simulation.tuner.best(), best, "{micros:?}");
            let rates: Vec<_> = (0..3).filter_map(|way| simulation.tuner.rate(way)).collect();
            assert!(rates.iter().all(|&rate| rate > 25_000.0), "{rates:?}");
        }
    }

    #[test]
    fn a_report_that_comes_late_is_not_a_rate() {
        let (start, mut tuner) = (Instant::now(), Tuner::new(2));
        tuner.report(Report { now: start, rows: 116, in_flight: 1 });
        for late in 1..=5 {
            tuner.report(Report { now: start + late * WINDOW, rows: 100, in_flight: 1 });
        }
        assert!(tuner.rate(0).is_none_or(|rate| rate < 1e6), "{:?}", tuner.rate(0));
    }

    #[test]
    fn a_request_alone_tries_nothing() {
        let mut simulation = Simulation::new([100, 10, 10]);
        for _ in 0..10_000 {
            simulation.run(Duration::from_millis(1), 1);
            assert_eq!(simulation.tuner.way(), 0);
        }
    }

    #[test]
    fn a_way_that_cannot_do_more_is_not_tried() {
        let mut simulation = Simulation::new([1000, 20, 50]);
        simulation.run(Duration::from_secs(1), 64);
        assert_eq!(simulation.tuner.best(), 1);
        simulation.tuner.set_ceiling(0, 1000.0);
        simulation.tuner.ways.iter_mut().for_each(|way| (way.rate, way.evidence) = (None, Evidence::default()));
        simulation.run(Duration::from_secs(60), 64);
        assert_eq!((simulation.tuner.rate(0), simulation.tuner.rate(2).is_some()), (None, true));
    }

    #[test]
    fn what_was_best_stays_so_over_a_pause() {
        let mut simulation = Simulation::new([100, 20, 50]);
        simulation.run(Duration::from_secs(1), 64);
        simulation.now += 2 * IDLE;
        simulation.run(Duration::from_millis(10), 64);
        assert_eq!(simulation.tuner.way(), 1);
    }

    #[test]
    fn what_comes_close_is_tried_again_under_a_load_that_is_a_little_different() {
        let mut simulation = Simulation { noise: 0.2, ..Simulation::new([100, 30, 34]) };
        simulation.run(Duration::from_secs(60), 64);
        assert_eq!(simulation.tuner.best(), 1);
        simulation.time_by_way = [100, 40, 34].map(Duration::from_micros);
        simulation.run(Duration::from_secs(8), 64);
        assert_eq!(simulation.tuner.best(), 2);
        let rate = simulation.tuner.rate(0).unwrap();
        simulation.run(Duration::from_secs(8), 64);
        assert_eq!(simulation.tuner.rate(0), Some(rate), "what is far off is not tried again");
    }

    #[test]
    fn what_pays_under_another_load_is_found_again() {
        let mut simulation = Simulation::new([10, 30, 30]);
        simulation.run(Duration::from_secs(20), 64);
        assert_eq!(simulation.tuner.best(), 0);
        simulation.time_by_way = [100, 30, 15].map(Duration::from_micros);
        simulation.run(Duration::from_secs(3), 64);
        assert_eq!(simulation.tuner.best(), 2);
    }
}
