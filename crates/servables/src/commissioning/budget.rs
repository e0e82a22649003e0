// SPDX-License-Identifier: Apache-2.0
//! What the steps of commissioning may spend: a version that loads is not served yet.

use std::time::Duration;

use tensorserve_batching::CostSettings;

/// A shorter run gains nothing from further threads.
pub(crate) const SHORT_RUN: Duration = CostSettings::DEFAULT.inline_alone;

/// The runs of one step, which nobody asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProbeBudget {
    /// Rows of the runs that have more than one.
    pub(crate) rows: usize,
    /// The quickest of this number of runs of a size counts.
    pub(crate) runs: usize,
    /// No further run of a size begins after this.
    pub(crate) size: Duration,
    /// A run of one row that takes longer says enough: runs of many rows are not tried.
    pub(crate) slow: Duration,
    /// A run is interrupted after this, where the engine can.
    pub(crate) run: Duration,
    /// No further signature is tried after this.
    pub(crate) version: Duration,
}

impl ProbeBudget {
    /// Nothing interrupts its runs, as they keep to their thread: so only quick models are tried with many rows.
    pub(crate) const INTRA_OP: ProbeBudget =
        ProbeBudget { rows: 64, runs: 5, size: millis(50), slow: millis(20), run: Duration::MAX, version: secs(5) };

    /// More runs, since both kinds are of the same session and differ by a few percent.
    pub(crate) const INTER_OP: ProbeBudget =
        ProbeBudget { rows: 64, runs: 32, size: millis(200), slow: millis(100), run: secs(5), version: secs(5) };

    /// Three rows: the first, the last and one between them. Each runs once alone and once with the others.
    pub(crate) const BATCHABILITY: ProbeBudget =
        ProbeBudget { rows: 3, runs: 1, size: secs(10), slow: secs(10), run: secs(10), version: Duration::MAX };

    /// The first run of a signature may compile its kernels.
    pub(crate) const WARM_UP: ProbeBudget =
        ProbeBudget { rows: 1, runs: 1, size: secs(5), slow: secs(5), run: secs(5), version: secs(15) };
}

const fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

const fn secs(number: u64) -> Duration {
    Duration::from_secs(number)
}
