// SPDX-License-Identifier: Apache-2.0
//! Our page: everything under names that end in base units, with help.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::metrics::exposition::{Metric, Page};
use crate::metrics::{Api, BatchingMetrics, Entry, Metrics, ModelMetrics, RequestPhase, process, queues};
use crate::{ServableTable, StatusBoard, VersionState};

const BUILD: Metric = Metric::gauge("tensorserve_build_info", "1, with the version of the server.");
const STARTED: Metric =
    Metric::gauge("process_start_time_seconds", "When the data plane was started, in seconds since 1970.");
const DEATHS: Metric = Metric::counter(
    "tensorserve_server_deaths_total",
    "How often the serving process has died since its supervisor was started.",
);
const QUARANTINED: Metric = Metric::gauge(
    "tensorserve_quarantined_versions",
    "1 for each version that is not loaded because it ended the server.",
);
const STATE: Metric = Metric::gauge(
    "tensorserve_model_version_state",
    "1 for the state that a version is in, 0 for the others; END only if it failed.",
);
const FILES: Metric =
    Metric::gauge("tensorserve_model_files_bytes", "Size of the files of a version that is loading or loaded.");
const LOADING: Metric = Metric::gauge("tensorserve_model_loads_in_progress", "Versions that are loading now.");
const REQUESTS: Metric = Metric::counter("tensorserve_requests_total", "Requests by model and by how they ended.");
const FAILURES: Metric =
    Metric::counter("tensorserve_request_failures_total", "Requests that failed, by model and reason (the code).");
const IN_FLIGHT: Metric = Metric::gauge(
    "tensorserve_requests_in_flight",
    "Requests that name a model that is served, and are not answered yet; those that wait included.",
);
const DURATION: Metric = Metric::histogram(
    "tensorserve_request_duration_seconds",
    "From a request's headers to its answer, for those that succeed.",
);
const PHASES: Metric = Metric::histogram(
    "tensorserve_request_phase_duration_seconds",
    "What receiving, computing (reading, waiting, running) and writing the reply took, for requests that succeed.",
);
const RUN: Metric = Metric::histogram(
    "tensorserve_model_run_duration_seconds",
    "The run of the model for a request; with batching also the wait for the batch.",
);
const RUNS: Metric = Metric::counter("tensorserve_graph_runs_total", "Runs of sessions for requests.");
const RUN_TIME: Metric =
    Metric::counter("tensorserve_graph_run_seconds_total", "Time of runs of sessions for requests.");
const BATCHES: Metric = Metric::counter("tensorserve_batches_total", "Batches of all models.");
const QUEUE: Metric = Metric::histogram(
    "tensorserve_queue_duration_seconds",
    "What each request of a batch waited, all models together.",
);
const INPUT_ROWS: Metric = Metric::histogram("tensorserve_input_rows", "Rows of each input of each batched request.");
const BATCH_ROWS: Metric = Metric::histogram("tensorserve_batch_rows", "Rows of each batch with its padding.");
const PADDING: Metric =
    Metric::histogram("tensorserve_batch_padding_rows", "Rows of padding of each batch, by the rows of the batch.");
const WARMUPS: Metric =
    Metric::histogram("tensorserve_model_warmup_duration_seconds", "Warm-ups of a version with recorded requests.");
const RECORDS: Metric =
    Metric::counter("tensorserve_model_warmup_records_total", "Recorded requests of warm-ups; 0 for those that fail.");
const ATTEMPTS: Metric =
    Metric::counter("tensorserve_model_load_attempts_total", "Attempts to load a version, by success or fail.");
const LOAD_TIME: Metric =
    Metric::counter("tensorserve_model_load_seconds_total", "Time of the loads of a version that succeed.");

const MICROS: f64 = 1e6;

