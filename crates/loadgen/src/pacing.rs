// SPDX-License-Identifier: Apache-2.0
//! When the requests of an open loop are to be sent.
//!
//! A thread sleeps until each is due, because the timers of the event loop only know milliseconds.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::report::Shared;

/// How often a thread that has nothing to send looks whether it shall stop.
const LOOK: Duration = Duration::from_millis(50);

/// The moments at which requests are due, from `start` to `end`, each handed over when it has come.
pub(crate) fn due(schedule: Schedule, end: Instant, shared: Arc<Shared>) -> io::Result<UnboundedReceiver<Instant>> {
    let (sender, receiver) = unbounded_channel();
    thread::Builder::new().name("tensorserve-pace".to_owned()).spawn(move || {
        for moment in schedule.take_while(|moment| *moment < end) {
            while let Some(left) = moment.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                if shared.is_stopped() {
                    return;
                }
                thread::sleep(left.min(LOOK));
            }
            if shared.is_stopped() || sender.send(moment).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// Moments at a rate; never ends.
pub(crate) struct Schedule {
    next: Instant,
    seconds_between: f64,
    /// The state of the generator of random distances; `None` for even ones.
    random: Option<u64>,
}

impl Schedule {
    /// `rate` moments a second from `start` on, at random distances if there is a seed.
    pub(crate) fn new(start: Instant, rate: f64, seed: Option<u64>) -> Self {
        Schedule { next: start, seconds_between: 1.0 / rate, random: seed }
    }
}

impl Iterator for Schedule {
    type Item = Instant;

    fn next(&mut self) -> Option<Instant> {
        let moment = self.next;
        // Distances between events that know nothing of each other are exponentially distributed.
        let stretch = self.random.as_mut().map_or(1.0, |state| -(1.0 - uniform(state)).ln());
        self.next = moment.checked_add(Duration::try_from_secs_f64(self.seconds_between * stretch).ok()?)?;
        Some(moment)
    }
}

/// A number from 0 to less than 1 (SplitMix64).
pub(crate) fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_distances() {
        let start = Instant::now();
        let moments: Vec<_> = Schedule::new(start, 1000.0, None).take(4).map(|moment| moment - start).collect();
        assert_eq!(moments, [0, 1, 2, 3].map(Duration::from_millis));
    }

    #[test]
    fn random_distances_have_the_rate_and_the_spread_of_independent_events() {
        let start = Instant::now();
        let moments: Vec<_> = Schedule::new(start, 100.0, Some(7)).take(20_001).collect();
        let gaps: Vec<f64> = moments.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean - 0.01).abs() < 0.0003, "{mean}");
        assert!((variance.sqrt() - mean).abs() < 0.0005, "{variance}");
    }

    #[test]
    fn nothing_is_due_early() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 500.0, None);
        let mut due = due(schedule, start + Duration::from_millis(20), Arc::default()).unwrap();
        let mut count = 0;
        while let Some(moment) = due.blocking_recv() {
            assert!(moment <= Instant::now());
            count += 1;
        }
        assert_eq!(count, 10);
    }
}
