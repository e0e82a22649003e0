// SPDX-License-Identifier: Apache-2.0
//! Runs of one kind that wait for each other, and the batches that they become.
//!
//! The lock is held for operations of the queue only: never while tensors are copied or the session runs. When a batch may
//! begin, and what it takes, is the matter of [`QueueState`]; whose turn it is, that of the [`Pool`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use smallvec::SmallVec;
use tensorserve_batching::merge::{Merging, merge};
use tensorserve_batching::queue::{Abandon, Ready};
use tensorserve_batching::stats::add;
use tensorserve_batching::{
    CostModel, Decision, Entry, Limits, Next, Parameters, Pool, Priority, Source, Stats, Taken, Task, split,
};
use tensorserve_runtimes::TensorHandle;
use tensorserve_tensors::Tensor;
use tokio::sync::oneshot;

use crate::batching::auto::Auto;
use crate::batching::decision_log::DecisionLog;
use crate::batching::queue_state::{HasInputs, QueueState};
use crate::execution::computation::{Computation, Feeds, explained, input_bytes};
use crate::execution::executor::{LaneLoad, guarded};
use crate::execution::run_profile::RunProfile;
use crate::execution::slow_runs;
use crate::{Code, Result, ServableHandle, ServingError};

/// The results of a run, or of a piece of it.
type Results = Result<Vec<Tensor>>;

/// A run, or a piece of one, that waits.
pub(crate) struct Waiting {
    handle: ServableHandle,
    feeds: Feeds,
    reply: oneshot::Sender<Results>,
    /// Whether it has left the queue; kept for runs with a deadline.
    begun: Option<Arc<AtomicBool>>,
}

impl Abandon for Waiting {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

impl HasInputs for Waiting {
    fn input_bytes(&self) -> usize {
        input_bytes(&self.feeds)
    }
}

type Batch = Vec<Task<Waiting>>;

/// What the runs of a queue have in common.
pub(crate) struct Kind {
    pub(crate) model: String,
    /// The signatures that they can be of; none for parts of a graph that no signature names.
    pub(crate) signatures: Vec<String>,
    pub(crate) parameters: Parameters,
    pub(crate) fetches: SmallVec<[TensorHandle; 4]>,
    /// For each input, what it is padded with instead of its first element.
    pub(crate) pad_values: Vec<Option<Bytes>>,
}

/// The queue of runs that feed and fetch the same tensors.
pub(crate) struct RunQueue {
    kind: Kind,
    /// Of its runs, by their rows.
    profile: Arc<RunProfile>,
    auto: Option<Auto>,
    decisions: DecisionLog,
    stats: Stats,
    /// Their results turned out not to have a row for each row: they are run apart from now on.
    split_up: AtomicBool,
    state: Mutex<QueueState<Waiting>>,
    /// What the pool knows it by, from the first run on.
    entry: OnceLock<Arc<Entry>>,
}

/// A run that was put into a queue.
struct Ticket {
    pieces: SmallVec<[oneshot::Receiver<Results>; 1]>,
    begun: Option<Arc<AtomicBool>>,
}

impl RunQueue {
    /// A queue for runs that have this in common, whose batches size themselves if there is an `auto`.
    pub(crate) fn new(kind: Kind, profile: Arc<RunProfile>, auto: Option<Auto>) -> Self {
        let state = QueueState::new(Limits::of(&kind.parameters));
        let decisions = DecisionLog::new(kind.model.clone(), kind.signatures.join(", "));
        let (stats, split_up, state) = (Stats::default(), AtomicBool::new(false), Mutex::new(state));
        RunQueue { kind, profile, auto, decisions, stats, split_up, state, entry: OnceLock::new() }
    }

    pub(crate) fn auto(&self) -> Option<&Auto> {
        self.auto.as_ref()
    }

    /// Takes into account that a request was run on its own.
    pub(crate) fn ran_alone(&self, auto: &Auto, rows: usize, load: LaneLoad) {
        self.decided(auto.ran_alone(rows, load, Instant::now()));
        add(&self.stats.alone, 1);
    }

    fn decided(&self, decision: Option<Decision>) {
        if let Some(decision) = decision {
            self.decisions.decided(&decision, &self.stats);
        }
    }

