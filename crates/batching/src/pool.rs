// SPDX-License-Identifier: Apache-2.0
//! Threads that run jobs of several groups (models), a bounded number at once, each group in proportion to its weight.
//!
//! The groups' shares are of measured run time: each has a clock that runs at the time its jobs took divided by its
//! weight, and the one furthest behind goes next. Unlike rounds with a quantum (deficit round robin) that needs no idea
//! of how long a job will take, and a group that was idle for long has nothing saved up.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Priority;
use crate::priority::Turns;

/// Something to run once.
pub type Job = Box<dyn FnOnce() + Send>;

/// Who submits a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitter {
    Anyone,
    /// A job of the same pool, as the last thing that it does: its thread looks for work next, so no other is woken.
    EndingJob,
}

/// Idle groups are forgotten once there are more than this.
const REMEMBERED_GROUPS: usize = 256;

/// A pool of threads, started as they are needed. Dropping the last clone ends them and drops the jobs that wait.
#[derive(Clone)]
pub struct Pool(Arc<Owner>);

struct Owner(Arc<Shared>);

struct Shared {
    name: String,
    limit: usize,
    group_limit: usize,
    weights: HashMap<Arc<str>, f64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    groups: HashMap<Arc<str>, Group>,
    /// Jobs that wait, by priority.
    waiting: [usize; 3],
    timers: BinaryHeap<Reverse<Timer>>,
    timers_set: u64,
    turns: Turns,
    /// The clock of the group that was last served: where one that was idle joins.
    clock: f64,
    threads: usize,
    idle: usize,
    /// Idle threads that nobody woke, by number. The first one is woken, so that as few as will do take turns: each has
    /// memory of its own in the allocator and the processor's caches.
    sleeping: BTreeMap<usize, Arc<Condvar>>,
    /// One idle thread waits for the next timer, so that not all of them wake for it.
    timekeeper: Option<usize>,
    stopping: bool,
}

struct Group {
    jobs: [VecDeque<Job>; 3],
    clock: f64,
    weight: f64,
    running: usize,
    /// Seconds that its jobs took lately.
    usual: f64,
}

struct Timer {
    time: Instant,
    number: u64,
    group: Arc<str>,
    priority: Priority,
    job: Job,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time, self.number).cmp(&(other.time, other.number))
    }
}

/// A job that was taken out to be run.
struct Turn {
    group: Arc<str>,
    priority: Priority,
    /// What the group was charged in advance.
    charged: f64,
    job: Job,
}

impl Pool {
    /// At most `limit` (at least one) jobs run at once, on threads of this name. Groups without a weight have 1.
    pub fn new(name: impl Into<String>, limit: usize, weights: HashMap<Arc<str>, f64>) -> Self {
        Pool::make(name.into(), limit, limit, weights)
    }

    /// The same; at most `group_limit` jobs of each group run at once.
    #[must_use]
    pub fn with_group_limit(self, group_limit: usize) -> Self {
        let Shared { name, limit, weights, .. } = &*self.0.0;
        Pool::make(name.clone(), *limit, group_limit, weights.clone())
    }

    fn make(name: String, limit: usize, group_limit: usize, weights: HashMap<Arc<str>, f64>) -> Self {
        let (limit, group_limit, state) = (limit.max(1), group_limit.max(1), Mutex::default());
        Pool(Arc::new(Owner(Arc::new(Shared { name, limit, group_limit, weights, state }))))
    }

    /// How many jobs run at once at most.
    pub fn limit(&self) -> usize {
        self.0.0.limit
    }

    /// Runs a job as soon as it is its group's turn. A pool that was stopped drops it.
    pub fn submit(&self, by: Submitter, group: &Arc<str>, priority: Priority, job: Job) {
        let shared = &self.0.0;
        let mut state = shared.lock();
        let refused = state.push(shared, group, priority, job);
        if by == Submitter::Anyone {
            shared.rouse(&mut state);
        }
        drop(state);
        // Jobs may own what uses this pool.
        drop(refused);
    }

