// SPDX-License-Identifier: Apache-2.0
//! The queue against a plain model of it: nothing is lost, doubled or overtaken, and the limits hold.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy.toml knows only tests within the crate")]

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tensorserve_batching::queue::{Abandon, Ready};
use tensorserve_batching::{Cut, Limits, Parameters, Priority, Queue, Task};

#[derive(Clone, Debug)]
struct Piece {
    task: usize,
    start: usize,
    left: Rc<Cell<bool>>,
}

impl Abandon for Piece {
    fn is_abandoned(&self) -> bool {
        self.left.get()
    }
}

#[derive(Clone, Debug)]
enum Action {
    Push { rows: usize, priority: usize, deadline: Option<u64> },
    Leave(usize),
    Wait(u64),
    Take(usize, Option<usize>),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (1usize..12, 0usize..3, proptest::option::of(1u64..40))
            .prop_map(|(rows, priority, deadline)| Action::Push { rows, priority, deadline }),
        1 => (0usize..50).prop_map(Action::Leave),
        2 => (0u64..15).prop_map(Action::Wait),
        2 => (0usize..3, proptest::option::of(1usize..20)).prop_map(|(priority, rows)| Action::Take(priority, rows)),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    (1usize..10, 1usize..4, 0u64..20, any::<bool>()).prop_map(|(batch_rows, batches, timeout, splitting)| Limits {
        batch_rows,
        task_rows: if splitting { 3 * batch_rows } else { batch_rows },
        batches,
        timeout: Duration::from_millis(timeout),
        splitting,
    })
}

/// What became of the tasks that were taken in.
struct World {
    queue: Queue<Piece>,
    limits: Limits,
    now: Instant,
    /// Rows, and whether the client has left.
    tasks: Vec<(usize, Rc<Cell<bool>>)>,
    rows_out: Vec<usize>,
    last_out: [Option<(usize, usize)>; 3],
}

impl World {
    fn push(&mut self, rows: usize, priority: Priority, deadline: Option<u64>) {
        let (number, left) = (self.tasks.len(), Rc::new(Cell::new(false)));
        let deadline = deadline.map(|ms| self.now + Duration::from_millis(ms));
        let task = Task { rows, priority, enqueued: self.now, deadline, payload: () };
        let (before, batches) = (self.queue.rows(), self.queue.batches());
        let mut pieces = 0;
        let pushed = self.queue.push(task, |range| {
            assert_eq!(range.start, pieces);
            pieces = range.end;
            Piece { task: number, start: range.start, left: Rc::clone(&left) }
        });
        match pushed {
            Ok(()) => {
                assert_eq!((pieces, self.queue.rows()), (rows, before + rows));
                assert!(rows <= self.limits.task_rows);
                assert!(self.queue.batches() <= self.limits.batches.max(batches) || self.limits.splitting);
                self.tasks.push((rows, left));
                self.rows_out.push(0);
            }
            Err(error) => {
                assert_eq!((pieces, self.queue.rows()), (0, before));
                let too_large = rows > self.limits.task_rows;
                assert_eq!(error.message.starts_with("Task size"), too_large, "{error}");
                assert!(too_large || batches >= self.limits.batches || self.limits.splitting, "{error}");
            }
        }
    }

    fn take(&mut self, priority: Priority, cut: Cut) {
        let ready = self.queue.ready(priority);
        let taken = self.queue.take(priority, cut, self.now);
        let may_run = match ready {
            Ready::Now => true,
            Ready::At(time) => time <= self.now,
            Ready::Never => false,
        };
        if matches!(cut, Cut::Batch) && !may_run {
            assert!(taken.tasks.is_empty() && taken.expired.is_empty());
        }
        let room = match cut {
            Cut::Batch => self.limits.batch_rows,
            Cut::Rows(rows) => rows,
        };
        assert_eq!(taken.rows, taken.tasks.iter().map(|task| task.rows).sum::<usize>());
        assert!(taken.rows <= room || taken.tasks.len() == 1);
        for task in &taken.tasks {
            assert!(task.deadline.is_none_or(|deadline| deadline > self.now), "an expired task must not run");
            assert!(!task.payload.left.get(), "a task that was given up must not run");
            let place = Some((task.payload.task, task.payload.start));
            assert!(self.last_out[task.priority as usize] < place, "in order of arrival");
            self.last_out[task.priority as usize] = place;
            self.rows_out[task.payload.task] += task.rows;
        }
        for task in &taken.expired {
            assert!(task.deadline.is_some_and(|deadline| deadline <= self.now));
            self.rows_out[task.payload.task] += task.rows;
        }
    }
}

