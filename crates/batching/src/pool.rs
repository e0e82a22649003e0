// SPDX-License-Identifier: Apache-2.0
//! Threads that pull work of several groups (models), a bounded number at once, each group in proportion to its weight.
//!
//! A thread that is free takes the next item of the neediest group: a job, or a source of batches that it asks for one.
//! Who is neediest is the matter of [`Shares`].

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::Priority;
use crate::shares::{Item, Shares, Turn};
use crate::source::{Entry, Job, Next};
use crate::stalls::{self, MOST_EXTRA, Stalls};
use crate::timers::Timers;

/// A pool of threads, started as they are needed. Dropping the last clone ends them and drops the jobs that wait.
#[derive(Clone)]
pub struct Pool(Arc<Owner>);

struct Owner(Arc<Shared>);

pub(crate) struct Shared {
    name: String,
    limit: usize,
    state: Mutex<State>,
}

pub(crate) struct State {
    shares: Shares,
    timers: Timers,
    threads: usize,
    idle: usize,
    /// Idle threads that nobody woke, by number. The first one is woken, so that as few as will do take turns: each has
    /// memory of its own in the allocator and the processor's caches.
    sleeping: BTreeMap<usize, Arc<Condvar>>,
    /// One idle thread waits for the next timer, so that not all of them wake for it.
    timekeeper: Option<usize>,
    pub(crate) stalls: Stalls,
    /// What each thread does once when it has no work, and how often that was asked for.
    rest: Option<fn()>,
    rests: u64,
    stopping: bool,
}

impl Pool {
    /// At most `limit` (at least one) jobs run at once, on threads of this name. Groups without a weight have 1.
    pub fn new(name: impl Into<String>, limit: usize, weights: HashMap<Arc<str>, f64>) -> Self {
        Pool::make(name.into(), limit, limit.saturating_add(MOST_EXTRA / 2), weights)
    }

    /// The same; at most `group_limit` jobs of each group run at once.
    #[must_use]
    pub fn with_group_limit(self, group_limit: usize) -> Self {
        let Shared { name, limit, .. } = &*self.0.0;
        Pool::make(name.clone(), *limit, group_limit, self.0.0.lock().shares.weights().clone())
    }

    fn make(name: String, limit: usize, group_limit: usize, weights: HashMap<Arc<str>, f64>) -> Self {
        let state = Mutex::new(State::new(Shares::new(weights, group_limit)));
        Pool(Arc::new(Owner(Arc::new(Shared { name, limit: limit.max(1), state }))))
    }

    /// The groups' weights from now on; those without one have 1.
    pub fn set_weights(&self, weights: HashMap<Arc<str>, f64>) {
        self.0.0.lock().shares.set_weights(weights);
    }

    /// How many jobs run at once at most, while none of them stalls.
    pub fn limit(&self) -> usize {
        self.0.0.limit
    }

    /// Runs a job as soon as it is its group's turn, in order of arrival within its priority. A pool that was stopped
    /// drops it.
    pub fn submit(&self, group: &Arc<str>, priority: Priority, job: Job) {
        // Jobs may own what uses this pool.
        drop(self.0.0.push_and_rouse(group, priority, Item::Run(job)));
    }

    /// Lets a thread ask a source for this priority as soon as it is its group's turn.
    pub fn wake(&self, entry: &Arc<Entry>, priority: Priority) {
        if entry.ask(priority) {
            self.wake_asked(entry, priority);
        }
    }

    /// The same, once it was decided by [`Entry::ask`].
    fn wake_asked(&self, entry: &Arc<Entry>, priority: Priority) {
        if self.0.0.push_and_rouse(&entry.group, priority, Item::Ask(Arc::clone(entry))).is_some() {
            stop(entry);
        }
    }

    /// The same, when what this gives is dropped.
    pub fn wake_later(&self, entry: &Arc<Entry>, priority: Priority) -> Option<WakeLater> {
        entry.ask(priority).then(|| WakeLater { pool: self.clone(), entry: Arc::clone(entry), priority })
    }

    /// Lets a thread ask a source for this priority from `time` on.
    pub fn wake_at(&self, entry: &Arc<Entry>, priority: Priority, time: Instant) {
        if !entry.ask_at(priority, time) {
            return;
        }
        let shared = &self.0.0;
        let mut state = shared.lock();
        if state.stopping {
            drop(state);
            stop(entry);
            return;
        }
        if state.timers.set(entry, priority, time) {
            state.wake_timekeeper();
        }
        if state.threads == 0 {
            shared.start_thread(&mut state);
        }
    }

    /// Drops the jobs that wait, and takes no further ones; threads end when their job is done.
    pub fn stop(&self) {
        self.0.0.stop();
    }

