// SPDX-License-Identifier: Apache-2.0
//! Says which signal ends the process, who sent it and in which thread, and prints that thread's native stack.

use std::ffi::{c_int, c_void};
use std::io;
use std::ptr;
use std::sync::atomic::Ordering;

use super::page::{Page, thread_id};

const SIGNALS: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];

/// Sent by a supervisor that is about to end a process that does not answer.
const DUMP_ALL: c_int = libc::SIGQUIT;
const DUMP_ONE: c_int = libc::SIGUSR1;

/// Time for a thread to print its stack before the next one does.
const DUMP_PAUSE_NANOSECONDS: i64 = 20_000_000;

const STACK_FRAMES: usize = 64;
const STANDARD_ERROR: c_int = 2;

/// From now on such signals are noted in the page before they end the process.
pub(super) fn install(_page: &'static Page) -> io::Result<()> {
    print_stack(-1);
    for signal in SIGNALS {
        // SAFETY: all zero is a valid sigaction; the handler has the type that SA_SIGINFO asks for.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = note as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESETHAND | libc::SA_NODEFER;
            libc::sigemptyset(&mut action.sa_mask);
            if libc::sigaction(signal, &action, ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

/// From now on a signal prints the stacks of the threads that have said something.
pub(super) fn install_dumps() -> io::Result<()> {
    for (signal, handler) in [(DUMP_ALL, dump_all as *const ()), (DUMP_ONE, dump_one as *const ())] {
        // SAFETY: all zero is a valid sigaction; the handler takes the number of the signal.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigemptyset(&mut action.sa_mask);
            if libc::sigaction(signal, &action, ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
extern "C" fn dump_all(_signal: c_int) {
    let Some(page) = Page::get() else { return };
    for thread in page.threads() {
        let pause = libc::timespec { tv_sec: 0, tv_nsec: DUMP_PAUSE_NANOSECONDS };
        // SAFETY: a thread that is gone is an error, which is of no interest.
        unsafe {
            libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, DUMP_ONE);
            libc::nanosleep(&pause, ptr::null_mut());
        }
    }
}

#[cfg(not(target_os = "linux"))]
extern "C" fn dump_all(_signal: c_int) {}

extern "C" fn dump_one(_signal: c_int) {
    const TITLE: &[u8] = b"Stack of a thread:\n";
    // SAFETY: the text is as long as it says.
    unsafe { libc::write(STANDARD_ERROR, TITLE.as_ptr().cast(), TITLE.len()) };
    print_stack(STANDARD_ERROR);
}

/// Runs in the thread that got the signal, with the handler reset: a second signal, or this one raised again, ends the
/// process.
extern "C" fn note(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: the kernel gives a valid siginfo; which of its fields count follows from the signal, and each is a number.
    let (code, sender, address) = unsafe { ((*info).si_code, (*info).si_pid(), (*info).si_addr() as u64) };
    if let Some(page) = Page::get() {
        let crash = &page.crash;
        crash.code.store(code, Ordering::Relaxed);
        crash.sender.store(if code <= 0 { sender } else { 0 }, Ordering::Relaxed);
        crash.thread.store(thread_id(), Ordering::Relaxed);
        crash.address.store(address, Ordering::Relaxed);
        crash.signal.store(signal, Ordering::Release);
    }
    // Somebody else's signal says nothing about this thread.
    // SAFETY: getpid and raise take and give numbers.
    unsafe {
        if code > 0 || sender == libc::getpid() {
            print_stack(STANDARD_ERROR);
        }
        libc::raise(signal);
    }
}

/// Prints the stack of this thread; to no file it makes sure that the library for it is loaded, which a handler must not do.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn print_stack(file: c_int) {
    let mut frames = [ptr::null_mut(); STACK_FRAMES];
    // SAFETY: the array is as long as it says; symbols are written without an allocation.
    unsafe {
        let found = libc::backtrace(frames.as_mut_ptr(), STACK_FRAMES as c_int);
        if file >= 0 {
            libc::backtrace_symbols_fd(frames.as_ptr(), found, file);
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn print_stack(_file: c_int) {}
