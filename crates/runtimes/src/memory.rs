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

/// Lets the C library keep one arena a processor instead of eight. Large tensors come from it, and what one arena has free is no
/// use to the others: with 16 arenas on 2 processors, models that are swapped took a sixth more memory. The environment's
/// `MALLOC_ARENA_MAX` has precedence.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn limit_arenas() {
    if std::env::var_os("MALLOC_ARENA_MAX").is_some() {
        return;
    }
    let processors = std::thread::available_parallelism().map_or(2, |count| count.get().max(2));
    // SAFETY: mallopt takes a number, and may be called at any time.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, i32::try_from(processors).unwrap_or(i32::MAX)) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn limit_arenas() {}

/// Other C libraries return large blocks at once, and have nothing to ask for the others.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn return_to_system() {}
