// SPDX-License-Identifier: Apache-2.0
//! The original's metrics, under its names, as it writes them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::ServableTable;
use crate::metrics::text::{Exposition, Kind};
use crate::metrics::{Api, BatchingMetrics, Entry, Metrics, ModelMetrics};

/// The metrics of the models that a table has and had.
pub fn report(table: &ServableTable) -> String {
    let mut out = Exposition::default();
    requests(&mut out, &table.metrics().models());
    batches(&mut out, table.metrics().batching());
    loads(&mut out, table.metrics());
    out.into_text()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Code;

    #[test]
    fn every_metric_is_there_before_the_first_request() {
        let text = report(&ServableTable::default());
        let types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE :tensorflow:")).collect();
        assert_eq!(types.len(), 14, "{text}");
        assert!(text.contains(":tensorflow:core:graph_runs{} 0\n"));
        assert!(!text.contains("tensorserve_"));
        assert!(!text.contains("request_count{"));
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
        let text = report(&table);
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
}