    /// Lets each thread do this once, as soon as it has no work. For what only the thread itself can put in order.
    pub fn rest(&self, rest: fn()) {
        let mut state = self.0.0.lock();
        state.rest = Some(rest);
        state.rests += 1;
        state.sleeping.values().for_each(|thread| thread.notify_one());
    }

    /// Jobs, and sources with something to run, that wait for a thread.
    pub fn waiting(&self) -> usize {
        self.0.0.lock().shares.waiting()
    }

    /// Jobs that were seen to wait for something else than a processor; others run in their place.
    pub fn stalled(&self) -> usize {
        self.0.0.lock().stalls.extra()
    }
}

/// Lets a thread ask a source when it is dropped, so that the question is not lost with an event loop that ends.
pub struct WakeLater {
    pool: Pool,
    entry: Arc<Entry>,
    priority: Priority,
}

impl Drop for WakeLater {
    fn drop(&mut self) {
        self.pool.wake_asked(&self.entry, self.priority);
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Tells a source that no thread will ask it.
fn stop(entry: &Entry) {
    // First, so that what is put into the source afterwards is told of as well.
    entry.forget_questions();
    if let Some(source) = entry.source.upgrade() {
        source.stopped();
    }
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        let (items, timers) = (state.shares.clear(), std::mem::take(&mut state.timers));
        state.sleeping.values().for_each(|thread| thread.notify_one());
        drop(state);
        // Jobs may own what uses this pool.
        let asked = items.into_iter().filter_map(|item| match item {
            Item::Run(_) => None,
            Item::Ask(entry) => Some(entry),
        });
        asked.chain(timers.into_entries()).for_each(|entry| stop(&entry));
    }

    /// Takes an item in and sees to it that a thread looks for it; gives it back if no more are taken.
    fn push_and_rouse(self: &Arc<Self>, group: &Arc<str>, priority: Priority, item: Item) -> Option<Item> {
        let mut state = self.lock();
        if state.stopping {
            return Some(item);
        }
        state.shares.push(group, priority, item);
        self.rouse(&mut state, group);
        None
    }

    /// Sees to it that a thread looks for the new work of this group.
    fn rouse(self: &Arc<Self>, state: &mut State, group: &Arc<str>) {
        if !state.shares.has_room(group) {
            return;
        }
        if state.idle > 0 {
            state.wake_one();
        }
        // Threads that were woken count as idle until they run.
        if state.shares.waiting() > state.idle {
            if state.threads < self.limit + state.stalls.extra() {
                self.start_thread(state);
            } else {
                stalls::watch(self, state);
            }
        }
    }

    /// Starts as many threads as there are items that wait and places.
    pub(crate) fn start_threads(self: &Arc<Self>, state: &mut State) {
        let places = (self.limit + state.stalls.extra()).saturating_sub(state.threads);
        let waiting = state.shares.waiting().saturating_sub(state.idle);
        (0..places.min(waiting)).for_each(|_| self.start_thread(state));
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn start_thread(self: &Arc<Self>, state: &mut State) {
        let shared = Arc::clone(self);
        let number = state.stalls.new_number();
        let name = format!("{}{number}", self.name);
        // If the system gives no further thread, those that there are do the work.
        if std::thread::Builder::new().name(name).spawn(move || shared.work(number)).is_ok() {
            state.threads += 1;
        } else {
            state.stalls.ended(number);
        }
    }

    fn work(self: &Arc<Self>, number: usize) {
        let wake = Arc::new(Condvar::new());
        let mut state = self.lock();
        let mut rests = state.rests;
        loop {
            let now = Instant::now();
            state.fire_timers(now);
            if let Some(turn) = state.shares.next(now) {
                state.stalls.began(number, now);
                let unseen_timers = state.timekeeper.is_none() && !state.timers.is_empty();
                let wakes = state.idle > 0 && (state.shares.waiting() > 0 || unseen_timers);
                if wakes && matches!(turn.item, Item::Run(_)) {
                    state.wake_one();
                }
                drop(state);
                state = self.take_turn(turn, wakes, number, now);
                continue;
            }
            if state.stopping || state.threads > self.limit + state.stalls.extra() {
                state.stalls.ended(number);
                state.threads -= 1;
                if state.timekeeper.is_none() && !state.timers.is_empty() {
                    // This one would have waited for the next timer.
                    state.wake_one();
                }
                return;
            }
            match state.rest.filter(|_| std::mem::replace(&mut rests, state.rests) != state.rests) {
                None => state = wait(state, number, &wake),
                Some(rest) => {
                    drop(state);
                    rest();
                    state = self.lock();
                }
            }
        }
    }

    /// Runs what was taken, or what its source has; gives the pool back in its lock. With `wakes` another thread is woken
    /// once the source has answered: one that asked it for less urgent work first would take the place of this.
    fn take_turn(self: &Arc<Self>, turn: Turn, wakes: bool, number: usize, now: Instant) -> MutexGuard<'_, State> {
        let Turn { group, priority, charged, item } = turn;
        let (job, entry) = match item {
            Item::Run(job) => (job, None),
            Item::Ask(entry) => {
                entry.asks(priority);
                let next = || entry.source.upgrade().map_or(Next::Idle, |source| source.next(priority, now));
                match catch_unwind(AssertUnwindSafe(next)).unwrap_or(Next::Idle) {
                    Next::Run { job, more } => {
                        if more && entry.ask(priority) {
                            self.push_and_rouse(&group, priority, Item::Ask(Arc::clone(&entry)));
                        } else if wakes {
                            self.lock().wake_one();
                        }
                        (job, Some(entry))
                    }
                    Next::Idle => return self.give_back(&group, number, charged),
                    Next::Busy => {
                        let mut state = self.give_back(&group, number, charged);
                        state.shares.set_busy(&entry, priority);
                        return state;
                    }
                    Next::At(time) => {
                        let mut state = self.give_back(&group, number, charged);
                        if state.stopping {
                            drop(state);
                            stop(&entry);
                            return self.lock();
                        }
                        let is_next = entry.ask_at(priority, time) && state.timers.set(&entry, priority, time);
                        if is_next && state.timekeeper.is_some() {
                            // It waits for a later one.
                            state.wake_timekeeper();
                        }
                        return state;
                    }
                }
            }
        };
        let start = Instant::now();
        // A job answers for its own failures; the thread goes on.
        let _ = catch_unwind(AssertUnwindSafe(job));
        let end = Instant::now();
        // The last holder of a source frees it, so it is let go before the lock is taken.
        let ready = entry.as_ref().and_then(|entry| Some(entry.source.upgrade()?.ready(end)));
        let mut state = self.lock();
        state.stalls.done(number, end);
        state.shares.charge(&group, priority, charged, end - start);
        if let (Some(entry), Some(ready)) = (entry, ready) {
            if state.stopping {
                drop(state);
                stop(&entry);
                return self.lock();
            }
            // This thread looks for work next, so that no other one need be woken.
            for priority in Priority::ALL.into_iter().filter(|&priority| ready[priority as usize]) {
                if entry.ask(priority) {
                    state.shares.push(&entry.group, priority, Item::Ask(Arc::clone(&entry)));
                }
            }
        }
        state
    }

    /// A source had nothing to run.
    fn give_back(&self, group: &Arc<str>, number: usize, charged: f64) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        state.stalls.done(number, Instant::now());
        state.shares.refund(group, charged);
        state
    }
}

