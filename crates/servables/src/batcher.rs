// SPDX-License-Identifier: Apache-2.0
//! The queues of one model version, and which of its runs may share a batch.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use tensorserve_batching::{Limits, Parameters};
use tensorserve_runtimes::TensorHandle;

use crate::batch_key::BatchKey;
use crate::computation::Computation;
use crate::execution::RunCost;
use crate::pad_value::pad_value;
use crate::run_queue::RunQueue;
use crate::{Result, Servable};

/// Combinations of inputs, shapes and outputs that have a queue; clients choose shapes, so there must be an end.
const MAX_QUEUES: usize = 1024;

/// How the requests of one version are batched.
#[derive(Clone, Debug)]
pub struct Batching {
    pub parameters: Parameters,
    /// What inputs are padded with, by alias, as text; an input that is not named is padded with its own first element.
    pub pad_values: HashMap<String, String>,
}

/// The queues of one version.
pub(crate) struct Batcher {
    batching: Batching,
    /// Tensors whose dimension 0 is the batch.
    inputs: HashSet<TensorHandle>,
    outputs: HashSet<TensorHandle>,
    pad_values: HashMap<TensorHandle, Bytes>,
    /// `None` for runs that may not be merged.
    queues: RwLock<HashMap<BatchKey, Option<Arc<RunQueue>>>>,
}

impl Batcher {
    /// INVALID_ARGUMENT for parameters that no queue can have.
    pub(crate) fn new(batching: Batching, servable: &Servable) -> Result<Self> {
        batching.parameters.check()?;
        let (mut inputs, mut outputs, mut pad_values) = (HashSet::new(), HashSet::new(), HashMap::new());
        for signature in servable.signatures().filter(|signature| signature.may_batch) {
            inputs.extend(signature.inputs.iter().map(|input| input.handle));
            outputs.extend(signature.outputs.iter().map(|output| output.handle));
            for input in &signature.inputs {
                if let Some(text) = batching.pad_values.get(&input.alias) {
                    pad_values.insert(input.handle, pad_value(input, text)?);
                }
            }
        }
        Ok(Batcher { batching, inputs, outputs, pad_values, queues: RwLock::default() })
    }

    /// The queue for a run and the run's rows; `None` if it may not be merged.
    pub(crate) fn queue(&self, run: &mut Computation) -> Option<(Arc<RunQueue>, usize)> {
        let (key, rows) = BatchKey::of(run, self.batching.parameters.pad_variable_length_inputs)?;
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        let known = queues.get(&key).cloned();
        drop(queues);
        let queue = known.unwrap_or_else(|| self.new_queue(key, run))?;
        Some((queue, rows))
    }

    #[cold]
    fn new_queue(&self, key: BatchKey, run: &Computation) -> Option<Arc<RunQueue>> {
        let may_merge = run.feeds.iter().all(|(handle, _)| self.inputs.contains(handle))
            && run.fetches.iter().all(|handle| self.outputs.contains(handle));
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        if queues.len() >= MAX_QUEUES {
            queues.retain(|_, queue| queue.as_ref().is_some_and(|queue| !queue.is_idle()));
        }
        if queues.len() >= MAX_QUEUES {
            return None;
        }
        let make = || {
            let fetches = key.fetches.clone();
            let pad_values = run.feeds.iter().map(|(handle, _)| self.pad_values.get(handle).cloned()).collect();
            let limits = Limits::of(&self.batching.parameters);
            let cost = RunCost::new(run.handle.servable().session().is_bounded());
            Arc::new(RunQueue::new(self.batching.parameters.clone(), limits, fetches, pad_values, cost))
        };
        queues.entry(key.clone()).or_insert_with(|| may_merge.then(make)).clone()
    }
}
