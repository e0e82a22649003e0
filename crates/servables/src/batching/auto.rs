// SPDX-License-Identifier: Apache-2.0
//! Batching that sizes itself: whether runs of one kind are merged, how many rows at once, and how many batches at once.
//!
//! The [`Tuner`] finds the best [`Strategy`] by experiment; this carries it out. A request that is alone always runs on its
//! own. A batch is what has arrived when its turn comes, and it grows while others run; or it lingers for its share of the
//! rows in flight.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tensorserve_batching::window::Report;
use tensorserve_batching::{CostModel, CostSettings, Decision, Strategy, Tuner, TunerSettings};

use crate::execution::executor::LaneLoad;
use crate::execution::run_profile::RunProfile;
use crate::{Code, Result, ServingError};

/// Inputs of a batch, in bytes.
const MAX_BATCH_BYTES: usize = 64 << 20;

/// What experiments have shown of a strategy.
pub(crate) struct Finding {
    pub(crate) strategy: Strategy,
    /// Rows a second when it was measured lately.
    pub(crate) rate: Option<f64>,
    /// Between how many times the rows of the strategy in use it does.
    pub(crate) share_of_used: Option<RangeInclusive<f64>>,
}

/// What a batch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Linger {
    pub(crate) rows: usize,
    /// After the first of them has arrived.
    pub(crate) time: Duration,
}

/// What runs of one kind have shown so far, and how they are run now.
#[derive(Debug)]
pub(crate) struct Auto {
    strategies: Vec<Strategy>,
    /// The number of the strategy that runs follow now.
    current: AtomicUsize,
    /// Threads there are in all.
    threads: usize,
    in_flight: AtomicUsize,
    /// The most rows in flight lately.
    peak: AtomicUsize,
    done: AtomicU64,
    tuner: Mutex<Tuner>,
    /// Of runs, by their rows.
    profile: Arc<RunProfile>,
    /// Within which time answers shall be given.
    objective: Option<Duration>,
}

/// Rows that are counted as in flight until this is dropped.
pub(crate) struct InFlight<'a> {
    count: &'a AtomicUsize,
    rows: usize,
    /// Whether they are to be run in a batch.
    pub(crate) together: bool,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(self.rows, Ordering::Relaxed);
    }
}

impl Auto {
    /// Up to `most` batches, or `threads` requests on their own, can run at once. With an `objective` batches stay small
    /// enough for it.
    pub(crate) fn new(most: usize, threads: usize, objective: Option<Duration>, profile: Arc<RunProfile>) -> Self {
        let strategies = Strategy::all(most);
        let tuner = Mutex::new(Tuner::new(strategies.clone(), TunerSettings::DEFAULT));
        let [current, in_flight, peak] = [const { AtomicUsize::new(0) }; 3];
        let done = AtomicU64::new(0);
        Auto { strategies, current, threads, in_flight, peak, done, tuner, profile, objective }
    }

    /// One that keeps to this strategy while nothing is reported.
    #[cfg(test)]
    pub(crate) fn fixed(max_in_flight: usize, linger: bool, objective: Option<Duration>) -> Self {
        let profile = RunProfile::new(tensorserve_runtimes::RunTime::InputSizes);
        let auto = Auto::new(max_in_flight.max(4), 4, objective, Arc::new(profile));
        let strategy = Strategy { max_in_flight, linger };
        let number = auto.strategies.iter().position(|other| *other == strategy);
        auto.current.store(number.unwrap(), Ordering::Relaxed);
        auto
    }

