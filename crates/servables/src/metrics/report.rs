// SPDX-License-Identifier: Apache-2.0
//! Everything that was counted, as text for Prometheus: the original's metrics under its names, ours as `tensorserve_...`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tensorserve_batching::stats::Histogram as PowersOfTwo;
use tensorserve_batching::{Stats, Strategy};

use crate::batching::auto::Auto;
use crate::batching::batcher::Batcher;
use crate::metrics::histogram::Counts;
use crate::metrics::text::{Exposition, Kind};
use crate::metrics::{Api, BatchingMetrics, Entry, Metrics, ModelMetrics};
use crate::{ServableHandle, ServableTable, StatusBoard};

/// Limits of our histograms, as powers of two; what is beyond is in `+Inf` only.
const CLASSES: u32 = 27;

/// The metrics of the models that a table has and had, and of versions that are not served. `version` is the server's.
pub fn report(table: &ServableTable, states: &StatusBoard, version: &str) -> String {
    let mut out = Exposition::default();
    server(&mut out, table.metrics(), version);
    deaths(&mut out, states);
    requests(&mut out, &table.metrics().models());
    batches(&mut out, table.metrics().batching());
    loads(&mut out, table.metrics());
    queues(&mut out, table);
    out.into_text()
}

fn server(out: &mut Exposition, metrics: &Metrics, version: &str) {
    out.family("tensorserve_build_info", Kind::Gauge).whole(&[("version", version)], 1);
    out.family("process_start_time_seconds", Kind::Gauge).fraction(&[], metrics.started());
}

/// What a supervisor knows: deaths of earlier processes, and the versions that are not loaded because of them.
fn deaths(out: &mut Exposition, states: &StatusBoard) {
    let Some(deaths) = tensorserve_runtimes::attribution::deaths() else { return };
    out.family("tensorserve_server_deaths_total", Kind::Counter).whole(&[], deaths);
    let family = out.family("tensorserve_quarantined_versions", Kind::Gauge);
    for (model, version) in states.quarantined() {
        family.whole(&[("model_name", &model), ("version", &version.to_string())], 1);
    }
}

fn requests(out: &mut Exposition, models: &[(Arc<str>, Arc<ModelMetrics>)]) {
    let family = out.family("/tensorflow/serving/request_count", Kind::Counter);
    for (model, metrics) in models {
        metrics
            .requests()
            .for_each(|(code, count)| family.whole(&[("model_name", model), ("status", code.name())], count));
    }
    let family = out.family("/tensorflow/serving/request_latency", Kind::Histogram);
    for (model, metrics) in models {
        for entry in Entry::ALL {
            let (api, entrypoint) = entry.labels();
            let labels = [("model_name", &**model), ("API", api), ("entrypoint", entrypoint)];
            metrics.request_latency(entry).counts().iter().for_each(|counts| family.histogram(&labels, counts));
        }
    }
    let family = out.family("/tensorflow/serving/runtime_latency", Kind::Histogram);
    for (model, metrics) in models {
        for api in Api::ALL {
            let labels = [("model_name", &**model), ("API", api.name()), ("runtime", "TF1")];
            metrics.runtime_latency(api).iter().for_each(|counts| family.histogram(&labels, counts));
        }
    }
    let runs = models.iter().map(|(_, metrics)| metrics.runs());
    let (runs, micros) = runs.fold((0, 0), |(runs, micros), (more, time)| (runs + more, micros + time));
    out.family("/tensorflow/core/graph_runs", Kind::Counter).whole(&[], runs);
    out.family("/tensorflow/core/graph_run_time_usecs", Kind::Counter).whole(&[], micros);
}

fn batches(out: &mut Exposition, batching: &BatchingMetrics) {
    const QUEUING: &str = "/tensorflow/serving/batching_session/queuing_latency";
    let count = batching.batches.load(Ordering::Relaxed);
    out.family("/tensorflow/serving/batching_session/wrapped_run_count", Kind::Counter).whole(&[], count);
    let family = out.family(QUEUING, Kind::Histogram);
    let waited = batching.queuing_latency.counts();
    waited.iter().for_each(|counts| family.histogram(&[("thread_pool_name", "")], counts));
    for (name, histogram) in [
        ("/tensorflow/serving/batching_session/input_batch_size", &batching.input_rows),
        ("/tensorflow/serving/batching_session/processed_batch_size", &batching.batch_rows),
    ] {
        let family = out.family(name, Kind::Histogram);
        histogram.counts().iter().for_each(|counts| family.histogram(&[], counts));
    }
    let family = out.family("/tensorflow/serving/batching_session/padding_size", Kind::Histogram);
    for (rows, histogram) in batching.padding() {
        let labels = [("execution_batch_size", &*rows.to_string())];
        histogram.counts().iter().for_each(|counts| family.histogram(&labels, counts));
    }
}

