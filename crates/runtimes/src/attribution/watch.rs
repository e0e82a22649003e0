// SPDX-License-Identifier: Apache-2.0
//! What the supervisor has found out about earlier deaths: shapes that are refused, and those that run alone until it is
//! known whether they end the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tensorserve_tensors::{Result, ServingError};

use super::page::Page;

/// A run that waits for another one, which waits for its turn, goes on after this.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Inputs of a signature that were running when the process died.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The version's directory.
    pub path: String,
    pub signature: String,
    /// Each input's rank and dimensions.
    pub words: Vec<i64>,
    pub kind: WatchedKind,
}

/// What is done about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchedKind {
    /// They run while nothing else does, until they have succeeded once.
    Alone,
    /// They are answered with this text.
    Refused(String),
}

/// Whether anything is watched; else nothing here is asked.
static NEEDED: AtomicBool = AtomicBool::new(false);
static WATCHED: RwLock<Vec<Watched>> = RwLock::new(Vec::new());
static TURNS: Turns = Turns { state: Mutex::new(Running { others: 0, alone: false }), changed: Condvar::new() };

struct Turns {
    state: Mutex<Running>,
    changed: Condvar,
}

struct Running {
    others: usize,
    alone: bool,
}

/// A run that goes on while something is watched.
pub(super) struct Turn {
    page: &'static Page,
    /// Which of the watched it is, if it is one that runs alone.
    watched: Option<usize>,
}

pub(super) fn set(watched: Vec<Watched>) {
    NEEDED.store(!watched.is_empty(), Ordering::Release);
    *WATCHED.write().unwrap_or_else(PoisonError::into_inner) = watched;
}

#[inline]
pub(super) fn is_needed() -> bool {
    NEEDED.load(Ordering::Relaxed)
}

/// Waits for the turn of a run. INVALID_ARGUMENT if it is refused.
pub(super) fn enter(page: &'static Page, path: &str, signature: &str, words: &[i64]) -> Result<Option<Turn>> {
    let watched = WATCHED.read().unwrap_or_else(PoisonError::into_inner);
    let found = watched.iter().position(|it| it.path == path && it.signature == signature && it.words == words);
    let kind = found.and_then(|index| watched.get(index)).map(|it| it.kind.clone());
    let some_alone = watched.iter().any(|it| it.kind == WatchedKind::Alone);
    drop(watched);
    match kind {
        Some(WatchedKind::Refused(reason)) => Err(ServingError::invalid_argument(reason)),
        Some(WatchedKind::Alone) => {
            TURNS.begin_alone();
            Ok(Some(Turn { page, watched: found }))
        }
        None if some_alone => {
            TURNS.begin();
            Ok(Some(Turn { page, watched: None }))
        }
        None => Ok(None),
    }
}

pub(super) fn release(path: &str) {
    clear(|_, it| it.path == path);
}

/// Takes some off the list; each keeps its place, by which the supervisor knows it.
fn clear(is_meant: impl Fn(usize, &Watched) -> bool) {
    let mut watched = WATCHED.write().unwrap_or_else(PoisonError::into_inner);
    for (index, it) in watched.iter_mut().enumerate() {
        if is_meant(index, it) {
            it.path.clear();
            it.kind = WatchedKind::Refused(String::new());
        }
    }
    NEEDED.store(watched.iter().any(|it| !it.path.is_empty()), Ordering::Release);
}

impl Drop for Turn {
    /// The process is still there: this run does not end it.
    fn drop(&mut self) {
        if let Some(index) = self.watched {
            self.page.set_succeeded(index);
            clear(|place, _| place == index);
        }
        TURNS.end(self.watched.is_some());
    }
}

impl Turns {
    fn begin(&self) {
        let mut state = self.wait(|state| state.alone);
        state.others += 1;
    }

    fn begin_alone(&self) {
        let mut state = self.wait(|state| state.alone || state.others > 0);
        state.alone = true;
    }

    fn end(&self, alone: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if alone {
            state.alone = false;
        } else {
            state.others = state.others.saturating_sub(1);
        }
        self.changed.notify_all();
    }

    fn wait(&self, while_so: impl Fn(&Running) -> bool) -> std::sync::MutexGuard<'_, Running> {
        let deadline = Instant::now() + LONGEST_WAIT;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while while_so(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn who_runs_alone_waits_for_the_others_and_they_for_it() {
        static TURNS: Turns = Turns { state: Mutex::new(Running { others: 0, alone: false }), changed: Condvar::new() };
        let log = Arc::new(Mutex::new(Vec::new()));
        TURNS.begin();
        let alone = std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                TURNS.begin_alone();
                log.lock().unwrap().push("alone");
                TURNS.end(true);
            }
        });
        log.lock().unwrap().push("other");
        TURNS.end(false);
        alone.join().unwrap();
        TURNS.begin();
        TURNS.end(false);
        assert_eq!(*log.lock().unwrap(), ["other", "alone"]);
    }
}