proptest! {
    #[test]
    fn every_row_comes_out_once_and_in_order(limits in limits(), actions in prop::collection::vec(action(), 1..80)) {
        let queue = Queue::new(limits.clone());
        let (tasks, rows_out) = (Vec::new(), Vec::new());
        let mut world = World { queue, limits, now: Instant::now(), tasks, rows_out, last_out: [None; 3] };
        for action in actions {
            match action {
                Action::Push { rows, priority, deadline } => world.push(rows, Priority::ALL[priority], deadline),
                Action::Leave(task) => {
                    if let Some((_, left)) = world.tasks.get(task) {
                        left.set(true);
                    }
                }
                Action::Wait(ms) => world.now += Duration::from_millis(ms),
                Action::Take(priority, rows) => world.take(Priority::ALL[priority], rows.map_or(Cut::Batch, Cut::Rows)),
            }
        }
        world.now += Duration::from_secs(1);
        for at in 0..3000 {
            world.take(Priority::ALL[at % 3], Cut::Batch);
        }
        prop_assert!(world.queue.is_empty());
        prop_assert_eq!((world.queue.rows(), world.queue.batches()), (0, 0));
        prop_assert_eq!(Priority::ALL.map(|priority| world.queue.ready(priority)), [Ready::Never; 3]);
        for ((rows, left), out) in world.tasks.iter().zip(&world.rows_out) {
            prop_assert!(out == rows || left.get());
        }
    }
}

struct Stays;

impl Abandon for Stays {
    fn is_abandoned(&self) -> bool {
        false
    }
}

fn task(rows: usize, priority: Priority) -> Task<()> {
    Task { rows, priority, enqueued: Instant::now(), deadline: None, payload: () }
}

fn queue(parameters: &Parameters) -> Queue<Stays> {
    parameters.check().unwrap();
    Queue::new(Limits::of(parameters))
}

#[test]
fn a_full_queue_says_so_in_the_words_of_the_original() {
    let parameters = Parameters { max_batch_size: 2, max_enqueued_batches: 2, ..Parameters::default() };
    let mut queue = queue(&parameters);
    let mut push = |rows| queue.push(task(rows, Priority::Default), |_| Stays);
    assert_eq!(push(3).unwrap_err().message, "Task size 3 is larger than maximum input batch size 2");
    (0..4).for_each(|_| push(1).unwrap());
    assert_eq!(
        push(1).unwrap_err().message,
        "The batch scheduling queue to which this task was submitted is full; currently 2 batches enqueued and \
         max_enqueued_batches is 2"
    );
}

#[test]
fn a_large_task_is_split_over_the_room_that_is_left() {
    let parameters = Parameters {
        max_batch_size: 10,
        max_execution_batch_size: Some(4),
        enable_large_batch_splitting: true,
        ..Parameters::default()
    };
    let mut queue = queue(&parameters);
    queue.push(task(3, Priority::Default), |_| Stays).unwrap();
    queue.push(task(10, Priority::Default), |_| Stays).unwrap();
    let mut batches = Vec::new();
    while !queue.is_empty() {
        batches.push(
            queue
                .take(Priority::Default, Cut::Batch, Instant::now())
                .tasks
                .iter()
                .map(|task| task.rows)
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(batches, [vec![3, 1], vec![4], vec![4], vec![1]]);
    let parameters = Parameters { max_enqueued_batches: 1, ..parameters };
    let mut queue = self::queue(&parameters);
    queue.push(task(3, Priority::Default), |_| Stays).unwrap();
    assert_eq!(
        queue.push(task(2, Priority::Default), |_| Stays).unwrap_err().message,
        "The batch scheduling queue to which this task was submitted is full; task size is 2 but scheduling capacity is \
         only 1 (num_enqueued_batches=1, max_enqueued_batches=1, open_batch_size=3, max_execution_batch_size=4)"
    );
}

#[test]
fn a_batch_of_rows_is_of_one_priority_and_a_full_one_takes_others_in() {
    let mut queue = queue(&Parameters { max_batch_size: 4, ..Parameters::default() });
    for priority in [Priority::Low, Priority::High, Priority::Default, Priority::Default] {
        queue.push(task(1, priority), |_| Stays).unwrap();
    }
    let taken = queue.take(Priority::Default, Cut::Rows(1), Instant::now());
    assert_eq!(taken.tasks.iter().map(|task| task.priority).collect::<Vec<_>>(), [Priority::Default]);
    let taken = queue.take(Priority::Low, Cut::Batch, Instant::now());
    assert_eq!((taken.rows, taken.priority(), queue.len()), (3, Some(Priority::High), 0));
}

#[test]
fn a_batch_waits_for_others_as_long_as_it_was_told() {
    let parameters = Parameters { batch_timeout_micros: 1000, max_batch_size: 2, ..Parameters::default() };
    let mut queue = queue(&parameters);
    let first = task(1, Priority::Default);
    let at = first.enqueued + Duration::from_millis(1);
    queue.push(first, |_| Stays).unwrap();
    assert_eq!(queue.ready(Priority::Default), Ready::At(at));
    assert!(queue.take(Priority::Default, Cut::Batch, at - Duration::from_nanos(1)).tasks.is_empty());
    queue.push(task(1, Priority::Default), |_| Stays).unwrap();
    assert_eq!(queue.ready(Priority::Default), Ready::Now);
    assert_eq!(queue.take(Priority::Default, Cut::Batch, at - Duration::from_nanos(1)).rows, 2);
}