/// The metrics of the models that a table has and had, and of versions that are not served. `version` is the server's.
pub fn page(table: &ServableTable, states: &StatusBoard, version: &str) -> Page {
    let mut out = Page::default();
    out.family(BUILD).whole(&[("version", version)], 1);
    out.family(STARTED).fraction(&[], table.metrics().started());
    let deaths = tensorserve_runtimes::attribution::deaths();
    process::write(&mut out, deaths.is_some());
    if let Some(deaths) = deaths {
        out.family(DEATHS).whole(&[], deaths);
    }
    versions(&mut out, states);
    requests(&mut out, &table.metrics().models());
    batches(&mut out, table.metrics().batching());
    loads(&mut out, table.metrics());
    queues::write(&mut out, table);
    out
}

fn versions(out: &mut Page, states: &StatusBoard) {
    let mut family = out.family(QUARANTINED);
    for (model, version) in states.quarantined() {
        family.whole(&[("model_name", &model), ("version", &version.to_string())], 1);
    }
    let mut family = out.family(STATE);
    for (model, version, state) in states.states() {
        for (name, other) in VersionState::NAMED {
            let labels = [("model_name", &*model), ("version", &version.to_string()), ("state", name)];
            family.whole(&labels, u64::from(state == other));
        }
    }
    let mut family = out.family(FILES);
    for (model, version, bytes) in states.file_bytes() {
        family.whole(&[("model_name", &model), ("version", &version.to_string())], bytes);
    }
    out.family(LOADING).whole(&[], states.loading() as u64);
}

fn requests(out: &mut Page, models: &[(Arc<str>, Arc<ModelMetrics>)]) {
    let [mut runs, mut micros] = [0, 0];
    out.family(FAILURES);
    for metric in [DURATION, PHASES, RUN] {
        out.family(metric);
    }
    out.family(IN_FLIGHT);
    out.family(REQUESTS);
    for (model, metrics) in models {
        for (code, count) in metrics.requests() {
            out.family(REQUESTS).whole(&[("model_name", model), ("status", code.name())], count);
            if code != crate::Code::Ok {
                out.family(FAILURES).whole(&[("model_name", model), ("reason", code.name())], count);
            }
        }
        out.family(IN_FLIGHT).whole(&[("model_name", model)], metrics.in_flight());
        for entry in Entry::ALL {
            let (api, protocol) = entry.labels();
            let (api, protocol) = (api.to_ascii_lowercase(), protocol.to_ascii_lowercase());
            let labels = [("model_name", &**model), ("api", &api), ("protocol", &protocol)];
            metrics.request_latency(entry).counts().iter().for_each(|counts| {
                out.family(DURATION).histogram(&labels, counts, MICROS);
            });
        }
        for phase in RequestPhase::ALL {
            let labels = [("model_name", &**model), ("phase", phase.name())];
            metrics
                .phase(phase)
                .counts()
                .iter()
                .for_each(|counts| out.family(PHASES).histogram(&labels, counts, MICROS));
        }
        for api in Api::ALL {
            let labels = [("model_name", &**model), ("api", &api.name().to_ascii_lowercase())];
            metrics.runtime_latency(api).iter().for_each(|counts| out.family(RUN).histogram(&labels, counts, MICROS));
        }
        let (more, time) = metrics.runs();
        (runs, micros) = (runs + more, micros + time);
    }
    out.family(RUNS).whole(&[], runs);
    out.family(RUN_TIME).fraction(&[], micros as f64 / MICROS);
}

fn batches(out: &mut Page, batching: &BatchingMetrics) {
    out.family(BATCHES).whole(&[], batching.batches.load(Ordering::Relaxed));
    let mut family = out.family(QUEUE);
    batching.queuing_latency.counts().iter().for_each(|counts| family.histogram(&[], counts, MICROS));
    for (metric, histogram) in [(INPUT_ROWS, &batching.input_rows), (BATCH_ROWS, &batching.batch_rows)] {
        let mut family = out.family(metric);
        histogram.counts().iter().for_each(|counts| family.histogram(&[], counts, 1.0));
    }
    let mut family = out.family(PADDING);
    for (rows, histogram) in batching.padding() {
        let labels = [("batch_rows", &*rows.to_string())];
        histogram.counts().iter().for_each(|counts| family.histogram(&labels, counts, 1.0));
    }
}

