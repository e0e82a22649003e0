// SPDX-License-Identifier: Apache-2.0
//! Batching that sizes itself: whether runs of one kind are merged, how many rows at once, and how many batches at once.
//!
//! The ways to run are tried against each other, see [`Tuner`]; the first is each request on its own. A request that is
//! alone always is run that way. A batch is what has come while its turn was on the way, and it grows while the others run.
//! It may wait, for a part of the time that its run takes, for the rows that are in flight; or be held to a part of them, so
//! that the clients of one batch get their answers and come back while the next one runs.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tensorserve_batching::tuner::Report;
use tensorserve_batching::{BatchCost, Tuner};

use crate::execution::executor::LaneLoad;
use crate::{Code, Result, ServingError};

/// Requests that are run on their own are reported once for this number of rows, unless a row takes long.
const REPORTED_ROWS: u64 = 16;
const LONG_ROW: Duration = Duration::from_millis(1);

/// A batch that waits for the rest of the rows in flight does so for this part of the time that its run takes, within
/// bounds; from a long while on for a smaller part.
const LINGER: u32 = 2;
const LEAST_LINGER: Duration = Duration::from_micros(50);
const LONG_LINGER: Duration = Duration::from_millis(5);
const LONG_LINGER_PART: u32 = 4;
const MOST_LINGER: Duration = Duration::from_millis(50);

/// With each batch this part of the most rows that were in flight is forgotten; those that come raise it again.
const FORGOTTEN_PART: usize = 16;

/// Inputs of a batch, in bytes.
const MAX_BATCH_BYTES: usize = 64 << 20;

/// One way to run requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// Batches that may run at once; 0 if none are made.
    pub(crate) at_once: usize,
    /// A batch takes at most this part of the rows in flight.
    pub(crate) parts: usize,
    /// A batch waits, but not for long, until its share of the rows in flight has arrived.
    pub(crate) lingers: bool,
}

/// What trials have shown of a way.
pub(crate) struct Finding {
    pub(crate) way: Way,
    /// Rows a second when it was tried lately.
    pub(crate) rate: Option<f64>,
    /// Between how many times what the best way does at the same time this one does.
    pub(crate) share_of_best: Option<RangeInclusive<f64>>,
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
    ways: Vec<Way>,
    way: AtomicUsize,
    /// Threads there are in all.
    threads: usize,
    in_flight: AtomicUsize,
    /// The most rows in flight lately.
    peak: AtomicUsize,
    done: AtomicU64,
    tuner: Mutex<Tuner>,
    pub(crate) cost: BatchCost,
    /// Within which time answers shall be given.
    objective: Option<Duration>,
    /// What is batched, in the log.
    name: String,
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
    /// Up to `at_once` batches, or `threads` requests on their own, can run at once. With an `objective` batches stay small
    /// enough for it.
    pub(crate) fn new(at_once: usize, threads: usize, objective: Option<Duration>, name: String) -> Self {
        let ways = ways(at_once.max(1));
        let tuner = Mutex::new(Tuner::new(ways.len()));
        let [way, in_flight, peak] = [const { AtomicUsize::new(0) }; 3];
        let (done, cost) = (AtomicU64::new(0), BatchCost::default());
        Auto { ways, way, threads, in_flight, peak, done, tuner, cost, objective, name }
    }

    /// One that keeps to this way, up to four batches at once.
    #[cfg(test)]
    pub(crate) fn in_way(way: usize) -> Self {
        let auto = Auto::new(4, 4, None, String::new());
        auto.way.store(way, Ordering::Relaxed);
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
        let together = !alone && self.at_once() > 0;
        let in_flight = InFlight { count: &self.in_flight, rows, together };
        match self.objective {
            Some(objective) if before > 0 => self.check_objective(before, rows, objective).map(|()| in_flight),
            _ => Ok(in_flight),
        }
    }

