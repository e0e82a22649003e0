// SPDX-License-Identifier: Apache-2.0
//! The text form that Prometheus reads, as the original writes it: names with colons, no help, six significant digits.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::metrics::histogram::Counts;

/// Labels of a sample.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// The samples of one metric.
#[derive(Debug)]
pub(crate) struct Family {
    name: String,
    kind: Kind,
    lines: String,
}

/// All metrics, by their raw names.
#[derive(Debug, Default)]
pub(crate) struct Exposition(BTreeMap<&'static str, Family>);

impl Exposition {
    /// The metric of this raw name, such as `/tensorflow/serving/request_count`.
    pub(crate) fn family(&mut self, raw_name: &'static str, kind: Kind) -> &mut Family {
        let new = || Family { name: metric_name(raw_name), kind, lines: String::new() };
        self.0.entry(raw_name).or_insert_with(new)
    }

    pub(crate) fn into_text(self) -> String {
        let mut text = String::new();
        for Family { name, kind, lines } in self.0.into_values() {
            let _ = writeln!(text, "# TYPE {name} {}", kind.name());
            text.push_str(&lines);
        }
        text
    }
}

impl Family {
    pub(crate) fn whole(&mut self, labels: Labels<'_>, number: u64) {
        self.line("", labels, &number.to_string());
    }

    pub(crate) fn histogram(&mut self, labels: Labels<'_>, counts: &Counts) {
        for (limit, count) in &counts.below {
            self.bucket(labels, &six_digits(*limit), *count);
        }
        self.bucket(labels, "+Inf", counts.all);
        self.line("_sum", labels, &six_digits(counts.sum));
        self.line("_count", labels, &counts.all.to_string());
    }

    fn bucket(&mut self, labels: Labels<'_>, limit: &str, count: u64) {
        let labels: Vec<_> = labels.iter().copied().chain([("le", limit)]).collect();
        self.line("_bucket", &labels, &count.to_string());
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, value: &str) {
        let _ = write!(self.lines, "{}{suffix}{{", self.name);
        for (number, (label, text)) in labels.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            let _ = write!(self.lines, "{comma}{label}=\"{}\"", escaped(text));
        }
        let _ = writeln!(self.lines, "}} {value}");
    }
}

/// What is no letter, digit or underscore becomes a colon.
fn metric_name(raw: &str) -> String {
    let digit = if raw.starts_with(|first: char| first.is_ascii_digit()) { "_" } else { "" };
    let name = raw.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { ':' });
    digit.chars().chain(name).collect()
}

/// The original leaves line ends as they are, with which a client's model name could add lines.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r")
}

/// The number with at most six significant digits, as C's `%g` has it.
pub(crate) fn six_digits(number: f64) -> String {
    let scientific = format!("{number:.5e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !number.is_finite() || (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).unwrap_or(0);
        return trimmed(&format!("{number:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(digits), exponent.unsigned_abs())
}

/// Without zeros at the end of the fraction.
fn trimmed(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::histogram::{Histogram, exponential};

    static POWERS: [f64; 10] = exponential(1.0, 2.0);

    #[test]
    fn a_histogram_is_written_as_the_original_does() {
        let histogram = Histogram::new(&POWERS);
        [2, 20, 200].into_iter().for_each(|number| histogram.record(number));
        let mut exposition = Exposition::default();
        let family = exposition.family("/tensorflow/serving/x", Kind::Histogram);
        family.histogram(&[("model_name", "a\"b\\c\nd")], &histogram.counts().unwrap());
        let labels = r#"model_name="a\"b\\c\nd""#;
        let limits = "1 0, 2 0, 4 1, 8 1, 16 1, 32 2, 64 2, 128 2, 256 3, 512 3, +Inf 3".split(", ").map(|bucket| {
            let (limit, count) = bucket.split_once(' ').unwrap();
            format!(":tensorflow:serving:x_bucket{{{labels},le=\"{limit}\"}} {count}\n")
        });
        let expected = format!(
            "# TYPE :tensorflow:serving:x histogram\n{}:tensorflow:serving:x_sum{{{labels}}} 222\n\
             :tensorflow:serving:x_count{{{labels}}} 3\n",
            limits.collect::<String>()
        );
        assert_eq!(exposition.into_text(), expected);
    }

    #[test]
    fn metrics_are_sorted_and_appear_without_samples() {
        let mut exposition = Exposition::default();
        exposition.family("c", Kind::Gauge).whole(&[], 1);
        exposition.family("/b", Kind::Counter).whole(&[], 5);
        exposition.family("/a-1", Kind::Histogram);
        let expected = "# TYPE :a:1 histogram\n# TYPE :b counter\n:b{} 5\n# TYPE c gauge\nc{} 1\n";
        assert_eq!(exposition.into_text(), expected);
    }

    #[test]
    fn numbers_have_six_significant_digits() {
        let cases = [
            (0.0, "0"),
            (10.0, "10"),
            (32.4, "32.4"),
            (1_147_083.0, "1.14708e+06"),
            (1_000_000.0, "1e+06"),
            (999_999.5, "1e+06"),
            (100_000.0, "100000"),
            (0.000_123_456_7, "0.000123457"),
            (0.000_012, "1.2e-05"),
            (1e300, "1e+300"),
        ];
        for (number, text) in cases {
            assert_eq!(six_digits(number), text);
        }
    }

    #[test]
    fn names_have_the_characters_that_are_allowed() {
        assert_eq!(metric_name("/a/b-c_d"), ":a:b:c_d");
        assert_eq!(metric_name("1a"), "_1a");
    }
}
