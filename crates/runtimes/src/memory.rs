// SPDX-License-Identifier: Apache-2.0
//! Memory of models that were freed goes back to the system.
//!
//! TensorFlow allocates with the C library's `malloc`, which keeps what is freed for the next allocation, so that a
//! process that served large models stays large. Asking for it to be returned takes milliseconds, so small models
//! are freed several at a time.

use std::sync::atomic::{AtomicU64, Ordering};

/// Freed since memory was last returned, in bytes.
static FREED: AtomicU64 = AtomicU64::new(0);

/// Worth to be returned.
const ENOUGH_BYTES: u64 = 8 << 20;

/// What a session costs at least, beside its variables: graphs, kernels, plans.
const LEAST_BYTES: u64 = 256 << 10;

/// Belongs to what holds `bytes` of memory, and is dropped after it.
pub(crate) struct Reclaim {
    pub(crate) bytes: u64,
}

impl Drop for Reclaim {
    fn drop(&mut self) {
        let bytes = self.bytes.max(LEAST_BYTES);
        if FREED.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) >= ENOUGH_BYTES {
            FREED.store(0, Ordering::Relaxed);
            return_to_system();
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn return_to_system() {
    // SAFETY: malloc_trim has no requirements; it may run beside any other use of the allocator.
    unsafe { libc::malloc_trim(0) };
}

/// Other C libraries return large blocks at once, and have nothing to ask for the others.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn return_to_system() {}