    fn check_objective(&self, waiting: usize, rows: usize, objective: Duration) -> Result<()> {
        let (at_once, batch) = match self.at_once() {
            0 => (self.threads, 1),
            at_once => (at_once, self.bounded(waiting.div_ceil(at_once), 0)),
        };
        let Some(run) = self.cost.estimate(batch) else { return Ok(()) };
        let runs = waiting.div_ceil(at_once * batch);
        let time = run * u32::try_from(runs).unwrap_or(u32::MAX) + self.cost.estimate(rows).unwrap_or_default();
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

    fn way(&self) -> Way {
        self.ways[self.way.load(Ordering::Relaxed)]
    }

    /// How many batches may run at once; 0 if none are to be made.
    pub(crate) fn at_once(&self) -> usize {
        self.way().at_once
    }

    /// How many rows to run together, of `waiting` with inputs of `row_bytes` each while `running` are under way.
    pub(crate) fn batch_rows(&self, waiting: usize, running: usize, row_bytes: usize) -> usize {
        let Way { at_once, parts, lingers } = self.way();
        let peak = self.peak();
        self.peak.store(peak - peak.div_ceil(FORGOTTEN_PART), Ordering::Relaxed);
        // An even share for each of the batches that may run at once, of what is there or of what may be there soon.
        let of_some = lingers || parts > at_once;
        let share = if of_some { peak.div_ceil(parts) } else { (waiting + running).div_ceil(at_once.max(1)) };
        self.bounded(share.min(waiting), row_bytes)
    }

    fn bounded(&self, rows: usize, row_bytes: usize) -> usize {
        let rows = rows.clamp(1, (MAX_BATCH_BYTES / row_bytes.max(1)).max(1));
        self.objective.map_or(rows, |objective| self.cost.rows_within(rows, objective / 2))
    }

    /// Whether batches wait for rows.
    pub(crate) fn lingers(&self) -> bool {
        self.way().lingers
    }

    /// What the next batch waits for, if it does.
    pub(crate) fn linger(&self, row_bytes: usize) -> Option<Linger> {
        let Way { parts, lingers: true, .. } = self.way() else { return None };
        let rows = self.bounded(self.peak().div_ceil(parts), row_bytes);
        let most = self.objective.map_or(MOST_LINGER, |objective| MOST_LINGER.min(objective / 8));
        let run = self.cost.estimate(rows)?;
        let time = (run / LINGER).min(LONG_LINGER.max(run / LONG_LINGER_PART));
        let time = time.max(LEAST_LINGER).min(most);
        Some(Linger { rows, time })
    }

    /// About how many rows are in flight when no answer is on its way.
    fn peak(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed).max(self.peak.load(Ordering::Relaxed))
    }

    /// Takes into account that a request was run on its own.
    pub(crate) fn ran_alone(&self, rows: usize, load: LaneLoad) {
        let before = self.done.fetch_add(rows as u64, Ordering::Relaxed);
        let now = before + rows as u64;
        let is_long = self.cost.estimate(1).is_some_and(|row| row > LONG_ROW);
        if is_long || before / REPORTED_ROWS != now / REPORTED_ROWS {
            // Those that wait for the thread that read this one are not counted yet.
            let unseen = usize::from(load == LaneLoad::Others);
            self.report(now, self.in_flight.load(Ordering::Relaxed) + unseen);
        }
    }

    /// Takes a batch into account.
    pub(crate) fn ran_together(&self, rows: usize) {
        let now = self.done.fetch_add(rows as u64, Ordering::Relaxed) + rows as u64;
        self.report(now, self.in_flight.load(Ordering::Relaxed));
    }

    fn report(&self, rows: u64, in_flight: usize) {
        // Whoever comes while another reports is counted by the next.
        if let Ok(mut tuner) = self.tuner.try_lock() {
            if let Some(row) = self.cost.estimate(1) {
                tuner.set_ceiling(0, self.threads as f64 / row.as_secs_f64());
            }
            let before = tuner.best();
            let way = tuner.report(Report { now: Instant::now(), rows, in_flight });
            self.way.store(way, Ordering::Relaxed);
            let (best, gain) = (tuner.best(), tuner.share_of_best(before));
            if best != before {
                drop(tuner);
                self.log_change(self.ways[best], gain);
            }
        }
    }

    /// Says that another way is in use from now on, and the part of its rows that the one before was seen to do.
    #[cold]
    fn log_change(&self, Way { at_once, parts, lingers }: Way, before: Option<RangeInclusive<f64>>) {
        let evidence = before.map_or_else(String::new, |part| {
            format!("; the strategy before did {:.2} to {:.2} times as many rows", part.start(), part.end())
        });
        let lingering = if lingers { ", lingering" } else { "" };
        let strategy = match at_once {
            0 => "each request on its own".to_owned(),
            at_once => format!("{at_once} batches at once of 1/{parts} of the rows in flight{lingering}"),
        };
        tensorserve_log::info!("Batching of {}: {strategy}{evidence}", self.name);
    }

    /// What is known of each way, and which is the best.
    pub(crate) fn findings(&self) -> (Vec<Finding>, usize) {
        let tuner = self.tuner.lock().unwrap_or_else(PoisonError::into_inner);
        let finding = |(number, &way): (usize, &Way)| {
            let (rate, share_of_best) = (tuner.rate(number), tuner.share_of_best(number));
            Finding { way, rate, share_of_best }
        };
        (self.ways.iter().enumerate().map(finding).collect(), tuner.best())
    }
}

