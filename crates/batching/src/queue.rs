// SPDX-License-Identifier: Apache-2.0
//! Who runs with whom: the tasks that wait for one kind of run, in the batches that they will run in.
//!
//! Pure: it is told the time, holds no lock and starts nothing. A task joins the open batch if it fits, else it opens the
//! next one. The first batch may run when it is full, when there is a later one, or when its first task has waited
//! long enough.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use tensorserve_tensors::{Code, ServingError};

use crate::Priority;
use crate::parameters::Parameters;

/// A request, or a piece of one.
#[derive(Debug)]
pub struct Task<T> {
    pub rows: usize,
    pub priority: Priority,
    pub enqueued: Instant,
    /// It need not be run after this.
    pub deadline: Option<Instant>,
    pub payload: T,
}

/// Work that its owner may give up.
pub trait Abandon {
    /// Whether nobody waits for the result any more.
    fn is_abandoned(&self) -> bool;
}

/// How large batches and the queue may get.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Rows of a batch.
    pub batch_rows: usize,
    /// Rows of a task that is pushed; it is split if it is larger than a batch.
    pub task_rows: usize,
    /// Batches, the open one included; at least 1.
    pub batches: usize,
    /// How long the first task of a batch waits for others.
    pub timeout: Duration,
    /// Whether a task may fill up a batch with a part of it.
    pub splitting: bool,
}

impl Limits {
    /// The limits that checked parameters ask for.
    pub fn of(parameters: &Parameters) -> Self {
        let count = |number: i64| usize::try_from(number).unwrap_or(0).max(1);
        Limits {
            batch_rows: count(parameters.execution_batch_size()),
            task_rows: count(parameters.max_batch_size),
            batches: count(parameters.max_enqueued_batches),
            timeout: parameters.batch_timeout(),
            splitting: parameters.enable_large_batch_splitting,
        }
    }
}

/// What to take out of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The first batch, if it may run.
    Batch,
    /// As many tasks of one priority as fit this many rows, at least one, whatever batch they are in. Less urgent ones
    /// would make their run longer, so they have runs of their own.
    Rows(usize),
}

/// What was taken out.
#[derive(Debug)]
pub struct Taken<T> {
    /// To be run together.
    pub tasks: Vec<Task<T>>,
    /// Their deadline passed before they could run.
    pub expired: Vec<Task<T>>,
    /// Sum of the rows of `tasks`.
    pub rows: usize,
    /// Tasks whose owner has left; they are dropped.
    pub abandoned: usize,
}

impl<T> Default for Taken<T> {
    fn default() -> Self {
        Taken { tasks: Vec::new(), expired: Vec::new(), rows: 0, abandoned: 0 }
    }
}

/// When the first batch may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    Now,
    At(Instant),
    /// Nothing waits.
    Never,
}

/// The tasks of one priority.
#[derive(Debug)]
struct Level<T> {
    tasks: VecDeque<(u64, Task<T>)>,
    /// The number of the open batch.
    open: u64,
    open_rows: usize,
}

impl<T> Default for Level<T> {
    fn default() -> Self {
        Level { tasks: VecDeque::new(), open: 0, open_rows: 0 }
    }
}

impl<T> Level<T> {
    fn batches(&self) -> usize {
        self.tasks.front().map_or(0, |(first, _)| (self.open - first) as usize + usize::from(self.open_rows > 0))
    }

    fn push(&mut self, task: Task<T>, batch_rows: usize) {
        if self.open_rows > 0 && self.open_rows + task.rows > batch_rows {
            self.open += 1;
            self.open_rows = 0;
        }
        self.open_rows += task.rows;
        self.tasks.push_back((self.open, task));
    }

    fn pop(&mut self) -> Option<Task<T>> {
        let (batch, task) = self.tasks.pop_front()?;
        if batch == self.open {
            self.open_rows -= task.rows;
        }
        Some(task)
    }

    fn ready(&self, limits: &Limits) -> Ready {
        let Some((batch, first)) = self.tasks.front() else { return Ready::Never };
        if *batch < self.open || self.open_rows >= limits.batch_rows || limits.timeout.is_zero() {
            return Ready::Now;
        }
        first.enqueued.checked_add(limits.timeout).map_or(Ready::Never, Ready::At)
    }
}

/// Tasks that can run together, in order of arrival within each priority.
#[derive(Debug)]
pub struct Queue<T> {
    limits: Limits,
    levels: [Level<T>; 3],
    rows: usize,
}

