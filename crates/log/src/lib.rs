// SPDX-License-Identifier: Apache-2.0
//! What the data plane has to say to the log.
//!
//! Lines wait in one bounded queue of the process until Python takes them, which knows levels and where the log is; see
//! the package `tensorserve.log`. Whoever logs never waits. Lines that many requests could cause have a [`Limit`]. Depends
//! on nothing; any crate may call it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

mod limit;

pub use limit::Limit;

/// Lines that may wait; further ones are dropped.
const MAX_LINES: usize = 1000;

/// Bytes of a line that are kept.
const MAX_LINE_BYTES: usize = 8 << 10;

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

impl Level {
    /// The number that Python's `logging` has for it.
    pub fn number(self) -> i32 {
        match self {
            Level::Debug => 10,
            Level::Info => 20,
            Level::Warning => 30,
            Level::Error => 40,
        }
    }
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub level: Level,
    pub text: String,
    /// What it is about, for programs that read the log: `model`, `signature` and others.
    pub fields: Vec<(&'static str, String)>,
}

impl Line {
    pub fn new(level: Level, text: String) -> Self {
        Line { level, text, fields: Vec::new() }
    }

    /// The same line with a further field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.fields.push((name, value.to_string()));
        self
    }

    /// Says it. Costs a lock and a push.
    pub fn say(mut self) {
        shorten(&mut self.text);
        self.fields.iter_mut().for_each(|(_, value)| shorten(value));
        let mut queue = queue();
        if queue.lines.len() < MAX_LINES {
            queue.lines.push_back(self);
            ARRIVED.notify_one();
        } else {
            queue.dropped += 1;
        }
    }
}

fn shorten(text: &mut String) {
    if text.len() > MAX_LINE_BYTES {
        let end = (0..=MAX_LINE_BYTES).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        text.truncate(end);
        text.push_str(" ...");
    }
}

/// What [`take`] gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub lines: Vec<Line>,
    /// Lines that were dropped after these.
    pub dropped: usize,
}

struct Queue {
    lines: VecDeque<Line>,
    dropped: usize,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue { lines: VecDeque::new(), dropped: 0 });
static ARRIVED: Condvar = Condvar::new();

/// Says a line without fields.
pub fn log(level: Level, text: String) {
    Line::new(level, text).say();
}

/// Says a line of a level; the arguments are those of `format!`.
#[macro_export]
macro_rules! warning { ($($argument:tt)*) => { $crate::log($crate::Level::Warning, format!($($argument)*)) } }
#[macro_export]
macro_rules! error { ($($argument:tt)*) => { $crate::log($crate::Level::Error, format!($($argument)*)) } }
#[macro_export]
macro_rules! info { ($($argument:tt)*) => { $crate::log($crate::Level::Info, format!($($argument)*)) } }
#[macro_export]
macro_rules! debug { ($($argument:tt)*) => { $crate::log($crate::Level::Debug, format!($($argument)*)) } }

/// Takes all lines that wait; waits for the first one at most `timeout`.
pub fn take(timeout: Duration) -> Taken {
    let waited = ARRIVED.wait_timeout_while(queue(), timeout, |queue| queue.lines.is_empty());
    let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
    Taken { lines: queue.lines.drain(..).collect(), dropped: std::mem::take(&mut queue.dropped) }
}

fn queue() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The queue is one, so this is one test.
    #[test]
    fn lines_wait_until_they_are_taken_and_too_many_are_counted() {
        assert_eq!(take(Duration::ZERO), Taken::default());
        warning!("{} of {}", 1, 2);
        error!("e");
        let said = |level, text: &str| Line::new(level, text.to_owned());
        let taken = take(Duration::from_secs(10));
        assert_eq!(taken.lines, [said(Level::Warning, "1 of 2"), said(Level::Error, "e")]);

        (0..MAX_LINES + 7).for_each(|number| info!("{number}"));
        let taken = take(Duration::ZERO);
        assert_eq!((taken.lines.len(), taken.dropped), (MAX_LINES, 7));
        assert_eq!(take(Duration::ZERO), Taken::default());

        debug!("{}", "ä".repeat(MAX_LINE_BYTES));
        let [line] = &take(Duration::ZERO).lines[..] else { panic!("one line") };
        assert!(line.text.len() < MAX_LINE_BYTES + 10 && line.text.ends_with("ä ..."));

        let waiting = std::thread::spawn(|| take(Duration::from_secs(60)));
        Line::new(Level::Info, "late".to_owned()).with("model", "m").with("milliseconds", 3).say();
        let fields = vec![("model", "m".to_owned()), ("milliseconds", "3".to_owned())];
        let late = Line { fields, ..said(Level::Info, "late") };
        assert_eq!(waiting.join().expect("taken").lines, [late]);
    }
}
