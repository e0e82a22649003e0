// SPDX-License-Identifier: Apache-2.0
//! Which threads a pool starts, wakes and ends.

use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::Duration;

use super::*;
use crate::source::Source;

const LIMIT: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);

fn submit(pool: &Pool, job: impl FnOnce() + Send + 'static) {
    pool.submit(&Arc::from("model"), Priority::Default, Box::new(job));
}

fn with_all_threads() -> Pool {
    let (pool, all_at_once) = (Pool::new("test", LIMIT, HashMap::new()), Arc::new(Barrier::new(LIMIT + 1)));
    for _ in 0..LIMIT {
        let all_at_once = Arc::clone(&all_at_once);
        submit(&pool, move || {
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
        submit(&pool, move || send.send(thread::current().name().unwrap().to_owned()).unwrap());
        assert_eq!(names.recv().unwrap(), "test0");
    }
}

/// Has this many jobs, one after the other. Each tells its thread and how many others sleep.
struct Countdown(Mutex<usize>, Pool, mpsc::Sender<(thread::ThreadId, usize)>);

impl Source for Countdown {
    fn next(self: Arc<Self>, _: Priority, _: Instant) -> Next {
        let mut left = self.0.lock().unwrap();
        if *left == 0 {
            return Next::Idle;
        }
        *left -= 1;
        let source = Arc::clone(&self);
        let job = Box::new(move || {
            let sleeping = source.1.0.0.lock().sleeping.len();
            source.2.send((thread::current().id(), sleeping)).unwrap();
        });
        Next::Run { job, more: false }
    }

    fn ready(&self, _: Instant) -> [bool; 3] {
        [false, *self.0.lock().unwrap() > 0, false]
    }

    fn stopped(&self) {}
}

#[test]
fn the_thread_of_a_job_asks_its_source_next_and_wakes_no_other() {
    let (pool, (send, asleep)) = (with_all_threads(), mpsc::channel());
    for _ in 0..40 {
        wait_until_all_sleep(&pool);
        let source = Arc::new(Countdown(Mutex::new(3), pool.clone(), send.clone()));
        let weak = Arc::downgrade(&source) as std::sync::Weak<dyn Source>;
        pool.wake(&Entry::new(weak, Arc::from("model")), Priority::Default);
        let seen: Vec<_> = asleep.iter().take(3).collect();
        assert!(seen.iter().all(|&(thread, sleeping)| (thread, sleeping) == (seen[0].0, LIMIT - 1)), "{seen:?}");
    }
}

/// Has nothing before a time.
struct Later(Instant, mpsc::Sender<bool>);

impl Source for Later {
    fn next(self: Arc<Self>, _: Priority, now: Instant) -> Next {
        if now < self.0 {
            return Next::At(self.0);
        }
        self.1.send(true).unwrap();
        Next::Idle
    }

    fn ready(&self, _: Instant) -> [bool; 3] {
        [false; 3]
    }

    fn stopped(&self) {
        self.1.send(false).unwrap();
    }
}

#[test]
fn a_source_is_asked_again_when_its_time_has_come() {
    let (pool, (send, fired)) = (with_all_threads(), mpsc::channel());
    for (number, millis) in [1, 3, 2].into_iter().enumerate() {
        wait_until_all_sleep(&pool);
        let time = Instant::now() + Duration::from_millis(millis);
        let source: Arc<dyn Source> = Arc::new(Later(time, send.clone()));
        let entry = Entry::new(Arc::downgrade(&source), Arc::from("model"));
        match number {
            0 => pool.wake(&entry, Priority::Default),
            _ => pool.wake_at(&entry, Priority::Default, time),
        }
        assert_eq!(fired.recv_timeout(PATIENCE), Ok(true));
    }
}

#[test]
fn a_source_is_told_that_the_pool_stops_and_each_time_that_it_comes_afterwards() {
    let (pool, (send, told)) = (with_all_threads(), mpsc::channel());
    let hour = Instant::now() + Duration::from_secs(3600);
    let source: Arc<dyn Source> = Arc::new(Later(hour, send));
    let entry = Entry::new(Arc::downgrade(&source), Arc::from("model"));
    pool.wake_at(&entry, Priority::Default, hour);
    pool.stop();
    assert_eq!(told.recv_timeout(PATIENCE), Ok(false));
    for _ in 0..2 {
        pool.wake(&entry, Priority::Low);
        assert_eq!(told.recv_timeout(PATIENCE), Ok(false));
        // Later than what a thread was to ask at before.
        pool.wake_at(&entry, Priority::Default, hour + Duration::from_secs(1));
        assert_eq!(told.recv_timeout(PATIENCE), Ok(false));
    }
}

#[test]
fn a_thread_that_leaves_lets_another_wait_for_the_next_timer() {
    let (pool, (send, fired)) = (with_all_threads(), mpsc::channel());
    wait_until_all_sleep(&pool);
    // As if another one had stood in for a job that waits.
    pool.0.0.lock().threads += 1;
    let source: Arc<dyn Source> = Arc::new(Later(Instant::now() + Duration::from_millis(20), send));
    pool.wake(&Entry::new(Arc::downgrade(&source), Arc::from("model")), Priority::Default);
    assert_eq!(fired.recv_timeout(PATIENCE), Ok(true));
    assert_eq!(pool.0.0.lock().threads, LIMIT);
}

#[test]
fn jobs_that_wait_for_no_processor_are_not_the_end_of_service() {
    let (pool, (open, gate), (send, done)) =
        (Pool::new("test", 2, HashMap::new()), mpsc::channel::<()>(), mpsc::channel());
    let gate = Arc::new(Mutex::new(gate));
    for _ in 0..6 {
        let gate = Arc::clone(&gate);
        submit(&pool, move || {
            let _ = gate.lock().unwrap().recv();
        });
    }
    submit(&pool, move || send.send(()).unwrap());
    assert_eq!(done.recv_timeout(PATIENCE), Ok(()));
    drop(open);
    while pool.0.0.lock().threads > 2 {
        thread::yield_now();
    }
}
