// SPDX-License-Identifier: Apache-2.0
//! Requests of one signature that run together. Read [`batcher`] first.

pub(crate) mod auto;
pub(crate) mod batch_key;
pub mod batcher;
pub(crate) mod decision_log;
pub(crate) mod pad_value;
pub(crate) mod queue_state;
pub mod report;
pub(crate) mod run_queue;

#[cfg(test)]
mod simulation;
