// SPDX-License-Identifier: Apache-2.0
//! What waits in a queue and what of it runs: when the threads are asked for a turn, and what a turn takes.
//!
//! At most one turn is asked for at a time, but one for each priority; a turn that begins asks for the next. A request
//! does not wait for less urgent batches that run: its own runs beside them.

use std::ops::Range;
use std::time::Instant;

use tensorserve_batching::queue::{Abandon, Ready};
use tensorserve_batching::{Cut, Limits, Priority, Queue, Taken, Task};

use crate::Result;
use crate::batching::auto::{Auto, Gathering};

/// A payload of a task.
pub(crate) trait HasInputs {
    /// What its inputs take in memory.
    fn input_bytes(&self) -> usize;
}

/// What the threads shall be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Nothing,
    Turn(Priority),
    TurnAt(Instant, Priority),
}

/// The part of a queue that is kept behind its lock.
pub(crate) struct QueueState<T> {
    queue: Queue<T>,
    /// Turns that were asked for and have not begun, by priority.
    turns: [bool; 3],
    /// The earliest timer that is set.
    timer: Option<Instant>,
    /// Batches that run, by the priority of the most urgent request in them, and their rows.
    running: [usize; 3],
    running_rows: usize,
    /// When a batch last ended, by priority.
    ended: [Option<Instant>; 3],
}