fn loads(out: &mut Exposition, metrics: &Metrics) {
    let series = metrics.loads.lock();
    let family = out.family("/tensorflow/cc/saved_model/load_attempt_count", Kind::Counter);
    for ((path, success), count) in &series.attempts {
        let status = if *success { "success" } else { "fail" };
        family.whole(&[("model_path", path), ("status", status)], *count);
    }
    let family = out.family("/tensorflow/cc/saved_model/load_latency", Kind::Counter);
    series.latency.iter().for_each(|(path, micros)| family.whole(&[("model_path", path)], *micros));
    let family = out.family("/tensorflow/serving/model_warmup_latency", Kind::Histogram);
    for ((path, status), (latency, _)) in &series.warmups {
        let labels = [("model_path", &**path), ("status", &**status)];
        latency.counts().iter().for_each(|counts| family.histogram(&labels, counts));
    }
    let family = out.family("/tensorflow/serving/model_warmup_records_read", Kind::Counter);
    for ((path, status), (_, records)) in &series.warmups {
        family.whole(&[("model_path", path), ("status", status)], *records);
    }
}

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

/// A number of the queues' counts, under its name.
type Count = (&'static str, fn(&Stats) -> &AtomicU64);

const COUNTS: [Count; 7] = [
    ("tensorserve_batching_requests_run_alone_total", |stats| &stats.alone),
    ("tensorserve_batching_rejected_total", |stats| &stats.rejected),
    ("tensorserve_batching_expired_total", |stats| &stats.expired),
    ("tensorserve_batching_abandoned_total", |stats| &stats.abandoned),
    ("tensorserve_batching_split_batches_total", |stats| &stats.split_batches),
    ("tensorserve_batching_padding_rows_total", |stats| &stats.padding_rows),
    ("tensorserve_batching_padding_bytes_total", |stats| &stats.padding_bytes),
];

/// Numbers of the queues as they are now.
type Gauge = (&'static str, fn(&Queued) -> usize);

const GAUGES: [Gauge; 3] = [
    ("tensorserve_batching_waiting_requests", |queued| queued.waiting_requests),
    ("tensorserve_batching_waiting_rows", |queued| queued.waiting_rows),
    ("tensorserve_batching_running_batches", |queued| queued.running_batches),
];

type Distribution = (&'static str, fn(&Stats) -> &PowersOfTwo);

const DISTRIBUTIONS: [Distribution; 3] = [
    ("tensorserve_batching_batch_rows", |stats| &stats.batch_rows),
    ("tensorserve_batching_batch_requests", |stats| &stats.batch_requests),
    ("tensorserve_batching_wait_microseconds", |stats| &stats.wait_micros),
];

/// What the tuner has decided.
const DECISIONS: [Count; 4] = [
    ("better", |stats| &stats.better),
    ("worse", |stats| &stats.worse),
    ("unclear", |stats| &stats.unclear),
    ("load_changed", |stats| &stats.load_changed),
];

const DECISIONS_TOTAL: &str = "tensorserve_batching_decisions_total";
const STRATEGY_QUEUES: &str = "tensorserve_batching_strategy_queues";

fn queues(out: &mut Exposition, table: &ServableTable) {
    let kinds = COUNTS.iter().map(|(name, _)| (*name, Kind::Counter));
    let kinds = kinds.chain(GAUGES.iter().map(|(name, _)| (*name, Kind::Gauge)));
    let kinds = kinds.chain([(DECISIONS_TOTAL, Kind::Counter), (STRATEGY_QUEUES, Kind::Gauge)]);
    for (name, kind) in kinds.chain(DISTRIBUTIONS.iter().map(|(name, _)| (*name, Kind::Histogram))) {
        out.family(name, kind);
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

fn write_queued(out: &mut Exposition, handle: &ServableHandle, signatures: &str, queued: &Queued) {
    let version = handle.version().to_string();
    let labels = [("model_name", handle.model()), ("version", &version), ("signature", signatures)];
    for (name, count) in COUNTS {
        out.family(name, Kind::Counter).whole(&labels, count(&queued.stats).load(Ordering::Relaxed));
    }
    for (name, gauge) in GAUGES {
        out.family(name, Kind::Gauge).whole(&labels, gauge(queued) as u64);
    }
    let [model, version, signature] = labels;
    for (decision, count) in DECISIONS {
        let labels = [model, version, signature, ("decision", decision)];
        out.family(DECISIONS_TOTAL, Kind::Counter).whole(&labels, count(&queued.stats).load(Ordering::Relaxed));
    }
    for ((max_in_flight, linger), queues) in &queued.strategies {
        let (max_in_flight, linger) = (max_in_flight.to_string(), linger.to_string());
        let labels = [model, version, signature, ("max_in_flight", &*max_in_flight), ("linger", &*linger)];
        out.family(STRATEGY_QUEUES, Kind::Gauge).whole(&labels, *queues);
    }
    for (name, histogram) in DISTRIBUTIONS {
        out.family(name, Kind::Histogram).histogram(&labels, &counts(histogram(&queued.stats)));
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
    use std::time::Duration;

    use super::*;
    use crate::Code;

    #[test]
    fn every_metric_is_there_before_the_first_request() {
        let text = report(&ServableTable::default(), &StatusBoard::default(), "1.2.3");
        let types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE :tensorflow:")).collect();
        assert_eq!(types.len(), 14, "{text}");
        assert!(text.contains(":tensorflow:core:graph_runs{} 0\n"));
        assert!(text.contains("tensorserve_build_info{version=\"1.2.3\"} 1\n"));
        assert!(!text.contains("request_count{"));
        assert!(text.contains("# TYPE tensorserve_batching_decisions_total counter\n"));
        assert!(text.contains("# TYPE tensorserve_batching_strategy_queues gauge\n"));
    }

    #[test]
    fn requests_and_runs_are_written_by_model() {
        let table = ServableTable::default();
        let model = table.metrics().of_requested("m");
        model.failed(Code::NotFound);
        model.failed(Code::NotFound);
        model.succeeded(Entry::RestOther, Duration::from_micros(18));
        model.ran_alone(Some(Api::Classify), Duration::from_nanos(4600));
        model.ran_in_batch(Some(Api::Classify), Duration::from_micros(5));
        model.ran(Duration::from_micros(2));
        table.metrics().loads.loaded("/m/1", true, Duration::from_millis(3));
        table.metrics().loads.warmed_up("/m/1", "OK", Duration::from_millis(2), 7);
        let text = report(&table, &StatusBoard::default(), "");
        for line in [
            ":tensorflow:serving:request_count{model_name=\"m\",status=\"OK\"} 1",
            ":tensorflow:serving:request_count{model_name=\"m\",status=\"NOT_FOUND\"} 2",
            ":tensorflow:serving:request_latency_bucket{model_name=\"m\",API=\"\",entrypoint=\"REST\",le=\"18\"} 0",
            ":tensorflow:serving:request_latency_bucket{model_name=\"m\",API=\"\",entrypoint=\"REST\",le=\"32.4\"} 1",
            ":tensorflow:serving:runtime_latency_sum{model_name=\"m\",API=\"Classify\",runtime=\"TF1\"} 9.6",
            ":tensorflow:core:graph_run_time_usecs{} 6",
            ":tensorflow:core:graph_runs{} 2",
            ":tensorflow:cc:saved_model:load_attempt_count{model_path=\"/m/1\",status=\"success\"} 1",
            ":tensorflow:cc:saved_model:load_latency{model_path=\"/m/1\"} 3000",
            ":tensorflow:serving:model_warmup_records_read{model_path=\"/m/1\",status=\"OK\"} 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn powers_of_two_keep_their_limits() {
        let histogram = PowersOfTwo::default();
        [1, 2, 3, 4, u64::MAX / 2].into_iter().for_each(|number| histogram.record(number));
        let counts = counts(&histogram);
        assert_eq!(counts.below[..4], [(1.0, 1), (2.0, 2), (4.0, 4), (8.0, 4)]);
        assert_eq!((counts.all, counts.below.len()), (5, 27));
    }
}
