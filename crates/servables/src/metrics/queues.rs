// SPDX-License-Identifier: Apache-2.0
//! Our metrics of batching, by model, version and signature.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use tensorserve_batching::stats::Histogram as PowersOfTwo;
use tensorserve_batching::{Stats, Strategy};

use crate::batching::auto::Auto;
use crate::batching::batcher::Batcher;
use crate::metrics::exposition::{Metric, Page};
use crate::metrics::histogram::Counts;
use crate::{ServableHandle, ServableTable};

/// Limits of these histograms, as powers of two; what is beyond is in `+Inf` only.
const CLASSES: u32 = 27;

/// What the queues of one version and its signatures did, and what waits in them now.
#[derive(Default)]
struct Queued {
    stats: Stats,
    waiting_requests: usize,
    waiting_rows: usize,
    running_batches: usize,
    /// Queues by the strategy that is in use in them: batches in flight and linger.
    strategies: BTreeMap<(usize, bool), u64>,
}

/// A number of the queues' counts, and its metric.
type Count = (Metric, fn(&Stats) -> &AtomicU64);

const COUNTS: [Count; 7] = [
    (
        Metric::counter(
            "tensorserve_batching_requests_run_alone_total",
            "Requests that ran on their own, without a wait.",
        ),
        |stats| &stats.alone,
    ),
    (Metric::counter("tensorserve_batching_rejected_total", "Requests that did not get into a queue."), |stats| {
        &stats.rejected
    }),
    (
        Metric::counter("tensorserve_batching_expired_total", "Requests whose deadline passed while they waited."),
        |stats| &stats.expired,
    ),
    (
        Metric::counter("tensorserve_batching_abandoned_total", "Requests whose client left while they waited."),
        |stats| &stats.abandoned,
    ),
    (
        Metric::counter(
            "tensorserve_batching_split_batches_total",
            "Batches that were run again in halves because they failed.",
        ),
        |stats| &stats.split_batches,
    ),
    (Metric::counter("tensorserve_batching_padding_rows_total", "Rows that were run for nothing."), |stats| {
        &stats.padding_rows
    }),
    (Metric::counter("tensorserve_batching_padding_bytes_total", "Bytes that were run for nothing."), |stats| {
        &stats.padding_bytes
    }),
];

/// Numbers of the queues as they are now.
type Gauge = (Metric, fn(&Queued) -> usize);

const GAUGES: [Gauge; 3] = [
    (Metric::gauge("tensorserve_batching_waiting_requests", "Requests that are queued now."), |queued| {
        queued.waiting_requests
    }),
    (Metric::gauge("tensorserve_batching_waiting_rows", "Rows that are queued now."), |queued| queued.waiting_rows),
    (Metric::gauge("tensorserve_batching_running_batches", "Batches that run now."), |queued| queued.running_batches),
];

/// A histogram of the queues, and what its numbers are divided by.
type Distribution = (Metric, f64, fn(&Stats) -> &PowersOfTwo);

const DISTRIBUTIONS: [Distribution; 3] = [
    (Metric::histogram("tensorserve_batching_batch_rows", "Rows of each batch."), 1.0, |stats| &stats.batch_rows),
    (Metric::histogram("tensorserve_batching_batch_requests", "Requests of each batch."), 1.0, |stats| {
        &stats.batch_requests
    }),
    (Metric::histogram("tensorserve_batching_wait_seconds", "What each request waited in its queue."), 1e6, |stats| {
        &stats.wait_micros
    }),
];

