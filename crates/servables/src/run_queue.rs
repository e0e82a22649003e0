// SPDX-License-Identifier: Apache-2.0
//! Runs of one kind that wait for each other, and the batches that they become.
//!
//! The lock is held for operations of the queue only: never while tensors are copied or the session runs. At most one
//! turn on the threads is asked for at a time (one for each priority); a turn that begins asks for the next.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use smallvec::SmallVec;
use tensorserve_batching::merge::{Merging, merge};
use tensorserve_batching::queue::{Abandon, Ready};
use tensorserve_batching::{Cut, Limits, Parameters, Pool, Priority, Queue, Task, split};
use tensorserve_runtimes::{RunOptions, TensorHandle};
use tensorserve_tensors::Tensor;
use tokio::sync::oneshot;

use crate::computation::{Computation, Feeds};
use crate::execution::{RunCost, guarded, threading_for};
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

type Batch = Vec<Task<Waiting>>;

/// The queue of runs that feed and fetch the same tensors.
pub(crate) struct RunQueue {
    parameters: Parameters,
    fetches: SmallVec<[TensorHandle; 4]>,
    /// For each input.
    pad_values: Vec<Option<Bytes>>,
    cost: RunCost,
    state: Mutex<State>,
}

struct State {
    queue: Queue<Waiting>,
    /// Turns that were asked for and have not begun, by priority.
    turns: [bool; 3],
    /// The earliest timer that is set.
    timer: Option<Instant>,
}

/// What the threads shall be asked for.
enum Wish {
    Nothing,
    Turn(Priority),
    TurnAt(Instant, Priority),
}

/// A run that was put into a queue.
struct Ticket {
    pieces: SmallVec<[oneshot::Receiver<Results>; 1]>,
    begun: Option<Arc<AtomicBool>>,
}

impl RunQueue {
    /// A queue for runs that fetch these tensors.
    pub(crate) fn new(
        parameters: Parameters,
        limits: Limits,
        fetches: SmallVec<[TensorHandle; 4]>,
        pad_values: Vec<Option<Bytes>>,
        cost: RunCost,
    ) -> Self {
        let state = State { queue: Queue::new(limits), turns: [false; 3], timer: None };
        RunQueue { parameters, fetches, pad_values, cost, state: Mutex::new(state) }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.lock().queue.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
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
            let result = crate::execution::await_reply(piece, deadline).await;
            let waited = || begun.as_ref().is_some_and(|begun| !begun.load(Ordering::Acquire));
            parts.push(match result {
                Err(error) if error.code == Code::DeadlineExceeded && waited() => return Err(expired()),
                result => result??,
            });
        }
        Ok(self.in_order(joined(parts)?, &wanted))
    }

    fn enter(self: &Arc<Self>, run: Computation, task: Task<()>, pool: &Pool) -> Result<Ticket> {
        let rows = task.rows;
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
        state.queue.push(task, piece)?;
        let wish = state.wish();
        drop(state);
        self.ask(wish, pool, &group);
        Ok(Ticket { pieces, begun })
    }

    fn ask(self: &Arc<Self>, wish: Wish, pool: &Pool, group: &Arc<str>) {
        let job = |priority| {
            let (queue, pool, group) = (Arc::clone(self), pool.clone(), Arc::clone(group));
            Box::new(move || queue.turn(priority, &pool, &group))
        };
        match wish {
            Wish::Nothing => {}
            Wish::Turn(priority) => pool.submit(group, priority, job(priority)),
            Wish::TurnAt(time, priority) => pool.submit_at(time, group, priority, job(priority)),
        }
    }

    /// Takes a batch, if one may run, and runs it.
    fn turn(self: &Arc<Self>, priority: Priority, pool: &Pool, group: &Arc<str>) {
        let now = Instant::now();
        let mut state = self.lock();
        state.turns[priority as usize] = false;
        state.timer = state.timer.filter(|&time| time > now);
        let taken = state.queue.take(Cut::Batch, now);
        let wish = state.wish();
        drop(state);
        self.ask(wish, pool, group);
        for task in taken.expired {
            // An error means that the client has left.
            let _ = task.payload.reply.send(Err(expired()));
        }
        self.run(taken.tasks);
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
        let padded = self.parameters.padded_rows(rows);
        if tasks.len() == 1 {
            if padded > rows
                && let Ok(parts) = self.run_merged(tasks, padded)
            {
                return Ok(parts);
            }
            return Ok(vec![self.run_session(first, &first.payload.feeds, time_left(tasks)?)?]);
        }
        self.run_merged(tasks, padded)
    }

    fn run_merged(&self, tasks: &[Task<Waiting>], padded: usize) -> Result<Vec<Vec<Tensor>>> {
        let timeout = time_left(tasks)?;
        let results = self.run_session(&tasks[0], &self.merged(tasks, padded)?, timeout)?;
        results.iter().try_for_each(|result| split::check_rows(result, padded))?;
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
            let pad = self.parameters.pad_variable_length_inputs;
            let pad_value = self.pad_values.get(number).cloned().flatten();
            Ok((*handle, merge(&parts, &Merging { rows: padded, pad, pad_value })?))
        };
        tasks[0].payload.feeds.iter().enumerate().map(input).collect()
    }

    fn run_session(&self, task: &Task<Waiting>, feeds: &Feeds, timeout: Option<Duration>) -> Results {
        let bytes = crate::computation::input_bytes(feeds);
        let threading = threading_for(self.cost.estimate(bytes).unwrap_or(Duration::MAX));
        let options = RunOptions { timeout, threading };
        let session = task.payload.handle.servable().session();
        let start = Instant::now();
        let results = guarded(|| session.run(feeds, &self.fetches, &options));
        self.cost.record(bytes, start.elapsed());
        results
    }

    /// The results in the order in which the request wants them.
    fn in_order(&self, results: Vec<Tensor>, wanted: &[TensorHandle]) -> Vec<Tensor> {
        if wanted == &self.fetches[..] || results.len() != self.fetches.len() {
            return results;
        }
        let place = |handle: &TensorHandle| self.fetches.iter().position(|fetch| fetch == handle);
        wanted.iter().filter_map(place).map(|at| results[at].clone()).collect()
    }
}

impl State {
    /// What is to be asked for, so that everything that waits gets its turn.
    fn wish(&mut self) -> Wish {
        let Some(priority) = self.queue.priority() else { return Wish::Nothing };
        if self.turns[..=priority as usize].contains(&true) {
            return Wish::Nothing;
        }
        match self.queue.ready() {
            Ready::Now => {
                self.turns[priority as usize] = true;
                Wish::Turn(priority)
            }
            Ready::At(time) if self.timer.is_none_or(|timer| time < timer) => {
                self.timer = Some(time);
                Wish::TurnAt(time, priority)
            }
            Ready::At(_) | Ready::Never => Wish::Nothing,
        }
    }
}

/// The original's error for a run whose deadline passed in the queue.
fn expired() -> ServingError {
    ServingError::new(Code::ResourceExhausted, "Run() timeout exceeded while waiting in batching queue")
}

/// Until the last of the tasks' deadlines; `None` if one has none.
fn time_left(tasks: &[Task<Waiting>]) -> Result<Option<Duration>> {
    let latest = tasks.iter().map(|task| task.deadline.ok_or(())).collect::<Result<Vec<_>, _>>();
    crate::execution::timeout_left(latest.ok().and_then(|deadlines| deadlines.into_iter().max()))
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
