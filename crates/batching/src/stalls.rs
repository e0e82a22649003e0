// SPDX-License-Identifier: Apache-2.0
//! Threads in place of those whose jobs wait for something else than a processor: for memory, a disk, another process,
//! or an op that nobody knew to wait.
//!
//! While work waits for a thread, and the process uses far fewer processors than jobs have run for long, those do not
//! compute. As many further threads may run then, up to a bound, so that waiting is never the end of service.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::pool::{Shared, State};

/// Further threads at most. One group gets half of them, so that its jobs cannot take all.
pub(crate) const MOST_EXTRA: usize = 32;
/// A job that has run for this long may be one that waits.
const LONG: Duration = Duration::from_millis(200);
/// How often the watch looks while work waits.
const PERIOD: Duration = Duration::from_millis(100);
/// Jobs that compute use a processor each, as far as there are any. If they use less than this part of those, they do not.
const UNUSED: f64 = 0.25;
/// Of Linux's clock for processor time, in `/proc`.
const TICKS_PER_SECOND: f64 = 100.0;

/// The threads of a pool by number, and how many may run beyond its limit.
#[derive(Default)]
pub(crate) struct Stalls {
    threads: Vec<Thread>,
    extra: usize,
    watched: bool,
}

#[derive(Clone, Copy, Default)]
struct Thread {
    lives: bool,
    /// When its job began.
    since: Option<Instant>,
}

impl Stalls {
    /// Jobs that wait for something else than a processor, as far as was seen.
    pub(crate) fn extra(&self) -> usize {
        self.extra
    }

    /// The lowest number that no thread has.
    pub(crate) fn new_number(&mut self) -> usize {
        let free = self.threads.iter().position(|thread| !thread.lives);
        let number = free.unwrap_or_else(|| {
            self.threads.push(Thread::default());
            self.threads.len() - 1
        });
        self.threads[number].lives = true;
        number
    }

    /// A thread has ended, or could not be started.
    pub(crate) fn ended(&mut self, number: usize) {
        self.threads[number] = Thread::default();
    }

    pub(crate) fn began(&mut self, number: usize, now: Instant) {
        self.threads[number].since = Some(now);
    }

    pub(crate) fn done(&mut self, number: usize, now: Instant) {
        if self.threads[number].since.take().is_some_and(|since| now.saturating_duration_since(since) >= LONG) {
            self.extra = self.extra.saturating_sub(1);
        }
    }

    fn long_jobs(&self, now: Instant) -> usize {
        let is_long = |since: Instant| now.saturating_duration_since(since) >= LONG;
        self.threads.iter().filter(|thread| thread.since.is_some_and(is_long)).count()
    }
}

/// Watches a pool in which work waits though all threads are taken, if nobody does yet.
pub(crate) fn watch(pool: &Arc<Shared>, state: &mut State) {
    if state.stalls.watched {
        return;
    }
    let watched = Arc::clone(pool);
    let spawned = thread::Builder::new().name(format!("{}-watch", pool.name())).spawn(move || look(&watched));
    state.stalls.watched = spawned.is_ok();
}

fn look(pool: &Arc<Shared>) {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let (mut last, mut seconds) = (Instant::now(), processor_seconds());
    loop {
        thread::sleep(PERIOD);
        let (now, now_seconds) = (Instant::now(), processor_seconds());
        let used = match (seconds, now_seconds) {
            (Some(before), Some(after)) => (after - before) / (now - last).as_secs_f64(),
            _ => 0.0,
        };
        (last, seconds) = (now, now_seconds);
        let mut state = pool.lock();
        if !state.is_short_of_threads() {
            state.stalls.watched = false;
            return;
        }
        let long = state.stalls.long_jobs(now);
        if used >= UNUSED * long.min(processors) as f64 {
            continue;
        }
        let before = std::mem::replace(&mut state.stalls.extra, long.min(MOST_EXTRA));
        pool.start_threads(&mut state);
        drop(state);
        if before == 0 && long > 0 {
            tensorserve_log::warning!(
                "{}: {long} runs hold their threads for more than {} ms and use {used:.1} processors: they wait for memory, a disk \
                 or another process. Up to {MOST_EXTRA} further threads stand in for them.",
                pool.name(),
                LONG.as_millis()
            );
        }
    }
}

/// What all threads of this process have used.
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, which may hold spaces, stands in parentheses before the other fields.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse::<f64>().ok()?, fields.next()?.parse::<f64>().ok()?);
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_threads_that_ended_are_used_again() {
        let mut stalls = Stalls::default();
        assert_eq!([0, 1, 2].map(|_| stalls.new_number()), [0, 1, 2]);
        stalls.ended(1);
        assert_eq!([1, 3].map(|_| stalls.new_number()), [1, 3]);
    }

    #[test]
    fn long_jobs_are_counted_until_they_end() {
        let (mut stalls, now) = (Stalls::default(), Instant::now());
        let [first, second] = [0, 1].map(|_| stalls.new_number());
        stalls.began(first, now);
        stalls.began(second, now + LONG);
        assert_eq!((stalls.long_jobs(now), stalls.long_jobs(now + LONG)), (0, 1));
        stalls.extra = 1;
        stalls.done(second, now + LONG);
        assert_eq!(stalls.extra(), 1);
        stalls.done(first, now + LONG);
        assert_eq!((stalls.extra(), stalls.long_jobs(now + LONG)), (0, 0));
    }

    #[test]
    fn processor_time_goes_on() {
        assert!(processor_seconds().is_some_and(|seconds| seconds >= 0.0));
    }
}
