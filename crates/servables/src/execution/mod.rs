// SPDX-License-Identifier: Apache-2.0
//! Which thread computes, and how many requests are in flight. Read [`executor`] first.

pub use tensorserve_runtimes::attribution::Heart;

pub mod admission;
pub(crate) mod computation;
pub mod executor;
pub mod run_profile;
pub(crate) mod slow_runs;
