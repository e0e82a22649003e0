// SPDX-License-Identifier: Apache-2.0
//! Work that must not slow requests down: loading and freeing models.
//!
//! It is done on a thread of its own with a lower priority, which begins and ends with the work. Only so nothing else
//! is affected: an unprivileged process may lower a thread's priority but not raise it again, and threads inherit it
//! from the one that starts them. The disk is shared in the same order, because Linux derives a thread's priority there
//! from its nice value.

use std::{panic, thread};

/// Does `work` once, with a nice value that is higher by `niceness` than the process's own, and waits for it. With 0, or
/// where no thread can be started, it is done in this thread.
pub(crate) fn run<R: Send>(niceness: i32, work: impl Fn() -> R + Sync) -> R {
    if niceness <= 0 {
        return work();
    }
    let lowered = || {
        lower_priority(niceness);
        work()
    };
    thread::scope(|scope| {
        match thread::Builder::new().name("tensorserve-load".to_owned()).spawn_scoped(scope, lowered) {
            Ok(thread) => thread.join().unwrap_or_else(|payload| panic::resume_unwind(payload)),
            Err(_) => work(),
        }
    })
}

#[cfg(target_os = "linux")]
fn lower_priority(niceness: i32) {
    // SAFETY: these take and give numbers. On Linux 0 means this thread, rather than the process. Where the priority cannot
    // be changed the work is done without.
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
    fn a_panic_of_the_work_goes_on_here() {
        let panic = panic::catch_unwind(|| run(1, || panic!("of the work")));
        assert_eq!(panic.expect_err("a panic").downcast_ref::<&str>(), Some(&"of the work"));
    }
}
