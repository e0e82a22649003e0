// SPDX-License-Identifier: Apache-2.0
//! How urgent a request is.

use std::time::{Duration, Instant};

use crate::ewma::Ewma;

/// Higher ones go first; lower ones are not left without a turn for ever, see [`Turns`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    High,
    #[default]
    Default,
    Low,
}

impl Priority {
    /// From the most urgent down.
    pub const ALL: [Priority; 3] = [Priority::High, Priority::Default, Priority::Low];

    /// The priority with this name, as clients write it.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "high" => Some(Priority::High),
            "default" => Some(Priority::Default),
            "low" => Some(Priority::Low),
            _ => None,
        }
    }
}

/// A lower priority goes first once it was passed over for this many times as long as its own turns take, divided by the turns
/// that run at once: that leaves it a sixteenth of the time of all threads at worst.
const PATIENCE: u32 = 16;

/// Decides which priorities come first, turn after turn: the urgent ones, unless they leave the others nothing at all.
#[derive(Debug, Default)]
pub struct Turns {
    /// Since when each priority has been passed over.
    passed_over: [Option<Instant>; 3],
    /// What its turns took lately.
    usual: [Ewma; 3],
}

impl Turns {
    /// The order for this turn, in which the first of those who are `waiting` gets its turn beside `running` others.
    pub fn order(&mut self, waiting: [bool; 3], running: usize, now: Instant) -> [Priority; 3] {
        let mut order = Priority::ALL;
        let Some(first) = waiting.iter().position(|&waits| waits) else { return order };
        for (level, since) in self.passed_over.iter_mut().enumerate() {
            // One that comes first may still not get the turn: a source that is asked may have to wait for its own jobs.
            *since = since.or((level > first).then_some(now)).filter(|_| waiting[level]);
        }
        let is_starved = |level: &usize| {
            let patience = self.usual[*level].mean_time().unwrap_or_default() * PATIENCE / (running.max(1) as u32);
            self.passed_over[*level].is_some_and(|since| now.saturating_duration_since(since) > patience)
        };
        if let Some(starved) = (first + 1..order.len()).rev().find(is_starved) {
            self.passed_over[starved] = None;
            order[..=starved].rotate_right(1);
        }
        order
    }

    /// Takes a turn of this priority into account, however it came about.
    pub fn had(&mut self, priority: Priority, took: Duration) {
        let level = priority as usize;
        self.passed_over[level] = None;
        self.usual[level].add_time(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn the_urgent_go_first_and_the_others_get_a_sixteenth_of_the_time_at_least() {
        let (mut turns, mut now) = (Turns::default(), Instant::now());
        let mut times = [Duration::ZERO; 3];
        let takes = [MILLI, MILLI, 20 * MILLI];
        for _ in 0..10_000 {
            let level = turns.order([true; 3], 1, now)[0] as usize;
            now += takes[level];
            times[level] += takes[level];
            turns.had(Priority::ALL[level], takes[level]);
        }
        let share = |level: usize| times[level].as_secs_f64() / times.iter().sum::<Duration>().as_secs_f64();
        assert!(share(0) > 0.85, "{times:?}");
        assert!((0.04..0.07).contains(&share(1)) && (0.04..0.07).contains(&share(2)), "{times:?}");
    }

    #[test]
    fn who_comes_first_and_gets_no_turn_was_passed_over_all_the_same() {
        let (mut turns, mut now) = (Turns::default(), Instant::now());
        let mut low = 0;
        for _ in 0..100 {
            let first = turns.order([true, false, true], 1, now)[0];
            // While the urgent one runs, the other is asked, and may not run beside it.
            turns.order([false, false, true], 1, now);
            now += MILLI;
            turns.had(first, MILLI);
            low += usize::from(first == Priority::Low);
        }
        assert!((4..10).contains(&low), "{low}");
    }

    #[test]
    fn who_gets_turns_anyway_never_goes_before_the_urgent() {
        let (mut turns, mut now) = (Turns::default(), Instant::now());
        for _ in 0..1000 {
            assert_eq!(turns.order([true, false, true], 1, now), Priority::ALL);
            now += 2 * MILLI;
            turns.had(Priority::High, 2 * MILLI);
            assert_eq!(turns.order([false, false, true], 1, now), Priority::ALL);
            now += 20 * MILLI;
            turns.had(Priority::Low, 20 * MILLI);
        }
    }
}