/// Sleeps until it is woken, or until the next timer if nobody else waits for that.
fn wait<'a>(mut state: MutexGuard<'a, State>, number: usize, wake: &Arc<Condvar>) -> MutexGuard<'a, State> {
    state.idle += 1;
    state.sleeping.insert(number, Arc::clone(wake));
    match state.timers.next().filter(|_| state.timekeeper.is_none()) {
        None => state = wake.wait(state).unwrap_or_else(PoisonError::into_inner),
        Some(time) => {
            state.timekeeper = Some(number);
            let pause = time.saturating_duration_since(Instant::now());
            state = wake.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
            state.timekeeper = None;
        }
    }
    state.sleeping.remove(&number);
    state.idle -= 1;
    state
}

impl State {
    fn new(shares: Shares) -> Self {
        State {
            shares,
            timers: Timers::default(),
            threads: 0,
            idle: 0,
            sleeping: BTreeMap::new(),
            timekeeper: None,
            stalls: Stalls::default(),
            rest: None,
            rests: 0,
            stopping: false,
        }
    }

    /// Whether work waits that would run if there were further threads.
    pub(crate) fn is_short_of_threads(&self) -> bool {
        self.shares.waiting() > self.idle && self.shares.has_work()
    }

    fn wake_one(&mut self) {
        if let Some((_, thread)) = self.sleeping.pop_first() {
            thread.notify_one();
        }
    }

    fn wake_timekeeper(&self) {
        let thread = match self.timekeeper {
            Some(number) => self.sleeping.get(&number),
            None => self.sleeping.values().next_back(),
        };
        thread.inspect(|thread| thread.notify_one());
    }

    fn fire_timers(&mut self, now: Instant) {
        while let Some((entry, priority)) = self.timers.take_due(now) {
            if entry.ask(priority) {
                self.shares.push(&entry.group, priority, Item::Ask(Arc::clone(&entry)));
            }
        }
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
