// SPDX-License-Identifier: Apache-2.0
//! What happens to a loaded version before it is published: warm-up, and measurements that decide how it runs.

pub mod batchability;
#[cfg(test)]
pub(crate) mod fixture;
pub mod inter_op_choice;
pub mod intra_op_choice;
pub mod synthetic;
pub mod warmup;