impl<T: Abandon + HasInputs> QueueState<T> {
    pub(crate) fn new(limits: Limits) -> Self {
        let queue = Queue::new(limits);
        QueueState { queue, turns: [false; 3], timer: None, running: [0; 3], running_rows: 0, ended: [None; 3] }
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

    /// Takes out all that waits: no turn will come any more.
    pub(crate) fn give_up(&mut self) -> Vec<Task<T>> {
        self.turns = [false; 3];
        self.timer = None;
        self.queue.clear()
    }

    /// Begins a turn that was asked for with this priority: what it takes, and the priority of that if it is a batch.
    pub(crate) fn begin(&mut self, asked: Priority, auto: Option<&Auto>, now: Instant) -> (Taken<T>, Option<Priority>) {
        self.turns[asked as usize] = false;
        self.timer = self.timer.filter(|&time| time > now);
        let taken = self.take(auto, now);
        let priority = taken.priority();
        if let Some(priority) = priority {
            self.running[priority as usize] += 1;
        }
        self.running_rows += taken.rows;
        (taken, priority)
    }

    /// A batch that began at this time has run.
    pub(crate) fn end(&mut self, priority: Priority, rows: usize, began: Instant, now: Instant) {
        self.running[priority as usize] -= 1;
        self.running_rows -= rows;
        self.ended[priority as usize] = Some(now);
        self.queue.ran(priority, now.saturating_duration_since(began));
    }

    fn take(&mut self, auto: Option<&Auto>, now: Instant) -> Taken<T> {
        let cut = match auto {
            None => Cut::Batch,
            Some(auto) => match self.ready(Some(auto)) {
                // A timer that was set for what has gone meanwhile.
                Ready::At(time) if time > now => return Taken::default(),
                _ => Cut::Rows(auto.batch_rows(self.queue.rows(), self.running_rows, self.row_bytes())),
            },
        };
        let running = self.running;
        self.queue.take(cut, now, |priority| has_slot(&running, priority, auto))
    }

    /// Of the request that came first of the most urgent ones.
    fn row_bytes(&self) -> usize {
        self.queue.peek().map_or(0, |task| task.payload.input_bytes() / task.rows.max(1))
    }

    /// When the next batch may begin. An urgent one waits for nobody. Others wait from when the last one like them ended:
    /// those who were just answered have to come back, or batches would stay as small as they once were.
    fn ready(&self, auto: Option<&Auto>) -> Ready {
        let first = self.queue.peek().filter(|first| first.priority != Priority::High);
        let since = first.and_then(|first| self.ended[first.priority as usize].max(Some(first.enqueued)));
        let gathering = since.and_then(|since| Some((since, auto?.gathering(self.row_bytes())?)));
        match gathering {
            Some((since, Gathering { rows, patience })) if self.queue.rows() < rows => Ready::At(since + patience),
            _ => self.queue.ready(),
        }
    }

    /// What is to be asked for now, so that everything that waits gets its turn.
    pub(crate) fn wish(&mut self, auto: Option<&Auto>) -> Wish {
        let Some(priority) = self.queue.priority() else { return Wish::Nothing };
        if self.turns[..=priority as usize].contains(&true) || !has_slot(&self.running, priority, auto) {
            return Wish::Nothing;
        }
        match self.ready(auto) {
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

/// Whether a batch of this priority may begin beside those that run, of which less urgent ones do not count.
fn has_slot(running: &[usize; 3], priority: Priority, auto: Option<&Auto>) -> bool {
    // Those that still wait when no more batches are to be made go one after the other.
    let at_once = auto.map_or(usize::MAX, |auto| auto.at_once().max(1));
    running[..=priority as usize].iter().sum::<usize>() < at_once
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tensorserve_batching::Parameters;

    use super::*;
    use crate::execution::executor::Company;

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
        let (auto, now) = (Auto::in_way(1), Instant::now());
        let mut state = state();
        push(&mut state, Priority::Low, now);
        assert_eq!(state.wish(Some(&auto)), Wish::Turn(Priority::Low));
        let (taken, begun) = state.begin(Priority::Low, Some(&auto), now);
        assert_eq!((taken.rows, begun), (1, Some(Priority::Low)));
        push(&mut state, Priority::Low, now);
        assert_eq!(state.wish(Some(&auto)), Wish::Nothing);
        push(&mut state, Priority::High, now);
        assert_eq!(state.wish(Some(&auto)), Wish::Turn(Priority::High));
        assert_eq!(state.begin(Priority::High, Some(&auto), now).1, Some(Priority::High));
        assert_eq!((state.running(), state.wish(Some(&auto))), (2, Wish::Nothing));
        state.end(Priority::Low, 1, now, now + MILLI);
        assert_eq!(state.wish(Some(&auto)), Wish::Nothing);
        state.end(Priority::High, 1, now, now + MILLI);
        assert_eq!(state.wish(Some(&auto)), Wish::Turn(Priority::Low));
    }

    #[test]
    fn what_is_urgent_is_asked_for_beside_a_turn_that_is_pending() {
        let (auto, now) = (Auto::in_way(1), Instant::now());
        let mut state = state();
        push(&mut state, Priority::Default, now);
        assert_eq!(state.wish(Some(&auto)), Wish::Turn(Priority::Default));
        assert_eq!(state.wish(Some(&auto)), Wish::Nothing);
        push(&mut state, Priority::High, now);
        assert_eq!(state.wish(Some(&auto)), Wish::Turn(Priority::High));
        // The turn that comes first takes what is most urgent.
        assert_eq!(state.begin(Priority::Default, Some(&auto), now).1, Some(Priority::High));
        assert_eq!(state.begin(Priority::High, Some(&auto), now).1, None);
        state.end(Priority::High, 1, now, now + MILLI);
        assert_eq!(state.wish(Some(&auto)), Wish::Turn(Priority::Default));
    }

    #[test]
    fn a_batch_waits_for_the_rows_in_hand_but_no_longer_than_it_may() {
        let (auto, now) = (Auto::in_way(2), Instant::now());
        auto.cost.record(1, MILLI);
        let in_hand = auto.enter(3, Company::Others).unwrap();
        let mut state = state();
        push(&mut state, Priority::Default, now);
        let patience = auto.gathering(4).unwrap().patience;
        assert_eq!(state.wish(Some(&auto)), Wish::TurnAt(now + patience, Priority::Default));
        push(&mut state, Priority::Default, now + MILLI);
        assert_eq!(state.wish(Some(&auto)), Wish::Nothing);
        push(&mut state, Priority::Default, now + MILLI);
        assert_eq!(state.wish(Some(&auto)), Wish::Turn(Priority::Default));
        assert_eq!(state.begin(Priority::Default, Some(&auto), now + MILLI).0.rows, 3);
        state.end(Priority::Default, 3, now, now + MILLI);
        // The timer comes for what has gone; then for what was set anew.
        push(&mut state, Priority::Default, now + MILLI);
        assert_eq!(state.begin(Priority::Default, Some(&auto), now + patience).0.rows, 0);
        assert_eq!(state.wish(Some(&auto)), Wish::TurnAt(now + MILLI + patience, Priority::Default));
        assert_eq!(state.begin(Priority::Default, Some(&auto), now + MILLI + patience).0.rows, 1);
        push(&mut state, Priority::High, now);
        assert_eq!(state.wish(Some(&auto)), Wish::Turn(Priority::High));
        drop(in_hand);
    }

    #[test]
    fn what_came_while_a_batch_ran_waits_for_those_whom_it_answers() {
        let (auto, now) = (Auto::in_way(2), Instant::now());
        auto.cost.record(1, MILLI);
        let in_hand = auto.enter(2, Company::Others).unwrap();
        let mut state = state();
        push(&mut state, Priority::Default, now);
        let patience = auto.gathering(4).unwrap().patience;
        let first = now + patience;
        assert_eq!(state.begin(Priority::Default, Some(&auto), first).0.rows, 1);
        push(&mut state, Priority::Default, first);
        assert_eq!(state.wish(Some(&auto)), Wish::Nothing);
        let end = first + 10 * patience;
        state.end(Priority::Default, 1, first, end);
        assert_eq!(state.wish(Some(&auto)), Wish::TurnAt(end + patience, Priority::Default));
        push(&mut state, Priority::Default, end);
        assert_eq!(state.begin(Priority::Default, Some(&auto), end).0.rows, 2);
        drop(in_hand);
    }

    #[test]
    fn urgent_batches_that_end_prolong_no_waiting() {
        let (auto, now) = (Auto::in_way(2), Instant::now());
        auto.cost.record(1, MILLI);
        let in_hand = auto.enter(3, Company::Others).unwrap();
        let mut state = state();
        push(&mut state, Priority::Default, now);
        let patience = auto.gathering(4).unwrap().patience;
        push(&mut state, Priority::High, now);
        assert_eq!(state.begin(Priority::High, Some(&auto), now).1, Some(Priority::High));
        state.end(Priority::High, 1, now, now + patience / 2);
        assert_eq!(state.wish(Some(&auto)), Wish::TurnAt(now + patience, Priority::Default));
        drop(in_hand);
    }

    #[test]
    fn without_measuring_any_number_of_batches_may_run() {
        let now = Instant::now();
        let mut state = state();
        for running in 1..20 {
            push(&mut state, Priority::Default, now);
            assert_eq!(state.wish(None), Wish::Turn(Priority::Default));
            assert_eq!(state.begin(Priority::Default, None, now).0.rows, 1);
            assert_eq!(state.running(), running);
        }
        push(&mut state, Priority::Low, now);
        assert_eq!((state.give_up().len(), state.wish(None)), (1, Wish::Nothing));
    }
}