impl<T: Abandon> Queue<T> {
    pub fn new(limits: Limits) -> Self {
        Queue { limits, levels: Default::default(), rows: 0 }
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Rows that wait.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Tasks that wait.
    pub fn len(&self) -> usize {
        self.levels.iter().map(|level| level.tasks.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.levels.iter().all(|level| level.tasks.is_empty())
    }

    /// Batches that wait, the open ones included.
    pub fn batches(&self) -> usize {
        self.levels.iter().map(Level::batches).sum()
    }

    /// Takes in a task, in pieces if it must be split: `piece` makes the payload of each from its rows.
    ///
    /// INVALID_ARGUMENT if it has too many rows; UNAVAILABLE if the queue is full. Then nothing is taken in.
    pub fn push(&mut self, task: Task<()>, mut piece: impl FnMut(Range<usize>) -> T) -> Result<(), ServingError> {
        self.admit(&task)?;
        let level = &mut self.levels[task.priority as usize];
        self.rows += task.rows;
        let mut start = 0;
        for rows in pieces(task.rows, level.open_rows, &self.limits) {
            let payload = piece(start..start + rows);
            start += rows;
            level.push(
                Task { rows, payload, priority: task.priority, enqueued: task.enqueued, deadline: task.deadline },
                self.limits.batch_rows,
            );
        }
        Ok(())
    }

    fn admit(&self, task: &Task<()>) -> Result<(), ServingError> {
        let limits = &self.limits;
        if task.rows > limits.task_rows {
            return Err(ServingError::invalid_argument(format!(
                "Task size {} is larger than maximum input batch size {}",
                task.rows, limits.task_rows
            )));
        }
        let (open, batches) = (self.levels[task.priority as usize].open_rows, self.batches());
        let full = "The batch scheduling queue to which this task was submitted is full;";
        if limits.splitting {
            let full_batches = batches - usize::from(open > 0);
            let capacity = (limits.batches.saturating_sub(full_batches)).saturating_mul(limits.batch_rows)
                - open.min(limits.batch_rows);
            if task.rows > capacity {
                return Err(ServingError::new(
                    Code::Unavailable,
                    format!(
                        "{full} task size is {} but scheduling capacity is only {capacity} (num_enqueued_batches={}, \
                         max_enqueued_batches={}, open_batch_size={open}, max_execution_batch_size={})",
                        task.rows,
                        batches.max(1),
                        limits.batches,
                        limits.batch_rows
                    ),
                ));
            }
            return Ok(());
        }
        let opens_another = open == 0 || open + task.rows > limits.batch_rows;
        if opens_another && batches >= limits.batches {
            return Err(ServingError::new(
                Code::Unavailable,
                format!("{full} currently {batches} batches enqueued and max_enqueued_batches is {}", limits.batches),
            ));
        }
        Ok(())
    }

    /// Takes out all that waits, most urgent first.
    pub fn clear(&mut self) -> Vec<Task<T>> {
        self.rows = 0;
        let levels = std::mem::take(&mut self.levels);
        levels.into_iter().flat_map(|level| level.tasks).map(|(_, task)| task).collect()
    }

    /// When the first batch of a priority may run.
    pub fn ready(&self, priority: Priority) -> Ready {
        self.levels[priority as usize].ready(&self.limits)
    }

    /// The task of a priority that came first.
    pub fn peek(&self, priority: Priority) -> Option<&Task<T>> {
        self.levels[priority as usize].tasks.front().map(|(_, task)| task)
    }

    /// Takes out what runs next, beginning with tasks of this priority; a batch is filled up with others, the most urgent
    /// first. Tasks whose deadline has passed come apart; those that were given up are dropped.
    pub fn take(&mut self, priority: Priority, cut: Cut, now: Instant) -> Taken<T> {
        let mut taken = Taken::default();
        match cut {
            Cut::Rows(rows) => self.take_rows(priority, rows, now, &mut taken),
            Cut::Batch => {
                self.take_batch(priority, now, &mut taken);
                for other in Priority::ALL {
                    if !taken.tasks.is_empty() && other != priority {
                        self.take_batch(other, now, &mut taken);
                    }
                }
            }
        }
        taken
    }

    /// The first batch, if there is none yet; else tasks that fit the room that is left in it.
    fn take_batch(&mut self, priority: Priority, now: Instant, taken: &mut Taken<T>) {
        let level = &mut self.levels[priority as usize];
        let may_start = match level.ready(&self.limits) {
            Ready::Now => true,
            Ready::At(time) => time <= now,
            Ready::Never => false,
        };
        if taken.tasks.is_empty() && !may_start {
            return;
        }
        let mut batch = None;
        while let Some((number, first)) = level.tasks.front() {
            if taken.tasks.is_empty() {
                batch = Some(*number);
            }
            let other_batch = batch.is_some_and(|running| running != *number);
            if other_batch || !taken.has_room(first.rows, self.limits.batch_rows) {
                break;
            }
            let Some(task) = level.pop() else { break };
            self.rows -= task.rows;
            taken.sort_in(task, now);
        }
    }

    fn take_rows(&mut self, priority: Priority, rows: usize, now: Instant, taken: &mut Taken<T>) {
        let level = &mut self.levels[priority as usize];
        while let Some((_, first)) = level.tasks.front()
            && taken.has_room(first.rows, rows)
            && let Some(task) = level.pop()
        {
            self.rows -= task.rows;
            taken.sort_in(task, now);
        }
    }
}

impl<T> Taken<T> {
    /// The most urgent priority of the tasks.
    pub fn priority(&self) -> Option<Priority> {
        self.tasks.iter().map(|task| task.priority).min()
    }
}

impl<T: Abandon> Taken<T> {
    fn has_room(&self, rows: usize, room: usize) -> bool {
        self.tasks.is_empty() || self.rows + rows <= room
    }

    fn sort_in(&mut self, task: Task<T>, now: Instant) {
        if task.payload.is_abandoned() {
            self.abandoned += 1;
        } else if task.deadline.is_some_and(|deadline| deadline <= now) {
            self.expired.push(task);
        } else {
            self.rows += task.rows;
            self.tasks.push(task);
        }
    }
}

/// Rows of each piece of a task: the room of the open batch first, then whole batches, then the rest.
fn pieces(rows: usize, open_rows: usize, limits: &Limits) -> impl Iterator<Item = usize> + use<> {
    let (batch, splitting) = (limits.batch_rows, limits.splitting);
    let mut left = rows;
    let mut room = batch.saturating_sub(open_rows);
    let mut first = true;
    std::iter::from_fn(move || {
        if !splitting {
            // A task without rows is a task as well.
            return std::mem::take(&mut first).then_some(rows);
        }
        if left == 0 && !first {
            return None;
        }
        first = false;
        let piece = left.min(if room == 0 { batch } else { room });
        (left, room) = (left - piece, batch);
        Some(piece)
    })
}
