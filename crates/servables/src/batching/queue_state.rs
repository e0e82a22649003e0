// SPDX-License-Identifier: Apache-2.0
//! What waits in a queue and what of it runs: when its next batch may begin, and what that takes.
//!
//! A request does not wait for less urgent batches that run: its own runs beside them.

use std::ops::Range;
use std::time::Instant;

use tensorserve_batching::queue::{Abandon, Ready};
use tensorserve_batching::{Cut, Limits, Priority, Queue, Taken, Task};

use crate::Result;
use crate::batching::auto::{Auto, Linger};

/// A payload of a task.
pub(crate) trait HasInputs {
    /// What its inputs take in memory.
    fn input_bytes(&self) -> usize;
}

/// The part of a queue that is kept behind its lock.
pub(crate) struct QueueState<T> {
    queue: Queue<T>,
    /// Batches that run, by the priority of the most urgent request in them, and their rows.
    running: [usize; 3],
    running_rows: usize,
    /// When a batch last ended, by priority.
    ended: [Option<Instant>; 3],
}

impl<T: Abandon + HasInputs> QueueState<T> {
    pub(crate) fn new(limits: Limits) -> Self {
        let queue = Queue::new(limits);
        QueueState { queue, running: [0; 3], running_rows: 0, ended: [None; 3] }
    }

    pub(crate) fn queue(&self) -> &Queue<T> {
        &self.queue
    }

    /// Batches that run.
    pub(crate) fn running(&self) -> usize {
        self.running.iter().sum()
    }

    /// As [`Queue::push`].
    pub(crate) fn push(&mut self, task: Task<()>, piece: impl FnMut(Range<usize>) -> T) -> Result<()> {
        self.queue.push(task, piece)
    }

    /// Takes out all that waits: no thread will ask for it.
    pub(crate) fn give_up(&mut self) -> Vec<Task<T>> {
        self.queue.clear()
    }

    /// When the next batch that begins with this priority may run. An urgent one waits for nobody. Others linger from when
    /// the last one like them ended: those who were just answered have to come back, or batches would stay as small as they
    /// once were.
    pub(crate) fn ready(&self, priority: Priority, auto: Option<&Auto>) -> Ready {
        let Some(first) = self.queue.peek(priority) else { return Ready::Never };
        if !has_slot(&self.running, priority, auto) {
            return Ready::Never;
        }
        let lingers = auto.filter(|_| priority != Priority::High);
        match lingers.and_then(|auto| auto.linger(self.row_bytes(priority))) {
            Some(Linger { rows, time }) if self.queue.rows() < rows => {
                let since = self.ended[priority as usize].max(Some(first.enqueued)).unwrap_or(first.enqueued);
                Ready::At(since + time)
            }
            _ => self.queue.ready(priority),
        }
    }

    /// Whether requests of a priority wait though none of them may begin before a batch has ended.
    pub(crate) fn is_busy(&self, priority: Priority) -> bool {
        self.queue.peek(priority).is_some()
    }

    /// Takes what runs now, if a batch that begins with this priority may; it counts as running with the priority that
    /// comes with it.
    pub(crate) fn begin(&mut self, asked: Priority, auto: Option<&Auto>, now: Instant) -> (Taken<T>, Option<Priority>) {
        let cut = match auto {
            None => Cut::Batch,
            Some(auto) => Cut::Rows(auto.batch_rows(self.queue.rows(), self.running_rows, self.row_bytes(asked))),
        };
        let taken = self.queue.take(asked, cut, now);
        let priority = taken.priority();
        if let Some(priority) = priority {
            self.running[priority as usize] += 1;
        }
        self.running_rows += taken.rows;
        (taken, priority)
    }

    /// A batch has run.
    pub(crate) fn end(&mut self, priority: Priority, rows: usize, now: Instant) {
        self.running[priority as usize] -= 1;
        self.running_rows -= rows;
        self.ended[priority as usize] = Some(now);
    }

    /// Of the request of a priority that came first.
    fn row_bytes(&self, priority: Priority) -> usize {
        self.queue.peek(priority).map_or(0, |task| task.payload.input_bytes() / task.rows.max(1))
    }
}

