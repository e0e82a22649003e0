// SPDX-License-Identifier: Apache-2.0
//! Work that must not slow requests down: loading and freeing models.
//!
//! It is done on threads of its own with a lower priority, since an unprivileged process may lower a thread's priority but
//! not raise it again. The disk is shared in the same order, because Linux derives a thread's priority there from its
//! nice value.
//!
//! The threads stay and are used again, the last one first: the C library gives each new thread another arena to
//! allocate from, and the memory of models that come and go would spread over all of them.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

type Job = Box<dyn FnOnce() + Send>;

/// A thread, as whoever has work for it sees it.
struct Worker {
    niceness: i32,
    jobs: Sender<Job>,
}

/// Those with nothing to do; the last to finish comes last.
static IDLE: Mutex<Vec<Worker>> = Mutex::new(Vec::new());

thread_local! {
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

/// Does `work` with a nice value that is higher by `niceness` than the process's own, and waits for it. With 0, where no
/// thread can be started, and within other such work, it is done in this thread.
pub(crate) fn run<R: Send + 'static>(niceness: i32, work: impl FnOnce() -> R + Send + 'static) -> R {
    if niceness <= 0 || IS_WORKER.get() {
        return work();
    }
    let Some(worker) = idle_worker(niceness) else { return work() };
    let (give, result) = channel();
    let job = Box::new(move || {
        // Nobody waits any more only if the process ends.
        let _ = give.send(panic::catch_unwind(AssertUnwindSafe(work)));
    });
    if let Err(unsent) = worker.jobs.send(job) {
        (unsent.0)();
    }
    let outcome = result.recv();
    IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
    match outcome {
        Ok(Ok(result)) => result,
        Ok(Err(payload)) => panic::resume_unwind(payload),
        Err(closed) => panic::resume_unwind(Box::new(closed)),
    }
}

fn idle_worker(niceness: i32) -> Option<Worker> {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    match idle.iter().rposition(|worker| worker.niceness == niceness) {
        Some(position) => Some(idle.remove(position)),
        None => start_worker(niceness),
    }
}

fn start_worker(niceness: i32) -> Option<Worker> {
    let (jobs, received): (Sender<Job>, Receiver<Job>) = channel();
    let work = move || {
        IS_WORKER.set(true);
        lower_priority(niceness);
        received.into_iter().for_each(|job| job());
    };
    thread::Builder::new().name("tensorserve-load".to_owned()).spawn(work).ok()?;
    Some(Worker { niceness, jobs })
}

#[cfg(target_os = "linux")]
fn lower_priority(niceness: i32) {
    // SAFETY: these take and give numbers. On Linux 0 means this thread, rather than the process. Where the priority
    // cannot be changed the work is done without.
    unsafe {
        let present = libc::getpriority(libc::PRIO_PROCESS, 0);
        libc::setpriority(libc::PRIO_PROCESS, 0, present + niceness);
    }
}

/// Elsewhere the priority belongs to the whole process.
#[cfg(not(target_os = "linux"))]
fn lower_priority(_niceness: i32) {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where it is done, and with which nice value.
    fn place() -> (thread::ThreadId, i32) {
        // SAFETY: it takes and gives numbers.
        (thread::current().id(), unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) })
    }

    #[test]
    fn without_niceness_the_work_is_done_here() {
        assert_eq!(run(0, place), place());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_priority_of_this_thread_stays() {
        let (here, before) = place();
        let (there, lowered) = run(3, place);
        assert_ne!(there, here);
        assert_eq!(lowered, (before + 3).min(19));
        assert_eq!(place(), (here, before));
    }

    #[test]
    fn a_thread_is_used_again() {
        assert_eq!(run(4, place), run(4, place));
    }

    #[test]
    fn work_within_such_work_stays_on_its_thread() {
        assert_eq!(run(5, || (place(), run(5, place))), (run(5, place), run(5, place)));
    }

    #[test]
    fn a_panic_of_the_work_goes_on_here_and_its_thread_goes_on() {
        let before = run(6, place);
        let panic = panic::catch_unwind(|| run(6, || panic!("of the work")));
        assert_eq!(panic.expect_err("a panic").downcast_ref::<&str>(), Some(&"of the work"));
        assert_eq!(run(6, place), before);
    }
}
