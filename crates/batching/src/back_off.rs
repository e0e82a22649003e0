// SPDX-License-Identifier: Apache-2.0
//! Keeps off what has failed: for a number of steps at first, for twice as many after each further failure.

use std::sync::atomic::{AtomicU32, Ordering};

/// The number of steps is doubled this often at most, so that it stays a number.
const MOST_DOUBLINGS: u32 = 16;

/// An exponential back-off. A race between threads loses a step at worst.
#[derive(Debug, Default)]
pub struct BackOff {
    left: AtomicU32,
    failures: AtomicU32,
}

impl BackOff {
    pub const fn new() -> Self {
        BackOff { left: AtomicU32::new(0), failures: AtomicU32::new(0) }
    }

    /// Begins anew: `steps` if this is the first failure, doubled for each one before.
    pub fn fail(&self, steps: u32) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(MOST_DOUBLINGS);
        self.left.store(steps.saturating_mul(1 << failures), Ordering::Relaxed);
    }

    /// One step has passed.
    pub fn step(&self) {
        let left = self.left.load(Ordering::Relaxed);
        if left > 0 {
            self.left.store(left - 1, Ordering::Relaxed);
        }
    }

    /// Whether steps are left.
    pub fn is_on(&self) -> bool {
        self.left.load(Ordering::Relaxed) > 0
    }

    /// Forgets all failures.
    pub fn reset(&self) {
        self.left.store(0, Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(back_off: &BackOff) -> usize {
        std::iter::from_fn(|| back_off.is_on().then(|| back_off.step())).count()
    }

    #[test]
    fn each_failure_doubles_the_steps() {
        let back_off = BackOff::new();
        assert!(!back_off.is_on());
        for expected in [3, 6, 12] {
            back_off.fail(3);
            assert_eq!(steps(&back_off), expected);
        }
        back_off.fail(3);
        back_off.reset();
        assert!(!back_off.is_on());
        back_off.fail(3);
        assert_eq!(steps(&back_off), 3);
        (0..100).for_each(|_| back_off.fail(u32::MAX));
        assert!(back_off.is_on());
    }
}
