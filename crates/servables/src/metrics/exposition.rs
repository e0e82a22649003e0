// SPDX-License-Identifier: Apache-2.0
//! The text forms of our own page: Prometheus' and OpenMetrics, with help and units.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::metrics::histogram::Counts;
use crate::metrics::text::{Kind, Labels, escaped};

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Prometheus,
    OpenMetrics,
}

/// One metric: what its page says of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    /// Ends in its unit, and as a counter in `_total` behind that.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
}

impl Metric {
    pub(crate) const fn counter(name: &'static str, help: &'static str) -> Self {
        Metric { name, kind: Kind::Counter, help }
    }

    pub(crate) const fn gauge(name: &'static str, help: &'static str) -> Self {
        Metric { name, kind: Kind::Gauge, help }
    }

    pub(crate) const fn histogram(name: &'static str, help: &'static str) -> Self {
        Metric { name, kind: Kind::Histogram, help }
    }

    /// The name without `_total`.
    fn family(&self) -> &'static str {
        self.name.strip_suffix("_total").unwrap_or(self.name)
    }

    fn unit(&self) -> Option<&'static str> {
        ["seconds", "bytes", "rows"]
            .into_iter()
            .find(|unit| self.family().strip_suffix(unit).is_some_and(|before| before.ends_with('_')))
    }
}

/// All metrics, by their names. A metric appears without samples too.
#[derive(Debug, Default)]
pub struct Page(BTreeMap<&'static str, (Option<Metric>, String)>);

impl Page {
    /// The samples of a metric.
    pub(crate) fn family(&mut self, metric: Metric) -> Samples<'_> {
        let (known, lines) = self.0.entry(metric.name).or_default();
        *known = Some(metric);
        Samples { name: metric.name, lines }
    }

    /// Adds a metric with one sample that has no labels; for what is counted elsewhere.
    pub fn add_counter(&mut self, name: &'static str, help: &'static str, number: u64) {
        self.family(Metric::counter(name, help)).whole(&[], number);
    }

    /// The same.
    pub fn add_gauge(&mut self, name: &'static str, help: &'static str, number: u64) {
        self.family(Metric::gauge(name, help)).whole(&[], number);
    }

    pub fn into_text(self, format: Format) -> String {
        let mut text = String::new();
        for (metric, lines) in self.0.into_values() {
            let Some(metric) = metric else { continue };
            let name = if format == Format::OpenMetrics { metric.family() } else { metric.name };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP {name} {}", metric.help);
            let _ = writeln!(text, "# TYPE {name} {}", metric.kind.name());
            if let (Format::OpenMetrics, Some(unit)) = (format, metric.unit()) {
                let _ = writeln!(text, "# UNIT {name} {unit}");
            }
            text.push_str(&lines);
        }
        if format == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }
}

/// Where the samples of one metric go.
pub(crate) struct Samples<'a> {
    name: &'static str,
    lines: &'a mut String,
}

impl Samples<'_> {
    pub(crate) fn whole(&mut self, labels: Labels<'_>, number: u64) {
        self.line("", labels, &number.to_string());
    }

    pub(crate) fn fraction(&mut self, labels: Labels<'_>, number: f64) {
        self.line("", labels, &number.to_string());
    }

    /// A histogram whose numbers are divided by `scale`: 1e6 makes seconds of microseconds.
    pub(crate) fn histogram(&mut self, labels: Labels<'_>, counts: &Counts, scale: f64) {
        for (limit, count) in &counts.below {
            self.bucket(labels, &limit_text(*limit / scale), *count);
        }
        self.bucket(labels, "+Inf", counts.all);
        self.line("_sum", labels, &(counts.sum / scale).to_string());
        self.line("_count", labels, &counts.all.to_string());
    }

    fn bucket(&mut self, labels: Labels<'_>, limit: &str, count: u64) {
        let labels: Vec<_> = labels.iter().copied().chain([("le", limit)]).collect();
        self.line("_bucket", &labels, &count.to_string());
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, value: &str) {
        let _ = write!(self.lines, "{}{suffix}", self.name);
        for (number, (label, text)) in labels.iter().enumerate() {
            let begin = if number > 0 { ',' } else { '{' };
            let _ = write!(self.lines, "{begin}{label}=\"{}\"", escaped(text));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.lines, "{end} {value}");
    }
}

/// A limit with at most four digits, and a point, as OpenMetrics has it.
fn limit_text(limit: f64) -> String {
    let rounded: f64 = format!("{limit:.3e}").parse().unwrap_or(limit);
    format!("{rounded:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::histogram::{Histogram, exponential};

    static LIMITS: [f64; 2] = exponential(10.0, 1.8);

    fn page() -> Page {
        let mut page = Page::default();
        page.add_counter("x_seconds_total", "Time.", 3);
        page.family(Metric::gauge("b", "Letters.")).whole(&[("m", "a\"\n")], 1);
        let histogram = Histogram::new(&LIMITS);
        histogram.record(15);
        let counts = histogram.counts().unwrap();
        page.family(Metric::histogram("h_seconds", "Waits.")).histogram(&[("m", "a")], &counts, 1e6);
        page
    }

    #[test]
    fn prometheus_text_has_help_and_base_units() {
        let expected = "# HELP b Letters.\n# TYPE b gauge\nb{m=\"a\\\"\\n\"} 1\n\
            # HELP h_seconds Waits.\n# TYPE h_seconds histogram\nh_seconds_bucket{m=\"a\",le=\"1e-5\"} 0\n\
            h_seconds_bucket{m=\"a\",le=\"1.8e-5\"} 1\nh_seconds_bucket{m=\"a\",le=\"+Inf\"} 1\n\
            h_seconds_sum{m=\"a\"} 0.000015\nh_seconds_count{m=\"a\"} 1\n\
            # HELP x_seconds_total Time.\n# TYPE x_seconds_total counter\nx_seconds_total 3\n";
        assert_eq!(page().into_text(Format::Prometheus), expected);
    }

    #[test]
    fn open_metrics_has_units_and_an_end() {
        let text = page().into_text(Format::OpenMetrics);
        assert!(text.contains("# TYPE x_seconds counter\n# UNIT x_seconds seconds\nx_seconds_total 3\n"), "{text}");
        assert!(text.contains("# TYPE b gauge\nb{"));
        assert!(text.ends_with("# EOF\n"));
    }
}
