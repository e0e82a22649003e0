// SPDX-License-Identifier: Apache-2.0
//! How often lines of one kind are said.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Line;

/// Lets a line of one kind pass at most once in a while, and counts the others.
#[derive(Debug)]
pub struct Limit {
    every: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    said: Option<Instant>,
    held_back: u64,
}

impl Limit {
    /// Time between two lines.
    pub const fn every(every: Duration) -> Self {
        Limit { every, state: Mutex::new(State { said: None, held_back: 0 }) }
    }

    /// Says a line if the last one is long enough ago, with the number of those that were held back since then.
    pub fn say(&self, line: impl FnOnce() -> Line) {
        self.pass(line, Instant::now()).into_iter().for_each(Line::say);
    }

    fn pass(&self, line: impl FnOnce() -> Line, now: Instant) -> Option<Line> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.said.is_some_and(|said| now.saturating_duration_since(said) < self.every) {
            state.held_back += 1;
            return None;
        }
        let held_back = std::mem::take(&mut state.held_back);
        state.said = Some(now);
        drop(state);
        let mut line = line();
        if held_back > 0 {
            line.text.push_str(&format!(" ({held_back} more like this since the last such line)"));
            line = line.with("held_back", held_back);
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;

    #[test]
    fn lines_that_follow_soon_are_counted() {
        let limit = Limit::every(Duration::from_secs(10));
        let start = Instant::now();
        let at = |seconds| {
            let line = || Line::new(Level::Info, "slow".to_owned());
            limit.pass(line, start + Duration::from_secs(seconds)).map(|line| line.text)
        };
        assert_eq!(at(0).as_deref(), Some("slow"));
        assert_eq!((at(1), at(9)), (None, None));
        assert_eq!(at(10).as_deref(), Some("slow (2 more like this since the last such line)"));
        assert_eq!(at(30).as_deref(), Some("slow"));
    }
}
