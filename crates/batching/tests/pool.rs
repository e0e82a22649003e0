// SPDX-License-Identifier: Apache-2.0
//! The pool under many threads: every job runs once, and no more at once than allowed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy.toml knows only tests within the crate")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tensorserve_batching::{Entry, Next, Pool, Priority, Source};

const PATIENCE: Duration = Duration::from_secs(60);

fn group(name: &str) -> Arc<str> {
    Arc::from(name)
}

#[test]
fn many_threads_submit_and_every_job_runs_once() {
    const THREADS: usize = 8;
    const JOBS: usize = 5000;
    let pool = Pool::new("test", 3, HashMap::new());
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (send, done) = mpsc::channel();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (pool, running, most, send) = (pool.clone(), Arc::clone(&running), Arc::clone(&most), send.clone());
            scope.spawn(move || {
                for at in 0..JOBS {
                    let (running, most, send) = (Arc::clone(&running), Arc::clone(&most), send.clone());
                    let job = Box::new(move || {
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        running.fetch_sub(1, Ordering::SeqCst);
                        send.send(number * JOBS + at).unwrap();
                    });
                    let priority = Priority::ALL[at % 3];
                    let group = group(&format!("model{}", at % 5));
                    pool.submit(&group, priority, job);
                }
            });
        }
    });
    let mut seen: Vec<usize> = (0..THREADS * JOBS).map(|_| done.recv_timeout(PATIENCE).unwrap()).collect();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..THREADS * JOBS));
    assert!(most.load(Ordering::SeqCst) <= 3);
    assert_eq!(pool.waiting(), 0);
}

/// Always has work of two priorities; one job runs at a time.
struct Steady {
    running: AtomicUsize,
    times: Mutex<[Duration; 3]>,
}

impl Source for Steady {
    fn next(self: Arc<Self>, priority: Priority, _: Instant) -> Next {
        if self.running.fetch_max(1, Ordering::SeqCst) == 1 {
            return Next::Busy;
        }
        let job = move || {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(2) {
                std::hint::spin_loop();
            }
            self.times.lock().unwrap()[priority as usize] += begin.elapsed();
            self.running.store(0, Ordering::SeqCst);
        };
        Next::Run { job: Box::new(job), more: false }
    }

    fn ready(&self, _: Instant) -> [bool; 3] {
        [true, false, true]
    }

    fn stopped(&self) {}
}

#[test]
fn the_patient_get_a_part_of_the_time_even_where_one_job_runs_at_a_time() {
    let pool = Pool::new("test", 4, HashMap::new());
    let steady = Arc::new(Steady { running: AtomicUsize::new(0), times: Mutex::default() });
    let source: Arc<dyn Source> = Arc::clone(&steady) as _;
    let entry = Entry::new(Arc::downgrade(&source), group("m"));
    [Priority::High, Priority::Low].into_iter().for_each(|priority| pool.wake(&entry, priority));
    let end = Instant::now() + PATIENCE;
    while steady.times.lock().unwrap()[0] < Duration::from_secs(1) {
        assert!(Instant::now() < end);
        thread::sleep(Duration::from_millis(10));
    }
    pool.stop();
    let times = *steady.times.lock().unwrap();
    let share = times[2].as_secs_f64() / times[0].as_secs_f64();
    assert!((0.01..0.3).contains(&share), "{times:?}");
}

#[test]
fn a_panic_ends_its_job_only_and_a_stop_drops_those_that_wait() {
    let pool = Pool::new("test", 1, HashMap::new());
    let (send, done) = mpsc::channel();
    pool.submit(&group("m"), Priority::Default, Box::new(|| panic!("on purpose")));
    let after = send.clone();
    pool.submit(&group("m"), Priority::Default, Box::new(move || after.send(1).unwrap()));
    assert_eq!(done.recv_timeout(PATIENCE), Ok(1));
    let (open, gate) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    let waits = move || {
        begin.send(()).unwrap();
        gate.recv().unwrap();
    };
    pool.submit(&group("m"), Priority::Default, Box::new(waits));
    pool.submit(&group("m"), Priority::Default, Box::new(move || send.send(2).unwrap()));
    begun.recv_timeout(PATIENCE).unwrap();
    pool.stop();
    // Its sender was dropped with it.
    assert_eq!(done.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
    open.send(()).unwrap();
}

/// Asks its pool something when it is dropped, as jobs do that own what uses the pool.
struct AsksWhenDropped(Pool, mpsc::Sender<usize>);

impl Drop for AsksWhenDropped {
    fn drop(&mut self) {
        self.1.send(self.0.waiting()).unwrap();
    }
}

#[test]
fn a_pool_that_stopped_drops_jobs_without_holding_itself_up() {
    let pool = Pool::new("test", 1, HashMap::new());
    pool.stop();
    let (send, dropped) = mpsc::channel();
    let job = |asks: AsksWhenDropped| Box::new(move || drop(asks));
    let submits = pool.clone();
    thread::spawn(move || {
        submits.submit(&group("a"), Priority::Default, job(AsksWhenDropped(submits.clone(), send.clone())));
        submits.submit(&group("a"), Priority::Low, job(AsksWhenDropped(submits.clone(), send)));
    });
    assert_eq!([dropped.recv_timeout(PATIENCE).unwrap(), dropped.recv_timeout(PATIENCE).unwrap()], [0, 0]);
}

#[test]
fn each_thread_rests_once_whether_it_sleeps_or_works() {
    static RESTED: Mutex<Vec<thread::ThreadId>> = Mutex::new(Vec::new());
    fn rest() {
        RESTED.lock().unwrap().push(thread::current().id());
    }
    let pool = Pool::new("test", 2, HashMap::new());
    let (go, gate) = mpsc::channel::<()>();
    let (send, done) = mpsc::channel();
    pool.submit(&group("model"), Priority::Default, Box::new(move || gate.recv().unwrap()));
    pool.submit(&group("model"), Priority::Default, Box::new(move || send.send(thread::current().id()).unwrap()));
    let sleeps = done.recv_timeout(PATIENCE).unwrap();
    pool.rest(rest);
    let wait_for = |count: usize| {
        let start = Instant::now();
        while RESTED.lock().unwrap().len() < count {
            assert!(start.elapsed() < PATIENCE);
            thread::yield_now();
        }
    };
    wait_for(1);
    assert_eq!(*RESTED.lock().unwrap(), [sleeps]);
    go.send(()).unwrap();
    wait_for(2);
    assert_ne!(RESTED.lock().unwrap()[1], sleeps);
    pool.rest(rest);
    wait_for(4);
}
