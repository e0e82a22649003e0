// SPDX-License-Identifier: Apache-2.0
//! Sessions with an intra-op pool of their own, which no option of a session can ask for.
//!
//! A switch of the process decides when the devices of a session are made, which is somewhere within a load. So the loads
//! that want such a pool take turns with those that do not; loads of one kind run side by side.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::functions::Functions;

/// A load waits no longer for those of the other kind, which a disk that hangs could hold up for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// Each pool is a thread, though an idle one; where threads are counted (as in containers), a thousand models must not take
/// a thousand.
const MOST: usize = 256;

static POOLS: AtomicUsize = AtomicUsize::new(0);

/// Counts the pool of one session, until this is dropped with it.
pub(super) struct OwnPool(());

impl OwnPool {
    /// `None` if there are as many as may be.
    fn new() -> Option<Self> {
        let own = OwnPool(());
        // Too many are counted back by the drop.
        (POOLS.fetch_add(1, Ordering::Relaxed) < MOST).then_some(own)
    }
}

impl Drop for OwnPool {
    fn drop(&mut self) {
        POOLS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Who has the turn.
struct Turn {
    own: bool,
    loads: usize,
    /// Loads that wait, by what they want.
    waiting: [usize; 2],
}

static TURN: Mutex<Turn> = Mutex::new(Turn { own: false, loads: 0, waiting: [0; 2] });
static CHANGED: Condvar = Condvar::new();

/// Whether the library has the switch, and nobody has set it for the whole process.
pub(super) fn are_possible(functions: &Functions) -> bool {
    functions.use_global_threadpool.is_some() && std::env::var_os("TF_OVERRIDE_GLOBAL_THREADPOOL").is_none()
}

/// Calls `load` while the switch stands as wanted. The session has no pool of its own, though one is wanted, if there are
/// many already or if loads of the other kind do not end.
pub(super) fn load<T>(functions: &Functions, own: bool, load: impl FnOnce() -> T) -> (T, Option<OwnPool>) {
    if !are_possible(functions) {
        return (load(), None);
    }
    let pool = if own { OwnPool::new() } else { None };
    let entered = Entered::new(functions, pool.is_some(), PATIENCE);
    (load(), pool.filter(|_| entered.own))
}

/// A load under way, until this is dropped.
struct Entered<'a> {
    functions: &'a Functions,
    own: bool,
}

impl<'a> Entered<'a> {
    fn new(functions: &'a Functions, wanted: bool, patience: Duration) -> Self {
        let end = Instant::now() + patience;
        let mut turn = lock();
        while turn.loads > 0 && (turn.own != wanted || turn.waiting[usize::from(!wanted)] > 0) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            turn.waiting[usize::from(wanted)] += 1;
            turn = CHANGED.wait_timeout(turn, left).unwrap_or_else(PoisonError::into_inner).0;
            turn.waiting[usize::from(wanted)] -= 1;
        }
        if turn.loads == 0 {
            turn.own = wanted;
            set(functions, !wanted);
        }
        turn.loads += 1;
        Entered { functions, own: turn.own }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut turn = lock();
        turn.loads -= 1;
        if turn.loads == 0 {
            // Whoever else uses the library in this process finds it as it was.
            set(self.functions, true);
            CHANGED.notify_all();
        }
    }
}

fn lock() -> MutexGuard<'static, Turn> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn set(functions: &Functions, use_global_threadpool: bool) {
    if let Some(switch) = functions.use_global_threadpool {
        // SAFETY: the symbol is a `bool` of the library, which is never closed. TensorFlow reads it in loads only, and
        // those are in this room; another user of the library in this process, such as Python's tensorflow, may read it
        // too, and gets one value or the other.
        unsafe { AtomicBool::from_ptr(switch) }.store(use_global_threadpool, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_than_the_bound() {
        let mut pools: Vec<_> = (0..MOST).map_while(|_| OwnPool::new()).collect();
        assert_eq!(pools.len(), MOST);
        assert!(OwnPool::new().is_none());
        pools.pop();
        assert!(OwnPool::new().is_some());
        drop(pools);
        assert_eq!(POOLS.load(Ordering::Relaxed), 0);
    }
}
