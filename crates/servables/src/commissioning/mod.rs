// SPDX-License-Identifier: Apache-2.0
//! What happens to a loaded version before it is published: measurements that decide how it runs, and warm-up.
//!
//! [`steps`] has the steps in their order, [`budget`] what each may spend, [`eligibility`] which signatures they may run.

pub mod batchability;
mod budget;
mod eligibility;
#[cfg(test)]
pub(crate) mod fixture;
mod inter_op_choice;
mod intra_op_choice;
pub mod steps;
pub mod synthetic;
pub mod warmup;