    /// The same, from `time` on.
    pub fn submit_at(&self, time: Instant, by: Submitter, group: &Arc<str>, priority: Priority, job: Job) {
        let shared = &self.0.0;
        let mut state = shared.lock();
        if state.stopping {
            // As above.
            drop(state);
            drop(job);
            return;
        }
        state.timers_set += 1;
        let number = state.timers_set;
        let is_next = state.timers.peek().is_none_or(|Reverse(next)| time < next.time);
        state.timers.push(Reverse(Timer { time, number, group: Arc::clone(group), priority, job }));
        if is_next && (by == Submitter::Anyone || state.timekeeper.is_some()) {
            // Whoever waits for another timer has to look again.
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

    /// Jobs that wait for a thread.
    pub fn waiting(&self) -> usize {
        self.0.0.lock().waiting.iter().sum()
    }

    /// Whether a job would start at once.
    pub fn has_free_thread(&self) -> bool {
        let state = self.0.0.lock();
        state.waiting.iter().sum::<usize>() < state.idle + (self.0.0.limit - state.threads)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        let (groups, timers) = (std::mem::take(&mut state.groups), std::mem::take(&mut state.timers));
        state.waiting = [0; 3];
        state.sleeping.values().for_each(|thread| thread.notify_one());
        drop(state);
        // Jobs may own what uses this pool.
        drop((groups, timers));
    }

    /// Sees to it that a thread looks for jobs.
    fn rouse(self: &Arc<Self>, state: &mut State) {
        let waiting: usize = state.waiting.iter().sum();
        if state.idle > 0 {
            state.wake_one();
        }
        // Threads that were woken count as idle until they run.
        if waiting > state.idle && state.threads < self.limit {
            self.start_thread(state);
        }
    }

    fn start_thread(self: &Arc<Self>, state: &mut State) {
        let shared = Arc::clone(self);
        let number = state.threads;
        let name = format!("{}{number}", self.name);
        // If the system gives no further thread, those that there are do the work.
        if std::thread::Builder::new().name(name).spawn(move || shared.work(number)).is_ok() {
            state.threads += 1;
        }
    }

    fn work(&self, number: usize) {
        let wake = Arc::new(Condvar::new());
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            state.fire_timers(self, now);
            if let Some(turn) = state.next(now, self.group_limit) {
                if state.idle > 0 && (state.waiting != [0; 3] || state.timekeeper.is_none() && !state.timers.is_empty())
                {
                    state.wake_one();
                }
                drop(state);
                let start = Instant::now();
                // A job answers for its own failures; the thread goes on.
                let _ = catch_unwind(AssertUnwindSafe(turn.job));
                let took = start.elapsed();
                state = self.lock();
                state.turns.had(turn.priority, took);
                state.charge(&turn.group, turn.charged, took);
                continue;
            }
            if state.stopping {
                return;
            }
            state = wait(state, number, &wake);
        }
    }
}

/// Sleeps until it is woken, or until the next timer if nobody else waits for that.
fn wait<'a>(mut state: MutexGuard<'a, State>, number: usize, wake: &Arc<Condvar>) -> MutexGuard<'a, State> {
    state.idle += 1;
    state.sleeping.insert(number, Arc::clone(wake));
    let next = state.timers.peek().map(|Reverse(timer)| timer.time);
    match next.filter(|_| state.timekeeper.is_none()) {
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

    /// Takes a job in; gives it back if no more are taken.
    fn push(&mut self, shared: &Shared, group: &Arc<str>, priority: Priority, job: Job) -> Option<Job> {
        if self.stopping {
            return Some(job);
        }
        let clock = self.clock;
        let group = match self.groups.get_mut(group) {
            Some(group) => group,
            None => self.groups.entry(Arc::clone(group)).or_insert_with(|| Group::new(shared.weight(group))),
        };
        if group.running == 0 && group.jobs.iter().all(VecDeque::is_empty) {
            group.clock = group.clock.max(clock);
        }
        group.jobs[priority as usize].push_back(job);
        self.waiting[priority as usize] += 1;
        None
    }

    fn fire_timers(&mut self, shared: &Shared, now: Instant) {
        while self.timers.peek().is_some_and(|Reverse(timer)| timer.time <= now) {
            if let Some(Reverse(timer)) = self.timers.pop() {
                // Never refused: a pool that stops has no timers.
                let _ = self.push(shared, &timer.group, timer.priority, timer.job);
            }
        }
    }

    /// The next job: of the most urgent priority that waits, of the group that is furthest behind.
    fn next(&mut self, now: Instant, group_limit: usize) -> Option<Turn> {
        if self.waiting == [0; 3] {
            return None;
        }
        let order = self.turns.order(self.waiting.map(|jobs| jobs > 0), now);
        let priority = order.into_iter().find(|&priority| self.waiting[priority as usize] > 0)?;
        let level = priority as usize;
        let may_run = |group: &Group| group.running < group_limit && !group.jobs[level].is_empty();
        let waits = self.groups.iter_mut().filter(|(_, group)| may_run(group));
        let (name, group) = waits.min_by(|(_, a), (_, b)| a.clock.total_cmp(&b.clock))?;
        let job = group.jobs[level].pop_front()?;
        self.waiting[level] -= 1;
        self.clock = group.clock;
        let charged = group.usual / group.weight;
        group.clock += charged;
        group.running += 1;
        Some(Turn { group: Arc::clone(name), priority, charged, job })
    }

    /// Replaces what a group was charged in advance by what its job took.
    fn charge(&mut self, name: &Arc<str>, charged: f64, took: Duration) {
        let Some(group) = self.groups.get_mut(name) else { return };
        let took = took.as_secs_f64();
        group.clock += took / group.weight - charged;
        group.usual += (took - group.usual) / 8.0;
        group.running -= 1;
        if self.groups.len() > REMEMBERED_GROUPS {
            let clock = self.clock;
            self.groups.retain(|_, group| !group.is_idle() || group.clock > clock);
        }
    }
}