fn loads(out: &mut Page, metrics: &Metrics) {
    let series = metrics.loads.lock();
    let mut family = out.family(ATTEMPTS);
    for ((path, success), count) in &series.attempts {
        let status = if *success { "success" } else { "fail" };
        family.whole(&[("model_path", path), ("status", status)], *count);
    }
    let mut family = out.family(LOAD_TIME);
    series.latency.iter().for_each(|(path, micros)| family.fraction(&[("model_path", path)], *micros as f64 / MICROS));
    let mut family = out.family(WARMUPS);
    for ((path, status), (latency, _)) in &series.warmups {
        let labels = [("model_path", &**path), ("status", &**status)];
        latency.counts().iter().for_each(|counts| family.histogram(&labels, counts, MICROS));
    }
    let mut family = out.family(RECORDS);
    for ((path, status), (_, records)) in &series.warmups {
        family.whole(&[("model_path", path), ("status", status)], *records);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Code;
    use crate::metrics::exposition::Format;

    #[test]
    fn every_metric_has_help_and_no_colon() {
        let text = page(&ServableTable::default(), &StatusBoard::default(), "1.2.3").into_text(Format::Prometheus);
        let named = |word: &str| text.lines().filter(|line| line.starts_with(word)).count();
        assert_eq!(named("# TYPE "), named("# HELP "));
        assert!(named("# TYPE ") > 35, "{text}");
        assert!(!text.lines().any(|line| line.starts_with(':')), "{text}");
        assert!(text.contains("tensorserve_build_info{version=\"1.2.3\"} 1\n"));
    }

    #[test]
    fn requests_and_versions_are_written_by_model() {
        let table = ServableTable::default();
        let model = table.metrics().of_requested("m");
        model.failed(Code::NotFound);
        model.entered();
        model.succeeded(Entry::RestPredict, Duration::from_micros(18));
        model.passed(RequestPhase::Receive, Duration::from_micros(3));
        model.ran(Duration::from_micros(2));
        let states = StatusBoard::default();
        states.set_load_bytes("m", 1, 7);
        states.set("m", 1, VersionState::Available, Code::Ok, String::new());
        states.set("m", 2, VersionState::End, Code::Ok, String::new());
        states.set("m", 3, VersionState::End, Code::DataLoss, String::new());
        states.set("m", 4, VersionState::Loading, Code::Ok, String::new());
        let text = page(&table, &states, "").into_text(Format::Prometheus);
        for line in [
            "tensorserve_requests_total{model_name=\"m\",status=\"OK\"} 1",
            "tensorserve_request_failures_total{model_name=\"m\",reason=\"NOT_FOUND\"} 1",
            "tensorserve_requests_in_flight{model_name=\"m\"} 1",
            "tensorserve_request_duration_seconds_bucket{model_name=\"m\",api=\"predict\",protocol=\"rest\",le=\"1.8e-5\"} 0",
            "tensorserve_request_phase_duration_seconds_count{model_name=\"m\",phase=\"receive\"} 1",
            "tensorserve_graph_run_seconds_total 0.000002",
            "tensorserve_model_version_state{model_name=\"m\",version=\"1\",state=\"available\"} 1",
            "tensorserve_model_version_state{model_name=\"m\",version=\"1\",state=\"end\"} 0",
            "tensorserve_model_version_state{model_name=\"m\",version=\"3\",state=\"end\"} 1",
            "tensorserve_model_files_bytes{model_name=\"m\",version=\"1\"} 7",
            "tensorserve_model_loads_in_progress 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("version=\"2\""), "{text}");
    }
}
