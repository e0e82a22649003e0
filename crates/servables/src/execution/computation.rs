// SPDX-License-Identifier: Apache-2.0
//! One run of a model's session, which is what every verb ends in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tensorserve_batching::stats::add;
use tensorserve_batching::{Pool, Task};
use tensorserve_runtimes::TensorHandle;
use tensorserve_tensors::{Tensor, TensorData};

use crate::batching::run_queue::RunQueue;
use crate::execution::executor::{LaneLoad, Request, Urgency};
use crate::execution::run_profile::RunProfile;
use crate::execution::slow_runs;
use crate::metrics::Api;
use crate::{Executor, Result, ServableHandle, ServingError};

/// A run that took longer is not done again for the text of its error.
const MAX_EXPLAINED: Duration = Duration::from_millis(10);

/// What a string costs in TensorFlow beside its bytes.
const STRING_OBJECT_BYTES: usize = 24;

pub(crate) type Feeds = SmallVec<[(TensorHandle, Tensor); 2]>;
pub(crate) type Fetches = SmallVec<[TensorHandle; 4]>;

/// Tensors to feed and to fetch; keeps their version alive.
pub(crate) struct Computation {
    pub(crate) handle: ServableHandle,
    pub(crate) feeds: Feeds,
    pub(crate) fetches: Fetches,
    /// What its time is counted as.
    pub(crate) api: Option<Api>,
}

/// What a run gave.
pub struct Fetched {
    pub(crate) handle: ServableHandle,
    pub(crate) fetches: Fetches,
    /// One for each of `fetches`, if the engine keeps its word.
    pub(crate) tensors: Vec<Tensor>,
}

impl Computation {
    /// Computes the fetches; `profile` is of runs of this kind. Errors of the engine keep their code and
    /// text.
    pub(crate) async fn compute(
        mut self,
        profile: &RunProfile,
        executor: &Executor,
        load: LaneLoad,
        urgency: Urgency,
    ) -> Result<Fetched> {
        let handle = self.handle.clone();
        let _admitted = executor.admit(handle.group(), urgency.priority)?;
        let queue = handle.servable().batcher().and_then(|batcher| batcher.queue(&mut self));
        let Some((queue, rows)) = queue else { return self.run_alone(None, profile, executor, (load, urgency)).await };
        let pool = match queue.auto() {
            None => executor.batch_threads(),
            Some(auto) => {
                let in_flight = auto.enter(rows, load).inspect_err(|_| add(&queue.stats().rejected, 1))?;
                if !in_flight.together {
                    let of = Some((Arc::clone(&queue), rows));
                    let done = self.run_alone(of, profile, executor, (load, urgency)).await;
                    queue.ran_alone(auto, rows, load);
                    return done;
                }
                let tensors = self.run_together(&queue, rows, urgency, executor.threads()).await?;
                drop(in_flight);
                return Ok(tensors);
            }
        };
        self.run_together(&queue, rows, urgency, pool).await
    }

    async fn run_together(self, queue: &Arc<RunQueue>, rows: usize, urgency: Urgency, pool: &Pool) -> Result<Fetched> {
        let (handle, fetches, api) = (self.handle.clone(), self.fetches.clone(), self.api);
        let Urgency { deadline, priority } = urgency;
        let enqueued = Instant::now();
        let task = Task { rows, priority, enqueued, deadline, payload: () };
        let tensors = queue.compute(self, task, pool).await?;
        // The original's session that batches is what it takes the time of: waiting counts.
        handle.metrics().ran_in_batch(api, enqueued.elapsed());
        Ok(Fetched { handle, fetches, tensors })
    }

    /// Runs it on its own. The time that it takes is noted for its queue, if it is of one.
    async fn run_alone(
        self,
        of: Option<(Arc<RunQueue>, usize)>,
        profile: &RunProfile,
        executor: &Executor,
        (load, urgency): (LaneLoad, Urgency),
    ) -> Result<Fetched> {
        let input_bytes = input_bytes(&self.feeds);
        let (group, api) = (Arc::clone(self.handle.group()), self.api);
        let inter_op_threading = self.handle.servable().inter_op_threading();
        let job = move |options: &_| {
            let start = Instant::now();
            match self.handle.servable().session().run(&self.feeds, &self.fetches, options) {
                Ok(tensors) => {
                    if let Some((queue, rows)) = &of {
                        queue.cost().record(*rows, start.elapsed());
                    }
                    let Computation { handle, fetches, .. } = self;
                    Ok(Ok(Fetched { handle, fetches, tensors }))
                }
                Err(error) => Ok(Err(Box::new(Failure { run: self, took: start.elapsed(), error }))),
            }
        };
        let request = Request { profile, input_bytes, group: &group, load, urgency, inter_op_threading };
        match executor.run_timed(request, job).await? {
            (Ok(done), took) => {
                done.handle.metrics().ran_alone(api, took);
                slow_runs::look(&done.handle, &done.fetches, took, || profile.estimate(input_bytes));
                Ok(done)
            }
            (Err(failure), _) => Err(failure.explained(executor, urgency).await),
        }
    }
}

/// A run that failed in the engine.
struct Failure {
    run: Computation,
    took: Duration,
    error: ServingError,
}

impl Failure {
    /// The error with all that the engine has to say. What takes another run happens on an execution thread, whatever
    /// thread the first one was on; a long run is not done again.
    #[cold]
    async fn explained(self, executor: &Executor, urgency: Urgency) -> ServingError {
        let Failure { run, took, error } = self;
        if took > MAX_EXPLAINED || !run.handle.servable().session().can_explain(&error) {
            return error;
        }
        let known = error.clone();
        let group = Arc::clone(run.handle.group());
        let explain = move |_: &_| Ok(run.handle.servable().session().explain(error, &run.feeds, &run.fetches));
        executor.run_explanation(&group, urgency, explain).await.unwrap_or(known)
    }
}

/// The error of a run that failed, with all that the engine has to say; for runs on execution threads.
pub(crate) fn explained(
    of: &ServableHandle,
    feeds: &Feeds,
    fetches: &Fetches,
    (error, took): (ServingError, Duration),
) -> ServingError {
    let session = of.servable().session();
    if took > MAX_EXPLAINED || !session.can_explain(&error) { error } else { session.explain(error, feeds, fetches) }
}

impl Fetched {
    /// The value of a tensor that was fetched.
    pub(crate) fn get(&self, tensor: TensorHandle) -> Option<&Tensor> {
        self.fetches.iter().position(|fetch| *fetch == tensor).and_then(|at| self.tensors.get(at))
    }
}

/// What the inputs of a run take in memory.
pub(crate) fn input_bytes(feeds: &Feeds) -> usize {
    feeds.iter().map(|(_, tensor)| byte_len(tensor)).sum()
}

fn byte_len(tensor: &Tensor) -> usize {
    match tensor.data() {
        TensorData::Plain(bytes) => bytes.len(),
        TensorData::Strings(strings) => {
            (0..strings.len()).map(|index| strings.get(index).len() + STRING_OBJECT_BYTES).sum()
        }
    }
}
