// SPDX-License-Identifier: Apache-2.0
//! Memory that Rust has freed goes back to the system.
//!
//! The allocator gives freed memory back while its thread goes on allocating. A thread that goes quiet after a flood keeps it.

/// Gives back what this thread has freed. Takes milliseconds for hundreds of megabytes, so it is for quiet times.
pub fn give_back_freed() {
    // SAFETY: mi_collect has no requirements; it looks at the heap of the calling thread.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
