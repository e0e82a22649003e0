// SPDX-License-Identifier: Apache-2.0
//! The steps from the files of a version to its first request, in their order.
//!
//! | step | decides | by |
//! | --- | --- | --- |
//! | [`intra_op_choice`] | where the parts of an operation are computed | loading the model with one thread and, if its runs are not all short, with the pool |
//! | [`inter_op_choice`] | which threads go through the operations of a long run | runs in both |
//! | [`batchability`](super::batchability) | which signatures share batches, if the version is batched | runs of rows together and apart |
//! | [`warmup`](super::warmup) | nothing: the first request is as quick as others | one run of each signature |
//!
//! [`commission`] takes all but the last. The control plane takes that one once it has counted the load, or instead replays
//! the requests that the version brings.

use tensorserve_runtimes::{InterOp, LoadRequest, Runtime};

use crate::batching::batcher::Batching;
use crate::commissioning::{inter_op_choice, intra_op_choice};
use crate::{Result, Servable};

/// What operators decide, so that no step has to.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    /// `None` for the threads that a measurement favours.
    pub inter_op_threading: Option<InterOp>,
    /// How requests are batched; `None` for not at all.
    pub batching: Option<Batching>,
}

/// Loads a version and makes it ready for its warm-up. `request.intra_op` is not looked at. INVALID_ARGUMENT for batching
/// parameters that no queue can have.
pub fn commission(runtime: &dyn Runtime, request: &LoadRequest, decisions: Decisions) -> Result<Servable> {
    let Decisions { inter_op_threading, batching } = decisions;
    let servable = intra_op_choice::load(runtime, request)?;
    let servable = inter_op_choice::choose(servable, inter_op_threading, &request.config_proto);
    if let Some(batching) = batching {
        // Looks at the batchability of each signature.
        servable.enable_batching(batching)?;
    }
    Ok(servable)
}