/// No batches; or one, two, four and so on at once, of all that waits, of all that is in flight, or of half of it. One at a
/// time may also be half of what is in flight and wait for that.
fn ways(most: usize) -> Vec<Way> {
    let way = |at_once, parts, lingers| Way { at_once, parts, lingers };
    let doubled = std::iter::successors(Some(1), |at_once| Some(at_once * 2)).take_while(|&at_once| at_once < most);
    let batches = doubled.chain([most]).flat_map(|at_once| {
        let usual = [way(at_once, at_once, false), way(at_once, at_once, true), way(at_once, 2 * at_once, false)];
        usual.into_iter().chain((at_once == 1).then_some(way(1, 2, true)))
    });
    std::iter::once(way(0, 1, false)).chain(batches).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(objective: Option<Duration>) -> Auto {
        let auto = Auto::new(4, 4, objective, String::new());
        for (rows, millis) in [(1, 1), (8, 4), (64, 16)] {
            auto.cost.record(rows, Duration::from_millis(millis));
        }
        auto
    }

    #[test]
    fn a_request_alone_is_never_batched() {
        let auto = learned(None);
        auto.way.store(1, Ordering::Relaxed);
        assert!(!auto.enter(1, LaneLoad::Alone).unwrap().together);
        let first = auto.enter(1, LaneLoad::Alone).unwrap();
        assert!(auto.enter(1, LaneLoad::Alone).unwrap().together);
        drop(first);
        assert!(auto.enter(1, LaneLoad::Others).unwrap().together);
        assert_eq!(auto.in_flight.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn batches_that_run_at_once_share_what_waits() {
        let auto = learned(None);
        let ways: Vec<_> = auto.ways.iter().map(|way| (way.at_once, way.parts, way.lingers)).collect();
        let [one, two, four] = [1, 2, 4].map(|n| [(n, n, false), (n, n, true), (n, 2 * n, false)]);
        assert_eq!(ways, [&[(0, 1, false)], &one[..], &[(1, 2, true)], &two, &four].concat());
        for (way, rows) in [(1, 64), (5, 32), (8, 16)] {
            auto.way.store(way, Ordering::Relaxed);
            assert_eq!(auto.batch_rows(64, 0, 4), rows);
        }
        assert_eq!(auto.batch_rows(8, 120, 4), 8);
        assert_eq!(auto.batch_rows(64, 0, MAX_BATCH_BYTES / 3), 3);
    }

    #[test]
    fn a_batch_may_be_a_part_of_the_rows_in_flight() {
        let auto = learned(None);
        auto.way.store(3, Ordering::Relaxed);
        let all = auto.enter(64, LaneLoad::Others).unwrap();
        assert_eq!(auto.batch_rows(48, 0, 4), 32);
        assert_eq!(auto.batch_rows(20, 0, 4), 20);
        drop(all);
        assert!((0..50).map(|_| auto.batch_rows(48, 0, 4)).all(|rows| rows >= 1));
        let few = auto.enter(8, LaneLoad::Others).unwrap();
        assert!((4..10).contains(&auto.batch_rows(48, 0, 4)));
        drop(few);
    }

    #[test]
    fn those_who_were_just_answered_count_as_in_flight() {
        let auto = learned(None);
        auto.way.store(4, Ordering::Relaxed);
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
        let auto = learned(None);
        auto.way.store(6, Ordering::Relaxed);
        let all = auto.enter(64, LaneLoad::Others).unwrap();
        // Two at once: when both have ended, half of the rows are on their way still.
        assert_eq!((auto.batch_rows(32, 0, 4), auto.batch_rows(40, 0, 4), auto.batch_rows(40, 32, 4)), (32, 32, 32));
        drop(all);
    }

    #[test]
    fn a_batch_may_linger_for_a_part_of_its_time() {
        let auto = learned(None);
        let all = auto.enter(64, LaneLoad::Others).unwrap();
        assert_eq!(auto.linger(4), None);
        auto.way.store(2, Ordering::Relaxed);
        assert_eq!(auto.linger(4), Some(Linger { rows: 64, time: LONG_LINGER }));
        auto.way.store(6, Ordering::Relaxed);
        assert_eq!(auto.linger(4).map(|linger| linger.rows), Some(32));
        (0..40).for_each(|_| auto.cost.record(32, Duration::from_millis(60)));
        assert!(auto.linger(4).is_some_and(|linger| linger.time > 2 * LONG_LINGER));
        drop(all);
        let auto = learned(Some(Duration::from_millis(10)));
        auto.way.store(2, Ordering::Relaxed);
        let few = auto.enter(16, LaneLoad::Others).unwrap();
        assert_eq!(auto.linger(4), Some(Linger { rows: 8, time: Duration::from_micros(1250) }));
        drop(few);
    }

    #[test]
    fn the_objective_bounds_batches_and_refuses_what_cannot_be_in_time() {
        let auto = learned(Some(Duration::from_millis(10)));
        auto.way.store(1, Ordering::Relaxed);
        assert_eq!(auto.batch_rows(64, 0, 4), 8);
        // Two batches of 8.
        let first = auto.enter(16, LaneLoad::Others).unwrap();
        assert!(auto.enter(1, LaneLoad::Others).is_ok());
        let second = auto.enter(10, LaneLoad::Others).map(|_| ()).unwrap_err();
        assert_eq!(second.code, Code::Unavailable);
        assert!(second.message.starts_with("16 rows are in flight"), "{second}");
        drop(first);
        assert_eq!(auto.in_flight.load(Ordering::Relaxed), 0);
    }
}
