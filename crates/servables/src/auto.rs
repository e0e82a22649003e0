// SPDX-License-Identifier: Apache-2.0
//! Batching that sizes itself: whether runs of one kind are merged, how many rows at once, and how many batches at once.
//!
//! The ways to run are tried against each other, see [`Tuner`]; the first is each request on its own. A request that is
//! alone always is run that way. There are no timers: a batch is what has come while its turn was on the way, and it
//! grows while the others run.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tensorserve_batching::tuner::Report;
use tensorserve_batching::{BatchCost, Tuner};

use crate::execution::Company;
use crate::{Code, Result, ServingError};

/// Requests that are run on their own are reported once for so many rows.
const REPORTED_ROWS: u64 = 16;

/// Inputs of a batch, in bytes.
const MAX_BATCH_BYTES: usize = 64 << 20;

/// What runs of one kind have shown so far, and how they are run now.
#[derive(Debug)]
pub(crate) struct Auto {
    /// For each way, how many batches may run at once; none are made in the first.
    ways: Vec<usize>,
    way: AtomicUsize,
    /// Threads there are in all.
    threads: usize,
    in_hand: AtomicUsize,
    done: AtomicU64,
    tuner: Mutex<Tuner>,
    pub(crate) cost: BatchCost,
    /// Within which time answers shall be given.
    objective: Option<Duration>,
}

/// Rows that are counted as in hand until this is dropped.
pub(crate) struct InHand<'a> {
    count: &'a AtomicUsize,
    rows: usize,
    /// Whether they are to be run in a batch.
    pub(crate) together: bool,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(self.rows, Ordering::Relaxed);
    }
}

impl Auto {
    /// `threads` can run at once. With an `objective` batches stay small enough for it.
    pub(crate) fn new(threads: usize, objective: Option<Duration>) -> Self {
        let doubled = std::iter::successors(Some(1), |at_once| Some(at_once * 2));
        let mut ways: Vec<usize> = std::iter::once(0).chain(doubled.take_while(|&at_once| at_once < threads)).collect();
        ways.push(threads.max(1));
        let tuner = Mutex::new(Tuner::new(ways.len()));
        let (way, in_hand, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicU64::new(0));
        Auto { ways, way, threads, in_hand, done, tuner, cost: BatchCost::default(), objective }
    }

    /// Takes a request in. UNAVAILABLE if it cannot be answered within the objective: that is a matter of load, which
    /// another server or a later moment may not have.
    pub(crate) fn enter(&self, rows: usize, company: Company) -> Result<InHand<'_>> {
        let before = self.in_hand.fetch_add(rows, Ordering::Relaxed);
        let alone = before == 0 && company == Company::Alone;
        let together = !alone && self.at_once() > 0;
        let in_hand = InHand { count: &self.in_hand, rows, together };
        match self.objective {
            Some(objective) if before > 0 => self.check_objective(before, rows, objective).map(|()| in_hand),
            _ => Ok(in_hand),
        }
    }

    fn check_objective(&self, waiting: usize, rows: usize, objective: Duration) -> Result<()> {
        let Some((_, row)) = self.cost.table().into_iter().min_by_key(|(_, row)| *row) else { return Ok(()) };
        let at_once = if self.at_once() == 0 { self.threads } else { self.at_once() };
        let wait = row * waiting as u32 / at_once as u32;
        let time = wait + self.cost.estimate(rows).unwrap_or_default();
        if time <= objective {
            return Ok(());
        }
        Err(ServingError::new(
            Code::Unavailable,
            format!(
                "{waiting} rows are in hand, which makes about {} ms for this request; the latency objective is {} ms. \
                 Try again later or elsewhere.",
                time.as_millis(),
                objective.as_millis()
            ),
        ))
    }

    /// How many batches may run at once; 0 if none are to be made.
    pub(crate) fn at_once(&self) -> usize {
        self.ways[self.way.load(Ordering::Relaxed)]
    }

    /// How many rows to run together, of `waiting` with inputs of `row_bytes` each while `running` are under way.
    pub(crate) fn batch_rows(&self, waiting: usize, running: usize, row_bytes: usize) -> usize {
        // An even share for each of the batches that may run at once.
        let share = (waiting + running).div_ceil(self.at_once().max(1)).min(waiting);
        let rows = share.clamp(1, (MAX_BATCH_BYTES / row_bytes.max(1)).max(1));
        let rows = self.objective.map_or(rows, |objective| self.cost.rows_within(rows, objective / 2));
        self.cost.best_rows(rows)
    }

    /// Takes into account that a request was run on its own.
    pub(crate) fn ran_alone(&self, rows: usize, company: Company) {
        let before = self.done.fetch_add(rows as u64, Ordering::Relaxed);
        let now = before + rows as u64;
        if before / REPORTED_ROWS != now / REPORTED_ROWS {
            // Those that wait for the thread that read this one are not counted yet.
            let unseen = usize::from(company == Company::Others);
            self.report(now, self.in_hand.load(Ordering::Relaxed) + unseen);
        }
    }

    /// Takes a batch into account.
    pub(crate) fn ran_together(&self, rows: usize) {
        let now = self.done.fetch_add(rows as u64, Ordering::Relaxed) + rows as u64;
        self.report(now, self.in_hand.load(Ordering::Relaxed));
    }

    fn report(&self, rows: u64, in_hand: usize) {
        // Whoever comes while another reports is counted by the next.
        if let Ok(mut tuner) = self.tuner.try_lock() {
            let way = tuner.report(Report { now: Instant::now(), rows, in_hand });
            self.way.store(way, Ordering::Relaxed);
        }
    }

    /// For each way, how many batches it runs at once and what it did in rows a second, if it was tried; and which is
    /// the best.
    pub(crate) fn findings(&self) -> (Vec<(usize, Option<f64>)>, usize) {
        let tuner = self.tuner.lock().unwrap_or_else(PoisonError::into_inner);
        let ways = self.ways.iter().enumerate().map(|(number, &at_once)| (at_once, tuner.rate(number))).collect();
        (ways, tuner.best())
    }
}
