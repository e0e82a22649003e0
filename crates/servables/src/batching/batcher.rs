// SPDX-License-Identifier: Apache-2.0
//! The queues of one model version, and which of its runs may share a batch.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tensorserve_batching::{Parameters, Stats};
use tensorserve_runtimes::TensorHandle;

use crate::batching::auto::Auto;
use crate::batching::batch_key::BatchKey;
use crate::batching::pad_value::pad_value;
use crate::batching::run_queue::{Kind, RunQueue};
use crate::commissioning::batchability::{self, Batchability};
use crate::execution::computation::Computation;
use crate::execution::executor::{default_threads, usable_cpus};
use crate::execution::run_profile::RunProfile;
use crate::table::signature::{Endpoint, Signature};
use crate::{Result, Servable};

/// Combinations of inputs, shapes and outputs that have a queue; clients choose shapes, so there must be an end.
const MAX_QUEUES: usize = 1024;

/// How the requests of one version are batched.
#[derive(Clone, Debug)]
pub struct Batching {
    pub parameters: Parameters,
    /// Batches size themselves; of the parameters only the limits and the padding count.
    pub auto: Option<AutoBatching>,
    /// What inputs are padded with, by alias, as text; an input that is not named is padded with its own first element.
    pub pad_values: HashMap<String, String>,
}

/// What can be said to batching that sizes itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct AutoBatching {
    /// Within which time answers shall be given; requests that cannot are refused.
    pub latency_objective: Option<Duration>,
    /// Batches that may run at once at most; `None` for the number of CPUs.
    pub threads: Option<usize>,
}

/// The queues of one version.
pub(crate) struct Batcher {
    batching: Batching,
    /// Tensors whose dimension 0 is the batch.
    inputs: HashSet<TensorHandle>,
    outputs: HashSet<TensorHandle>,
    pad_values: HashMap<TensorHandle, Bytes>,
    /// By the signatures' names.
    findings: BTreeMap<String, Batchability>,
    /// `None` for runs that may not be merged.
    queues: RwLock<HashMap<BatchKey, Option<Arc<RunQueue>>>>,
    /// What queues counted that are gone, by their signatures.
    past: Mutex<BTreeMap<String, Arc<Stats>>>,
}

impl Batcher {
    /// INVALID_ARGUMENT for parameters that no queue can have.
    pub(crate) fn new(batching: Batching, servable: &Servable) -> Result<Self> {
        batching.parameters.check()?;
        let (mut inputs, mut outputs, mut pad_values) = (HashSet::new(), HashSet::new(), HashMap::new());
        let mut findings = BTreeMap::new();
        for signature in servable.signatures() {
            let found = batchability::examine(signature, servable, batching.auto.is_some());
            let may_batch = found.may_batch();
            findings.insert(signature.name.clone(), found);
            if !may_batch {
                continue;
            }
            inputs.extend(signature.inputs.iter().filter_map(|input| input.handle().ok()));
            outputs.extend(signature.fetchable().map(|(_, handle)| handle));
            for input in &signature.inputs {
                if let (Some(text), Ok(handle)) = (batching.pad_values.get(&input.alias), input.handle()) {
                    pad_values.insert(handle, pad_value(input, text)?);
                }
            }
        }
        Ok(Batcher {
            batching,
            inputs,
            outputs,
            pad_values,
            findings,
            queues: RwLock::default(),
            past: Mutex::default(),
        })
    }

    pub(crate) fn batching(&self) -> &Batching {
        &self.batching
    }

    /// What was found of each signature.
    pub(crate) fn findings(&self) -> &BTreeMap<String, Batchability> {
        &self.findings
    }

    /// All queues that there are.
    pub(crate) fn queues(&self) -> Vec<Arc<RunQueue>> {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        queues.values().flatten().cloned().collect()
    }

    /// The queue for a run and the run's rows; `None` if it may not be merged.
    pub(crate) fn queue(&self, run: &mut Computation) -> Option<(Arc<RunQueue>, usize)> {
        let (key, rows) = BatchKey::of(run, self.batching.parameters.pad_variable_length_inputs)?;
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        let known = queues.get(&key).cloned();
        drop(queues);
        let queue = known.unwrap_or_else(|| self.new_queue(key, run))?;
        let may_batch = !queue.is_split_up() && (self.batching.auto.is_none() || rows <= queue.max_rows());
        may_batch.then_some((queue, rows))
    }

    /// All queues that there are, and what those counted that are gone, by their signatures. No queue is in both.
    pub(crate) fn queues_and_past(&self) -> (Vec<Arc<RunQueue>>, BTreeMap<String, Arc<Stats>>) {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (queues.values().flatten().cloned().collect(), past)
    }

    fn remember(&self, queue: &RunQueue) {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.entry(queue.kind().signatures.join(",")).or_default().absorb(queue.stats());
    }

    #[cold]
    fn new_queue(&self, key: BatchKey, run: &Computation) -> Option<Arc<RunQueue>> {
        let may_merge = run.feeds.iter().all(|(handle, _)| self.inputs.contains(handle))
            && run.fetches.iter().all(|handle| self.outputs.contains(handle));
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        if queues.len() >= MAX_QUEUES {
            queues.retain(|_, queue| match queue {
                Some(queue) if queue.is_idle() => {
                    self.remember(queue);
                    false
                }
                queue => queue.is_some(),
            });
        }
        if queues.len() >= MAX_QUEUES {
            return None;
        }
        let make = || {
            let pad_values = run.feeds.iter().map(|(handle, _)| self.pad_values.get(handle).cloned()).collect();
            let signatures = signatures_of(run);
            let run_time = run.handle.servable().session().run_time(signatures.first().map(String::as_str));
            let profile = Arc::new(RunProfile::new(run_time));
            let auto = |auto: AutoBatching| {
                // Batches compute; more of them than CPUs would only be in the way of urgent ones.
                let most = auto.threads.unwrap_or_else(usable_cpus);
                let threads = auto.threads.unwrap_or_else(default_threads);
                Auto::new(most, threads, auto.latency_objective, Arc::clone(&profile))
            };
            let auto = self.batching.auto.map(auto);
            let parameters = self.batching.parameters.clone();
            let (model, fetches) = (run.handle.model().to_owned(), key.fetches.clone());
            let kind = Kind { model, signatures, parameters, fetches, pad_values };
            Arc::new(RunQueue::new(kind, profile, auto))
        };
        queues.entry(key.clone()).or_insert_with(|| may_merge.then(make)).clone()
    }
}

/// The names of the signatures that a run can be of.
fn signatures_of(run: &Computation) -> Vec<String> {
    let suits = |signature: &&Arc<Signature>| {
        let is = |end: &Endpoint, tensor: TensorHandle| end.handle() == Ok(tensor);
        run.feeds.iter().all(|(tensor, _)| signature.inputs.iter().any(|input| is(input, *tensor)))
            && run.fetches.iter().all(|tensor| signature.outputs.iter().any(|output| is(output, *tensor)))
    };
    run.handle.servable().signatures().filter(suits).map(|signature| signature.name.clone()).collect()
}