/// Whether a batch of this priority may begin beside those that run; less urgent ones do not count.
fn has_slot(running: &[usize; 3], priority: Priority, auto: Option<&Auto>) -> bool {
    // Those that still wait when no more batches are to be made go one after the other.
    let at_once = auto.map_or(usize::MAX, |auto| auto.max_in_flight().max(1));
    running[..=priority as usize].iter().sum::<usize>() < at_once
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tensorserve_batching::Parameters;

    use super::*;
    use crate::execution::executor::LaneLoad;

    const MILLI: Duration = Duration::from_millis(1);

    struct Row;

    impl Abandon for Row {
        fn is_abandoned(&self) -> bool {
            false
        }
    }

    impl HasInputs for Row {
        fn input_bytes(&self) -> usize {
            4
        }
    }

    fn state() -> QueueState<Row> {
        QueueState::new(Limits::of(&Parameters::default()))
    }

    fn push(state: &mut QueueState<Row>, priority: Priority, enqueued: Instant) {
        state.push(Task { rows: 1, priority, enqueued, deadline: None, payload: () }, |_| Row).unwrap();
    }

    #[test]
    fn an_urgent_batch_runs_beside_patient_ones_and_not_the_other_way_round() {
        let (auto, now) = (Auto::fixed(1, false, None), Instant::now());
        let mut state = state();
        push(&mut state, Priority::Low, now);
        assert_eq!(state.ready(Priority::Low, Some(&auto)), Ready::Now);
        let (taken, begun) = state.begin(Priority::Low, Some(&auto), now);
        assert_eq!((taken.rows, begun), (1, Some(Priority::Low)));
        push(&mut state, Priority::Low, now);
        assert_eq!(state.ready(Priority::Low, Some(&auto)), Ready::Never);
        push(&mut state, Priority::High, now);
        assert_eq!(state.ready(Priority::High, Some(&auto)), Ready::Now);
        assert_eq!(state.begin(Priority::High, Some(&auto), now).1, Some(Priority::High));
        state.end(Priority::Low, 1, now + MILLI);
        assert_eq!((state.running(), state.ready(Priority::Low, Some(&auto))), (1, Ready::Never));
        state.end(Priority::High, 1, now + MILLI);
        assert_eq!(state.ready(Priority::Low, Some(&auto)), Ready::Now);
    }

    #[test]
    fn a_batch_lingers_for_the_rows_in_flight_but_no_longer_than_it_may() {
        let (auto, now) = (Auto::fixed(1, true, None), Instant::now());
        auto.cost().record(1, MILLI);
        let in_flight = auto.enter(3, LaneLoad::Others).unwrap();
        let mut state = state();
        push(&mut state, Priority::Default, now);
        let time = auto.linger(4).unwrap().time;
        assert_eq!(state.ready(Priority::Default, Some(&auto)), Ready::At(now + time));
        (0..2).for_each(|_| push(&mut state, Priority::Default, now + MILLI));
        assert_eq!(state.ready(Priority::Default, Some(&auto)), Ready::Now);
        assert_eq!(state.begin(Priority::Default, Some(&auto), now + MILLI).0.rows, 3);
        state.end(Priority::Default, 3, now + MILLI);
        push(&mut state, Priority::Default, now + MILLI);
        assert_eq!(state.ready(Priority::Default, Some(&auto)), Ready::At(now + MILLI + time));
        push(&mut state, Priority::High, now);
        assert_eq!(state.ready(Priority::High, Some(&auto)), Ready::Now);
        drop(in_flight);
    }

    #[test]
    fn a_row_that_came_while_a_batch_ran_waits_for_those_whom_it_answers() {
        let (auto, now) = (Auto::fixed(1, true, None), Instant::now());
        auto.cost().record(1, MILLI);
        let in_flight = auto.enter(2, LaneLoad::Others).unwrap();
        let mut state = state();
        push(&mut state, Priority::Default, now);
        let time = auto.linger(4).unwrap().time;
        let first = now + time;
        assert_eq!(state.begin(Priority::Default, Some(&auto), first).0.rows, 1);
        push(&mut state, Priority::Default, first);
        assert_eq!(state.ready(Priority::Default, Some(&auto)), Ready::Never);
        let end = first + 10 * time;
        state.end(Priority::Default, 1, end);
        assert_eq!(state.ready(Priority::Default, Some(&auto)), Ready::At(end + time));
        push(&mut state, Priority::Default, end);
        assert_eq!(state.begin(Priority::Default, Some(&auto), end).0.rows, 2);
        drop(in_flight);
    }

    #[test]
    fn urgent_batches_that_end_prolong_no_waiting() {
        let (auto, now) = (Auto::fixed(1, true, None), Instant::now());
        auto.cost().record(1, MILLI);
        let in_flight = auto.enter(3, LaneLoad::Others).unwrap();
        let mut state = state();
        push(&mut state, Priority::Default, now);
        let time = auto.linger(4).unwrap().time;
        push(&mut state, Priority::High, now);
        assert_eq!(state.begin(Priority::High, Some(&auto), now).1, Some(Priority::High));
        state.end(Priority::High, 1, now + time / 2);
        assert_eq!(state.ready(Priority::Default, Some(&auto)), Ready::At(now + time));
        drop(in_flight);
    }

    #[test]
    fn without_measuring_any_number_of_batches_may_run() {
        let now = Instant::now();
        let mut state = state();
        for running in 1..20 {
            push(&mut state, Priority::Default, now);
            assert_eq!(state.ready(Priority::Default, None), Ready::Now);
            assert_eq!(state.begin(Priority::Default, None, now).0.rows, 1);
            assert_eq!(state.running(), running);
        }
        push(&mut state, Priority::Low, now);
        assert_eq!((state.give_up().len(), state.ready(Priority::Low, None)), (1, Ready::Never));
    }
}