/// A kind of decision of the tuner, and how often it came to it.
type Decision = (&'static str, fn(&Stats) -> &AtomicU64);

const DECISIONS: [Decision; 4] = [
    ("better", |stats| &stats.better),
    ("worse", |stats| &stats.worse),
    ("unclear", |stats| &stats.unclear),
    ("load_changed", |stats| &stats.load_changed),
];

const DECISIONS_TOTAL: Metric =
    Metric::counter("tensorserve_batching_decisions_total", "What batching that sizes itself has decided.");
const STRATEGY_QUEUES: Metric = Metric::gauge(
    "tensorserve_batching_strategy_queues",
    "Queues that use the strategy of the labels; 0 batches in flight: no batches.",
);

/// Writes what the queues of all versions hold and did.
pub(crate) fn write(out: &mut Page, table: &ServableTable) {
    let counts = COUNTS.iter().map(|(metric, _)| *metric);
    let gauges = GAUGES.iter().map(|(metric, _)| *metric);
    out.family(DECISIONS_TOTAL);
    out.family(STRATEGY_QUEUES);
    for metric in counts.chain(gauges).chain(DISTRIBUTIONS.iter().map(|(metric, _, _)| *metric)) {
        out.family(metric);
    }
    let models = table.models();
    for handle in models.iter().flat_map(|model| &model.versions) {
        let Some(batcher) = handle.servable().batcher() else { continue };
        for (signatures, queued) in by_signatures(batcher) {
            write_queued(out, handle, &signatures, &queued);
        }
    }
}

/// Clients choose the shapes that have queues of their own, so those of the same signatures are taken together.
fn by_signatures(batcher: &Batcher) -> BTreeMap<String, Queued> {
    let mut all: BTreeMap<String, Queued> = BTreeMap::new();
    let (queues, past) = batcher.queues_and_past();
    for queue in queues {
        let sum = all.entry(queue.kind().signatures.join(",")).or_default();
        sum.stats.absorb(queue.stats());
        let (requests, rows, running) = queue.depth();
        sum.waiting_requests += requests;
        sum.waiting_rows += rows;
        sum.running_batches += running;
        if let Some(Strategy { max_in_flight, linger }) = queue.auto().map(Auto::used) {
            *sum.strategies.entry((max_in_flight, linger)).or_default() += 1;
        }
    }
    for (signatures, past) in past {
        all.entry(signatures).or_default().stats.absorb(&past);
    }
    all
}

fn write_queued(out: &mut Page, handle: &ServableHandle, signatures: &str, queued: &Queued) {
    let version = handle.version().to_string();
    let labels = [("model_name", handle.model()), ("version", &version), ("signature", signatures)];
    for (metric, count) in COUNTS {
        out.family(metric).whole(&labels, count(&queued.stats).load(Ordering::Relaxed));
    }
    for (metric, gauge) in GAUGES {
        out.family(metric).whole(&labels, gauge(queued) as u64);
    }
    let [model, version, signature] = labels;
    for (decision, count) in DECISIONS {
        let labels = [model, version, signature, ("decision", decision)];
        out.family(DECISIONS_TOTAL).whole(&labels, count(&queued.stats).load(Ordering::Relaxed));
    }
    for ((max_in_flight, linger), queues) in &queued.strategies {
        let (max_in_flight, linger) = (max_in_flight.to_string(), linger.to_string());
        let labels = [model, version, signature, ("max_in_flight", &*max_in_flight), ("linger", &*linger)];
        out.family(STRATEGY_QUEUES).whole(&labels, *queues);
    }
    for (metric, scale, histogram) in DISTRIBUTIONS {
        out.family(metric).histogram(&labels, &counts(histogram(&queued.stats)), scale);
    }
}

/// Always the same limits, also those that nothing has reached.
fn counts(histogram: &PowersOfTwo) -> Counts {
    let buckets: BTreeMap<u64, u64> = histogram.buckets().into_iter().collect();
    let mut all = 0;
    let below = (0..CLASSES).map(|class| {
        all += buckets.get(&(1 << class)).copied().unwrap_or(0);
        (f64::from(1u32 << class), all)
    });
    let below = below.collect();
    Counts { below, all: buckets.values().sum(), sum: histogram.sum() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_two_keep_their_limits() {
        let histogram = PowersOfTwo::default();
        [1, 2, 3, 4, u64::MAX / 2].into_iter().for_each(|number| histogram.record(number));
        let counts = counts(&histogram);
        assert_eq!(counts.below[..4], [(1.0, 1), (2.0, 2), (4.0, 4), (8.0, 4)]);
        assert_eq!((counts.all, counts.below.len()), (5, 27));
    }
}