    /// What its runs take, by their rows.
    pub(crate) fn cost(&self) -> &CostModel {
        self.profile.cost()
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Requests and rows that wait, and batches that run.
    pub(crate) fn depth(&self) -> (usize, usize, usize) {
        let state = self.lock();
        (state.queue().len(), state.queue().rows(), state.running())
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.lock().queue().is_empty()
    }

    /// Whether runs of this kind turned out not to be ones that can be merged.
    pub(crate) fn is_split_up(&self) -> bool {
        self.split_up.load(Ordering::Relaxed)
    }

    /// Rows of a run at most.
    pub(crate) fn max_rows(&self) -> usize {
        usize::try_from(self.kind.parameters.max_batch_size).unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<Waiting>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Computes a run of this kind together with others. RESOURCE_EXHAUSTED if its deadline passes before it begins,
    /// DEADLINE_EXCEEDED if it does afterwards; UNAVAILABLE if the queue is full.
    pub(crate) async fn compute(
        self: &Arc<Self>,
        run: Computation,
        task: Task<()>,
        pool: &Pool,
    ) -> Result<Vec<Tensor>> {
        let deadline = task.deadline;
        let wanted = run.fetches.clone();
        let Ticket { pieces, begun } = self.enter(run, task, pool)?;
        let mut parts: SmallVec<[Vec<Tensor>; 1]> = SmallVec::new();
        for piece in pieces {
            let result = crate::execution::executor::await_reply(piece, deadline).await;
            let waited = || begun.as_ref().is_some_and(|begun| !begun.load(Ordering::Acquire));
            parts.push(match result {
                Err(error) if error.code == Code::DeadlineExceeded && waited() => return Err(expired()),
                result => result??,
            });
        }
        Ok(self.in_order(joined(parts)?, &wanted))
    }

    fn enter(self: &Arc<Self>, run: Computation, task: Task<()>, pool: &Pool) -> Result<Ticket> {
        let (rows, priority) = (task.rows, task.priority);
        let begun = task.deadline.map(|_| Arc::new(AtomicBool::new(false)));
        let mut pieces = SmallVec::new();
        let group = Arc::clone(run.handle.group());
        let piece = |range: std::ops::Range<usize>| {
            let (reply, answer) = oneshot::channel();
            pieces.push(answer);
            let feeds = if range.len() == rows { run.feeds.clone() } else { slice(&run.feeds, range) };
            Waiting { handle: run.handle.clone(), feeds, reply, begun: begun.clone() }
        };
        let mut state = self.lock();
        let pushed = state.push(task, piece);
        if pushed.is_err() {
            drop(state);
            add(&self.stats.rejected, 1);
            return pushed.map(|()| Ticket { pieces, begun });
        }
        let ready = state.ready(priority, self.auto.as_ref());
        drop(state);
        self.wake(priority, ready, pool, &group);
        Ok(Ticket { pieces, begun })
    }

    /// Lets a thread ask for the next batch of a priority when it is ready.
    fn wake(self: &Arc<Self>, priority: Priority, ready: Ready, pool: &Pool, group: &Arc<str>) {
        let entry = || {
            let source: Weak<Self> = Arc::downgrade(self);
            self.entry.get_or_init(|| Entry::new(source, Arc::clone(group)))
        };
        match ready {
            Ready::Never => {}
            Ready::At(time) => pool.wake_at(entry(), priority, time),
            Ready::Now if self.takes_all_that_wait() => {
                // When the event loop of this thread has come round, all requests that have arrived are in the queue.
                if let Some(later) = pool.wake_later(entry(), priority) {
                    tokio::spawn(async move {
                        tokio::task::yield_now().await;
                        drop(later);
                    });
                }
            }
            Ready::Now => pool.wake(entry(), priority),
        }
    }

    /// Whether a batch takes the rows that have come and does not linger for others.
    fn takes_all_that_wait(&self) -> bool {
        match &self.auto {
            Some(auto) => !auto.strategy().linger,
            None => self.kind.parameters.batch_timeout().is_zero(),
        }
    }

    /// Drops what waits, which is an answer, as no thread will run it.
    fn give_up(&self) {
        let mut state = self.lock();
        let waiting = state.give_up();
        drop(state);
        drop(waiting);
    }

    /// Answers those whose deadline passed while they waited.
    fn answer_late(&self, taken: &mut Taken<Waiting>) {
        add(&self.stats.expired, taken.expired.len());
        add(&self.stats.abandoned, taken.abandoned);
        for task in taken.expired.drain(..) {
            // An error means that the client has left.
            let _ = task.payload.reply.send(Err(expired()));
        }
    }

    /// Runs a batch that counts as running since `begun`.
    fn run_batch(&self, taken: Taken<Waiting>, begun: Instant, running: RunningBatch<'_>) {
        self.stats.batch_rows.record(taken.rows as u64);
        self.stats.batch_requests.record(taken.tasks.len() as u64);
        for task in &taken.tasks {
            let waited = begun.saturating_duration_since(task.enqueued);
            self.stats.waited(waited);
            let Waiting { handle, feeds, .. } = &task.payload;
            handle.metrics().batching().dequeued(waited, task.rows, feeds.len());
        }
        self.run(taken.tasks);
        if let Some(auto) = &self.auto {
            self.decided(auto.ran_together(taken.rows, Instant::now()));
        }
        drop(running);
    }

    /// Runs tasks together. If that fails, each half is run apart, so that only those fail which do so on their own.
    fn run(&self, mut tasks: Batch) {
        for begun in tasks.iter().filter_map(|task| task.payload.begun.as_ref()) {
            begun.store(true, Ordering::Release);
        }
        match self.run_together(&tasks) {
            Ok(parts) => {
                for (task, part) in tasks.into_iter().zip(parts) {
                    let _ = task.payload.reply.send(Ok(part));
                }
            }
            Err(error) if tasks.len() > 1 && error.code != Code::DeadlineExceeded => {
                add(&self.stats.split_batches, 1);
                let second = tasks.split_off(tasks.len() / 2);
                self.run(tasks);
                self.run(second);
            }
            Err(error) => {
                for task in tasks {
                    let _ = task.payload.reply.send(Err(error.clone()));
                }
            }
        }
    }

    /// The results of each task.
    fn run_together(&self, tasks: &[Task<Waiting>]) -> Result<Vec<Vec<Tensor>>> {
        let Some(first) = tasks.first() else { return Ok(Vec::new()) };
        let rows: usize = tasks.iter().map(|task| task.rows).sum();
        let padded = self.kind.parameters.padded_rows(rows);
        first.payload.handle.metrics().batching().ran(padded, padded.saturating_sub(rows));
        if tasks.len() == 1 {
            if padded > rows
                && let Ok(parts) = self.run_merged(tasks, padded)
            {
                return Ok(parts);
            }
            let (start, Waiting { handle, feeds, .. }) = (Instant::now(), &first.payload);
            let results = self.run_session(first, feeds, time_left(tasks)?);
            let failed = |error| explained(handle, feeds, &self.kind.fetches, (error, start.elapsed()));
            return Ok(vec![results.map_err(failed)?]);
        }
        self.run_merged(tasks, padded)
    }

    fn run_merged(&self, tasks: &[Task<Waiting>], padded: usize) -> Result<Vec<Vec<Tensor>>> {
        let timeout = time_left(tasks)?;
        let feeds = self.merged(tasks, padded)?;
        add(&self.stats.padding_rows, padded - tasks.iter().map(|task| task.rows).sum::<usize>());
        if self.kind.parameters.pad_variable_length_inputs {
            let given: usize = tasks.iter().map(|task| input_bytes(&task.payload.feeds)).sum();
            add(&self.stats.padding_bytes, input_bytes(&feeds).saturating_sub(given));
        }
        let results = self.run_session(&tasks[0], &feeds, timeout)?;
        if let Err(error) = results.iter().try_for_each(|result| split::check_rows(result, padded)) {
            self.split_up.store(true, Ordering::Relaxed);
            return Err(error);
        }
        let mut start = 0;
        let part = |task: &Task<_>| {
            let range = start..start + task.rows;
            start = range.end;
            results.iter().map(|result| split::rows(result, range.clone())).collect()
        };
        Ok(tasks.iter().map(part).collect())
    }

    fn merged(&self, tasks: &[Task<Waiting>], padded: usize) -> Result<Feeds> {
        let input = |(number, (handle, _)): (usize, &(TensorHandle, Tensor))| {
            let parts: Vec<&Tensor> = tasks.iter().map(|task| &task.payload.feeds[number].1).collect();
            let pad = self.kind.parameters.pad_variable_length_inputs;
            let pad_value = self.kind.pad_values.get(number).cloned().flatten();
            Ok((*handle, merge(&parts, &Merging { rows: padded, pad, pad_value })?))
        };
        tasks[0].payload.feeds.iter().enumerate().map(input).collect()
    }

    fn run_session(&self, task: &Task<Waiting>, feeds: &Feeds, timeout: Option<Duration>) -> Results {
        let rows = feeds.first().and_then(|(_, tensor)| tensor.shape().dims().first().copied()).unwrap_or(1) as usize;
        let servable = task.payload.handle.servable();
        let options = self.profile.options(rows, timeout, servable.inter_op_threading());
        let session = servable.session();
        let start = Instant::now();
        let results = guarded(|| session.run(feeds, &self.kind.fetches, &options));
        let took = start.elapsed();
        task.payload.handle.metrics().ran(took);
        self.cost().record(rows, took);
        slow_runs::look(&task.payload.handle, &self.kind.fetches, took, || self.profile.estimate(rows));
        results
    }

    /// The results in the order in which the request wants them.
    fn in_order(&self, results: Vec<Tensor>, wanted: &[TensorHandle]) -> Vec<Tensor> {
        if wanted == &self.kind.fetches[..] || results.len() != self.kind.fetches.len() {
            return results;
        }
        let place = |handle: &TensorHandle| self.kind.fetches.iter().position(|fetch| fetch == handle);
        wanted.iter().filter_map(place).map(|at| results[at].clone()).collect()
    }
}

impl Source for RunQueue {
    fn next(self: Arc<Self>, priority: Priority, now: Instant) -> Next {
        loop {
            let mut state = self.lock();
            match state.ready(priority, self.auto.as_ref()) {
                Ready::Never if state.is_busy(priority) => return Next::Busy,
                Ready::Never => return Next::Idle,
                Ready::At(time) if time > now => return Next::At(time),
                _ => {}
            }
            let (mut taken, begins) = state.begin(priority, self.auto.as_ref(), now);
            let more = state.ready(priority, self.auto.as_ref()) == Ready::Now;
            drop(state);
            self.answer_late(&mut taken);
            if let Some(priority) = begins {
                let queue = Arc::clone(&self);
                let job = move || {
                    let running = RunningBatch { queue: &queue, priority, rows: taken.rows };
                    queue.run_batch(taken, now, running);
                };
                return Next::Run { job: Box::new(job), more };
            }
        }
    }

    fn ready(&self, _: Instant) -> [bool; 3] {
        let state = self.lock();
        Priority::ALL.map(|priority| state.ready(priority, self.auto.as_ref()) != Ready::Never)
    }

    fn stopped(&self) {
        self.give_up();
    }
}

/// Counts a batch as running until it is dropped, even by a panic.
struct RunningBatch<'a> {
    queue: &'a RunQueue,
    priority: Priority,
    rows: usize,
}

impl Drop for RunningBatch<'_> {
    fn drop(&mut self) {
        self.queue.lock().end(self.priority, self.rows, Instant::now());
    }
}

/// The original's error for a run whose deadline passed in the queue.
fn expired() -> ServingError {
    ServingError::new(Code::ResourceExhausted, "Run() timeout exceeded while waiting in batching queue")
}

/// Until the last of the tasks' deadlines; `None` if one has none.
fn time_left(tasks: &[Task<Waiting>]) -> Result<Option<Duration>> {
    let latest = tasks.iter().map(|task| task.deadline.ok_or(())).collect::<Result<Vec<_>, _>>();
    crate::execution::executor::timeout_left(latest.ok().and_then(|deadlines| deadlines.into_iter().max()))
}

/// Some rows of each input.
fn slice(feeds: &Feeds, rows: std::ops::Range<usize>) -> Feeds {
    feeds.iter().map(|(handle, tensor)| (*handle, split::rows(tensor, rows.clone()))).collect()
}

/// The results of all pieces of a run, one below the other.
fn joined(mut parts: SmallVec<[Vec<Tensor>; 1]>) -> Result<Vec<Tensor>> {
    if parts.len() == 1 {
        return Ok(parts.remove(0));
    }
    let outputs = parts.iter().map(Vec::len).min().unwrap_or(0);
    let output = |at: usize| {
        let pieces: Vec<&Tensor> = parts.iter().map(|part| &part[at]).collect();
        merge(&pieces, &Merging::default())
    };
    (0..outputs).map(output).collect()
}
