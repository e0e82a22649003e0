// SPDX-License-Identifier: Apache-2.0
//! Whether the load is still the one under which ways were compared, by what the way in use does.

/// If the way in use does this many times more or less than it did, there is another load.
const CHANGE: f64 = 1.6;
/// If it does so over a longer time, the load has drifted.
const DRIFT: f64 = 1.2;
/// Neither is said again before this number of windows: on a busy machine everything changes all the time.
const SETTLED: u64 = 200;
/// The part of a new window in the mean of recent ones, and in that over a longer time.
const RECENT: f64 = 1.0 / 4.0;
const LONGER: f64 = 1.0 / 32.0;

/// What has become of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    Same,
    /// Ways that were close before may be better now.
    Drifted,
    /// Nothing is known of it.
    Other,
}

/// What the way in use did when ways were compared, and does now, in rows a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Baseline {
    rate: f64,
    /// The window at which this was seen first.
    since: u64,
    /// One odd window is no change, so means count.
    recent: f64,
    longer: f64,
}

impl Baseline {
    pub(crate) fn new(rate: f64, now: u64) -> Self {
        Baseline { rate, since: now, recent: rate, longer: rate }
    }

    /// Takes in what the way in use did in the window of this number. If that is not the same load, it is the new baseline.
    pub(crate) fn follow(&mut self, rate: f64, now: u64) -> Load {
        self.recent += (rate - self.recent) * RECENT;
        self.longer += (rate - self.longer) * LONGER;
        if now - self.since <= SETTLED {
            self.rate = self.longer;
            return Load::Same;
        }
        let load = if differ(self.rate, self.recent, CHANGE) {
            Load::Other
        } else if differ(self.rate, self.longer, DRIFT) {
            Load::Drifted
        } else {
            return Load::Same;
        };
        *self = Baseline::new(self.recent, now);
        load
    }
}

fn differ(one: f64, other: f64, times: f64) -> bool {
    one > times * other || other > times * one
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of phases, each a rate and a number of windows, without what stays the same.
    fn said(phases: &[(f64, u64)]) -> Vec<Load> {
        let (mut baseline, mut now) = (Baseline::new(phases[0].0, 0), 0);
        let mut said = Vec::new();
        for &(rate, windows) in phases {
            for _ in 0..windows {
                now += 1;
                said.extend(Some(baseline.follow(rate, now)).filter(|&load| load != Load::Same));
            }
        }
        said
    }

    #[test]
    fn what_stays_about_the_same_is_the_same_load() {
        assert_eq!(said(&[(100.0, 300), (110.0, 300), (90.0, 300)]), []);
    }

    #[test]
    fn a_drift_is_noticed_once_and_a_change_at_once() {
        assert_eq!(said(&[(100.0, 300), (130.0, 300)]), [Load::Drifted]);
        assert_eq!(said(&[(100.0, 300), (70.0, 300)]), [Load::Drifted]);
        assert_eq!(said(&[(100.0, 300), (1000.0, 1)]), [Load::Other]);
        assert_eq!(said(&[(100.0, 300), (10.0, 4)]), [Load::Other]);
    }

    #[test]
    fn odd_windows_are_no_change() {
        assert_eq!(said(&[(100.0, 300), (10.0, 1), (100.0, 50), (200.0, 1), (100.0, 50)]), []);
    }

    #[test]
    fn nothing_is_said_too_often() {
        let swings: Vec<_> = (0..20).map(|number| (if number % 2 == 0 { 100.0 } else { 1000.0 }, 60)).collect();
        assert!((1..=6).contains(&said(&swings).len()), "{:?}", said(&swings));
    }
}
