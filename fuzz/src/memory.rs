// SPDX-License-Identifier: Apache-2.0
//! A bound on what a piece of work may allocate.

use std::alloc::System;

use cap::Cap;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Does `work`; the process ends, which is a finding, if it has more than `bytes` allocated at once.
pub fn within<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let limit = ALLOCATOR.allocated().saturating_add(bytes);
    ALLOCATOR.set_limit(limit).expect("the limit is above what is in use");
    let result = work();
    ALLOCATOR.set_limit(usize::MAX).expect("no limit is above what is in use");
    result
}
