// SPDX-License-Identifier: Apache-2.0
//! What is known of runs of one kind before the next one: what its time follows from, and what those before it took.

use std::time::Duration;

use tensorserve_batching::{CostModel, CostSettings};
use tensorserve_runtimes::{InterOp, RunOptions, RunTime};

/// A run whose deadline leaves it this many times its usual time need not be interrupted.
const TIMES_EXPECTED: u32 = 4;

/// Runs of one kind, by the size that the owner of this chooses: bytes of their inputs, or rows.
#[derive(Debug)]
pub struct RunProfile {
    run_time: RunTime,
    cost: CostModel,
}

impl RunProfile {
    /// No run is known yet.
    pub const fn new(run_time: RunTime) -> Self {
        RunProfile { run_time, cost: CostModel::new() }
    }

    /// What the time of a run follows from.
    pub(crate) fn run_time(&self) -> RunTime {
        self.run_time
    }

    /// What the runs took.
    pub fn cost(&self) -> &CostModel {
        &self.cost
    }

    /// What a run of this size is expected to take; `None` if it may be anything.
    pub(crate) fn estimate(&self, size: usize) -> Option<Duration> {
        if self.run_time > RunTime::AllocatesByValue { None } else { self.cost.estimate(size) }
    }

    /// Whether a run of this size may happen on the lane that read its request, where others wait or not: it is short, and
    /// cannot ask for more memory than those before.
    pub(crate) fn is_inline(&self, size: usize, others_wait: bool) -> bool {
        self.run_time == RunTime::InputSizes && self.cost.is_inline(size, others_wait)
    }

    /// The options of a run on a thread of its own.
    pub(crate) fn options(&self, size: usize, timeout: Option<Duration>, inter_op_threading: InterOp) -> RunOptions {
        run_options(self.run_time, self.estimate(size), timeout, inter_op_threading)
    }
}

/// The options of a run on a thread of its own. `estimate`: as [`inter_op_for`].
pub(crate) fn run_options(
    run_time: RunTime,
    estimate: Option<Duration>,
    timeout: Option<Duration>,
    inter_op_threading: InterOp,
) -> RunOptions {
    if run_time == RunTime::Blocks {
        // It would hold a thread of the pool that all models share.
        return RunOptions { timeout, inter_op: InterOp::Caller };
    }
    let inter_op = inter_op_for(estimate, timeout, inter_op_threading);
    RunOptions { timeout: timeout.filter(|_| inter_op == InterOp::Pool), inter_op }
}

/// The engine's threads for a run that is expected to take this time, if that is known: the pool costs more than a short run
/// can gain. A run that may have to be interrupted needs it.
fn inter_op_for(estimate: Option<Duration>, timeout: Option<Duration>, inter_op_threading: InterOp) -> InterOp {
    match estimate {
        None => InterOp::Pool,
        Some(time) if time < CostSettings::DEFAULT.inline_alone => InterOp::Caller,
        Some(time) if timeout.is_some_and(|left| left < TIMES_EXPECTED * time) => InterOp::Pool,
        Some(_) => inter_op_threading,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICRO: Duration = Duration::from_micros(1);

    #[test]
    fn what_may_take_any_time_or_memory_is_not_inline() {
        for (run_time, is_estimated, is_inline) in [
            (RunTime::InputSizes, true, true),
            (RunTime::AllocatesByValue, true, false),
            (RunTime::InputValues, false, false),
        ] {
            let profile = RunProfile::new(run_time);
            profile.cost().record(10, 5 * MICRO);
            assert_eq!(profile.estimate(10).is_some(), is_estimated, "{run_time:?}");
            assert_eq!(profile.is_inline(10, true), is_inline, "{run_time:?}");
        }
    }

    #[test]
    fn what_blocks_its_thread_blocks_none_of_the_pool() {
        let second = Some(Duration::from_secs(1));
        let options = run_options(RunTime::Blocks, None, second, InterOp::Pool);
        assert_eq!((options.inter_op, options.timeout), (InterOp::Caller, second));
        let options = run_options(RunTime::Waits, None, second, InterOp::Caller);
        assert_eq!((options.inter_op, options.timeout), (InterOp::Pool, second));
    }

    #[test]
    fn only_runs_that_end_in_time_keep_to_their_threads() {
        use InterOp::{Caller, Pool};
        let short = CostSettings::DEFAULT.inline_alone;
        let (long, limit) = (Some(2 * short), Some(2 * short * TIMES_EXPECTED));
        let of = |estimate, timeout| {
            [Caller, Pool].map(|inter_op_threading| inter_op_for(estimate, timeout, inter_op_threading))
        };
        assert_eq!(of(Some(short / 2), None), [Caller; 2]);
        assert_eq!((of(long, None), of(long, limit)), ([Caller, Pool], [Caller, Pool]));
        assert_eq!((of(long, limit.map(|limit| limit - MICRO)), of(None, limit)), ([Pool; 2], [Pool; 2]));
    }
}
