// SPDX-License-Identifier: Apache-2.0
//! Measures how many rows a second are done, in windows of time.

use std::time::Instant;

use crate::ewma::Ewma;
use crate::settings::{CostSettings, TunerSettings};

/// What happened since the start, as of a moment at which work was done.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    pub now: Instant,
    /// Rows done since the start.
    pub rows: u64,
    /// Rows in flight now.
    pub in_flight: usize,
}

/// What a window has shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    /// Rows a second.
    pub(crate) rate: f64,
    /// Whether most reports saw more than one row in flight, so that it matters how they are run.
    pub(crate) busy: bool,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    start: Report,
    reports: u32,
    shared: u32,
}

/// Opens windows and closes them.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    window: Option<Window>,
    /// Rows that were begun under another strategy and have to be done before a window opens.
    unsettled: u64,
    /// When work was last done, and the seconds that it usually takes until more is.
    last: Option<Instant>,
    spacing: Ewma,
}

impl Meter {
    /// Takes in a report; gives what the window shows if it is complete, which takes `fewest` reports. The next one begins then.
    pub(crate) fn report(&mut self, report: Report, fewest: u32, settings: &TunerSettings) -> Option<Measured> {
        let after_lull = self.is_after_lull(report.now);
        let Some(window) = self.window.as_mut().filter(|_| !after_lull) else {
            self.open(report);
            return None;
        };
        // Whoever counted first may report last.
        let rows = report.rows.saturating_sub(window.start.rows);
        if self.unsettled > 0 {
            if rows >= self.unsettled {
                self.unsettled = 0;
                self.open(report);
            }
            return None;
        }
        window.reports += 1;
        window.shared += u32::from(report.in_flight > 1);
        let elapsed = report.now.saturating_duration_since(window.start.now);
        if elapsed < settings.window || rows < settings.rows || window.reports < fewest {
            return None;
        }
        let measured = Measured { rate: rows as f64 / elapsed.as_secs_f64(), busy: 2 * window.shared > window.reports };
        self.open(report);
        Some(measured)
    }

    /// Another strategy is in use from now on: the rows that are in flight are not its own.
    pub(crate) fn settle(&mut self, in_flight: usize) {
        self.unsettled = in_flight as u64;
    }

    fn open(&mut self, start: Report) {
        self.window = Some(Window { start, reports: 0, shared: 0 });
    }

    /// If nothing was done for far longer than usual there was nothing to do, or the machine stood still. A window with such a
    /// lull says nothing.
    fn is_after_lull(&mut self, now: Instant) -> bool {
        let Some(last) = self.last.replace(now) else { return false };
        let gap = now.saturating_duration_since(last).as_secs_f64();
        let is_lull = gap > CostSettings::DEFAULT.surprise.as_secs_f64() && self.spacing.is_outlier(gap);
        self.spacing.add(gap);
        is_lull
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SETTINGS: TunerSettings = TunerSettings::DEFAULT;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_window_has_its_time_rows_and_reports() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        let mut report = |at, rows| meter.report(Report { now: start + millis(at), rows, in_flight: 2 }, 2, &SETTINGS);
        assert_eq!(report(0, 100), None);
        assert_eq!(report(24, 150), None, "too short");
        assert_eq!(report(50, 200), Some(Measured { rate: 2000.0, busy: true }));
        assert_eq!((report(80, 210), report(90, 215)), (None, None), "too few rows");
        assert_eq!(report(100, 216), Some(Measured { rate: 320.0, busy: true }));
        assert_eq!(report(130, 300), None, "one report");
    }

    #[test]
    fn rows_of_another_strategy_do_not_count() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        meter.settle(30);
        let mut report = |at, rows| meter.report(Report { now: start + millis(at), rows, in_flight: 1 }, 1, &SETTINGS);
        assert_eq!([report(0, 0), report(30, 20), report(60, 40)], [None; 3]);
        assert_eq!(report(90, 100), Some(Measured { rate: 2000.0, busy: false }));
    }

    #[test]
    fn a_lull_is_not_a_rate() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        let mut rates = Vec::new();
        for number in 0..4000 {
            // A second of nothing behind each 100 reports.
            let now = start + millis(number + 1000 * (number / 100));
            rates.extend(meter.report(Report { now, rows: 10 * number, in_flight: 2 }, 2, &SETTINGS));
        }
        assert!(rates.len() > 100 && rates.iter().all(|measured| measured.rate > 9000.0), "{rates:?}");
    }

    #[test]
    fn a_report_that_comes_late_is_not_a_rate() {
        let (mut meter, start) = (Meter::default(), Instant::now());
        meter.report(Report { now: start, rows: 116, in_flight: 1 }, 1, &SETTINGS);
        let late = Report { now: start + millis(30), rows: 100, in_flight: 1 };
        assert_eq!(meter.report(late, 1, &SETTINGS), None);
    }
}