impl Shared {
    fn weight(&self, group: &str) -> f64 {
        self.weights.get(group).copied().filter(|weight| *weight > 0.0).unwrap_or(1.0)
    }
}

impl Group {
    fn new(weight: f64) -> Self {
        Group { jobs: Default::default(), clock: 0.0, weight, running: 0, usual: 0.0 }
    }

    fn is_idle(&self) -> bool {
        self.running == 0 && self.jobs.iter().all(VecDeque::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, mpsc};
    use std::thread;

    use super::*;

    const LIMIT: usize = 4;

    fn submit(pool: &Pool, by: Submitter, job: impl FnOnce() + Send + 'static) {
        pool.submit(by, &Arc::from("model"), Priority::Default, Box::new(job));
    }

    fn with_all_threads() -> Pool {
        let (pool, all_at_once) = (Pool::new("test", LIMIT, HashMap::new()), Arc::new(Barrier::new(LIMIT + 1)));
        for _ in 0..LIMIT {
            let all_at_once = Arc::clone(&all_at_once);
            submit(&pool, Submitter::Anyone, move || {
                all_at_once.wait();
            });
        }
        all_at_once.wait();
        pool
    }

    fn wait_until_all_sleep(pool: &Pool) {
        while pool.0.0.lock().sleeping.len() < LIMIT {
            thread::yield_now();
        }
    }

    #[test]
    fn as_few_threads_as_will_do_take_turns() {
        let (pool, (send, names)) = (with_all_threads(), mpsc::channel());
        for _ in 0..40 {
            wait_until_all_sleep(&pool);
            let send = send.clone();
            submit(&pool, Submitter::Anyone, move || send.send(thread::current().name().unwrap().to_owned()).unwrap());
            assert_eq!(names.recv().unwrap(), "test0");
        }
    }

    #[test]
    fn what_an_ending_job_submits_is_run_by_its_thread_and_wakes_no_other() {
        let (pool, (send, asleep)) = (with_all_threads(), mpsc::channel());
        for _ in 0..40 {
            wait_until_all_sleep(&pool);
            let (submits, send) = (pool.clone(), send.clone());
            submit(&pool, Submitter::Anyone, move || {
                let (first, again) = (thread::current().id(), submits.clone());
                submit(&submits, Submitter::EndingJob, move || {
                    let sleeping = again.0.0.lock().sleeping.len();
                    send.send((first == thread::current().id(), sleeping)).unwrap();
                });
            });
            assert_eq!(asleep.recv().unwrap(), (true, LIMIT - 1));
        }
    }

    #[test]
    fn a_timer_that_an_ending_job_sets_fires() {
        let (pool, (send, fired)) = (with_all_threads(), mpsc::channel());
        for millis in [1, 3, 2] {
            wait_until_all_sleep(&pool);
            let (submits, send) = (pool.clone(), send.clone());
            submit(&pool, Submitter::Anyone, move || {
                let time = Instant::now() + Duration::from_millis(millis);
                let job = Box::new(move || send.send(Instant::now() >= time).unwrap());
                submits.submit_at(time, Submitter::EndingJob, &Arc::from("model"), Priority::Default, job);
            });
        }
        assert_eq!(fired.iter().take(3).collect::<Vec<_>>(), [true; 3]);
    }
}