    /// Takes a request in. UNAVAILABLE if it cannot be answered within the objective: that is a matter of load, which
    /// another server or a later moment may not have.
    pub(crate) fn enter(&self, rows: usize, load: LaneLoad) -> Result<InFlight<'_>> {
        let before = self.in_flight.fetch_add(rows, Ordering::Relaxed);
        if before + rows > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(before + rows, Ordering::Relaxed);
        }
        let alone = before == 0 && load == LaneLoad::Alone;
        let together = !alone && self.max_in_flight() > 0;
        let in_flight = InFlight { count: &self.in_flight, rows, together };
        match self.objective {
            Some(objective) if before > 0 => self.check_objective(before, rows, objective).map(|()| in_flight),
            _ => Ok(in_flight),
        }
    }

    fn check_objective(&self, waiting: usize, rows: usize, objective: Duration) -> Result<()> {
        let (at_once, batch) = match self.max_in_flight() {
            0 => (self.threads, 1),
            at_once => (at_once, self.bounded(waiting.div_ceil(at_once), 0)),
        };
        let Some(run) = self.cost().batch(batch) else { return Ok(()) };
        let runs = waiting.div_ceil(at_once * batch);
        let time = run * u32::try_from(runs).unwrap_or(u32::MAX) + self.cost().batch(rows).unwrap_or_default();
        if time <= objective {
            return Ok(());
        }
        Err(ServingError::new(
            Code::Unavailable,
            format!(
                "{waiting} rows are in flight, which makes about {} ms for this request; the latency objective is {} ms. \
                 Try again later or elsewhere.",
                time.as_millis(),
                objective.as_millis()
            ),
        ))
    }

    /// What runs take, by their rows.
    pub(crate) fn cost(&self) -> &CostModel {
        self.profile.cost()
    }

    /// The strategy that runs follow now.
    pub(crate) fn strategy(&self) -> Strategy {
        self.strategies[self.current.load(Ordering::Relaxed)]
    }

    /// How many batches may run at once; 0 if none are to be made.
    pub(crate) fn max_in_flight(&self) -> usize {
        self.strategy().max_in_flight
    }

    /// How many rows to run together, of `waiting` with inputs of `row_bytes` each while `running` are under way.
    pub(crate) fn batch_rows(&self, waiting: usize, running: usize, row_bytes: usize) -> usize {
        let Strategy { max_in_flight, linger } = self.strategy();
        let peak = self.peak();
        // Rows that do not come back are forgotten; those that come raise the peak again.
        self.peak.store(peak - peak.div_ceil(CostSettings::DEFAULT.samples as usize), Ordering::Relaxed);
        // An even share for each of the batches that may run at once.
        let rows = if linger { peak } else { waiting + running };
        self.bounded(rows.div_ceil(max_in_flight.max(1)).min(waiting), row_bytes)
    }

    fn bounded(&self, rows: usize, row_bytes: usize) -> usize {
        let rows = rows.clamp(1, (MAX_BATCH_BYTES / row_bytes.max(1)).max(1));
        let Some(objective) = self.objective else { return rows };
        // A request may wait for a batch that runs, for its own to linger, and for the run of that.
        self.cost().rows_within(rows, objective.div_f64(2.0 + CostSettings::DEFAULT.linger))
    }

    /// What the next batch waits for, if it does.
    pub(crate) fn linger(&self, row_bytes: usize) -> Option<Linger> {
        let Strategy { max_in_flight, linger: true } = self.strategy() else { return None };
        let rows = self.bounded(self.peak().div_ceil(max_in_flight), row_bytes);
        Some(Linger { rows, time: self.cost().linger(rows)? })
    }

    /// About how many rows are in flight when no answer is on its way.
    fn peak(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed).max(self.peak.load(Ordering::Relaxed))
    }

    /// Takes into account that a request was run on its own.
    pub(crate) fn ran_alone(&self, rows: usize, load: LaneLoad, now: Instant) -> Option<Decision> {
        let before = self.done.fetch_add(rows as u64, Ordering::Relaxed);
        let (done, reported) = (before + rows as u64, TunerSettings::DEFAULT.rows);
        if before / reported == done / reported {
            return None;
        }
        // Those that wait for the thread that read this one are not counted yet.
        let unseen = usize::from(load == LaneLoad::Others);
        self.report(done, self.in_flight.load(Ordering::Relaxed) + unseen, now)
    }

    /// Takes a batch into account.
    pub(crate) fn ran_together(&self, rows: usize, now: Instant) -> Option<Decision> {
        let done = self.done.fetch_add(rows as u64, Ordering::Relaxed) + rows as u64;
        self.report(done, self.in_flight.load(Ordering::Relaxed), now)
    }

    fn report(&self, rows: u64, in_flight: usize, now: Instant) -> Option<Decision> {
        // Whoever comes while another reports is counted by the next.
        let mut tuner = self.tuner.try_lock().ok()?;
        let decision = tuner.report(Report { now, rows, in_flight });
        self.current.store(tuner.current(), Ordering::Relaxed);
        decision
    }

    /// The strategy in use, whichever is tried now.
    pub(crate) fn used(&self) -> Strategy {
        let used = self.tuner.lock().unwrap_or_else(PoisonError::into_inner).used();
        self.strategies[used]
    }

    /// What is known of each strategy, and the number of the one in use.
    pub(crate) fn findings(&self) -> (Vec<Finding>, usize) {
        let tuner = self.tuner.lock().unwrap_or_else(PoisonError::into_inner);
        let finding = |(number, &strategy): (usize, &Strategy)| {
            let (rate, share_of_used) = (tuner.rate(number), tuner.share_of_used(number));
            Finding { strategy, rate, share_of_used }
        };
        (self.strategies.iter().enumerate().map(finding).collect(), tuner.used())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(max_in_flight: usize, linger: bool, objective: Option<Duration>) -> Auto {
        let auto = Auto::fixed(max_in_flight, linger, objective);
        for (rows, millis) in [(1, 1), (8, 4), (64, 16)] {
            auto.cost().record(rows, Duration::from_millis(millis));
        }
        auto
    }

    #[test]
    fn a_request_alone_is_never_batched() {
        let auto = learned(1, false, None);
        assert!(!auto.enter(1, LaneLoad::Alone).unwrap().together);
        let first = auto.enter(1, LaneLoad::Alone).unwrap();
        assert!(auto.enter(1, LaneLoad::Alone).unwrap().together);
        drop(first);
        assert!(auto.enter(1, LaneLoad::Others).unwrap().together);
        assert_eq!(auto.in_flight.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn batches_that_run_at_once_share_what_waits() {
        for (max_in_flight, rows) in [(1, 64), (2, 32), (4, 16)] {
            assert_eq!(learned(max_in_flight, false, None).batch_rows(64, 0, 4), rows);
        }
        let auto = learned(4, false, None);
        assert_eq!(auto.batch_rows(8, 120, 4), 8);
        assert_eq!(auto.batch_rows(64, 0, MAX_BATCH_BYTES / 3), 3);
    }

    #[test]
    fn those_who_were_just_answered_count_as_in_flight() {
        let auto = learned(2, true, None);
        let (running, _waiting) =
            (auto.enter(32, LaneLoad::Others).unwrap(), auto.enter(32, LaneLoad::Others).unwrap());
        drop(running);
        assert_eq!(auto.linger(4).map(|linger| linger.rows), Some(32));
        assert_eq!(auto.batch_rows(32, 0, 4), 32);
        // If they do not come back, they are forgotten, up to those who are there.
        assert!((0..50).all(|_| auto.batch_rows(32, 0, 4) >= 16));
        assert_eq!(auto.linger(4).map(|linger| linger.rows), Some(16));
    }

    #[test]
    fn a_batch_that_lingered_takes_its_share_of_the_rows_in_flight() {
        let auto = learned(2, true, None);
        let all = auto.enter(64, LaneLoad::Others).unwrap();
        // Two at once: when both have ended, half of the rows are on their way still.
        assert_eq!((auto.batch_rows(32, 0, 4), auto.batch_rows(40, 0, 4), auto.batch_rows(40, 32, 4)), (32, 32, 32));
        drop(all);
    }

    #[test]
    fn a_batch_may_linger_for_a_part_of_its_time() {
        let auto = learned(1, false, None);
        let all = auto.enter(64, LaneLoad::Others).unwrap();
        assert_eq!(auto.linger(4), None);
        drop(all);
        let auto = learned(1, true, None);
        let all = auto.enter(64, LaneLoad::Others).unwrap();
        assert_eq!(auto.linger(4), Some(Linger { rows: 64, time: Duration::from_millis(8) }));
        drop(all);
    }

    #[test]
    fn with_an_objective_two_runs_and_the_linger_between_them_fit_it() {
        let auto = learned(1, true, Some(Duration::from_millis(11)));
        let few = auto.enter(16, LaneLoad::Others).unwrap();
        assert_eq!(auto.linger(4), Some(Linger { rows: 8, time: Duration::from_millis(2) }));
        drop(few);
    }

    #[test]
    fn the_objective_bounds_batches_and_refuses_what_cannot_be_in_time() {
        let auto = learned(1, false, Some(Duration::from_millis(11)));
        assert_eq!(auto.batch_rows(64, 0, 4), 8);
        // Two batches of 8.
        let first = auto.enter(16, LaneLoad::Others).unwrap();
        assert!(auto.enter(1, LaneLoad::Others).is_ok());
        let second = auto.enter(14, LaneLoad::Others).map(|_| ()).unwrap_err();
        assert_eq!(second.code, Code::Unavailable);
        assert!(second.message.starts_with("16 rows are in flight"), "{second}");
        drop(first);
        assert_eq!(auto.in_flight.load(Ordering::Relaxed), 0);
    }
}
