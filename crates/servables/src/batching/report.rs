// SPDX-License-Identifier: Apache-2.0
//! What batching does for a model and why, in words and numbers, as JSON.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tensorserve_batching::Strategy;
use tensorserve_batching::stats::Histogram;
use tensorserve_runtimes::{InterOp, IntraOp};

use crate::batching::auto::{Auto, Finding};
use crate::batching::batcher::Batcher;
use crate::batching::run_queue::RunQueue;
use crate::table::servable::is_internal;
use crate::table::servable_table::ServedModel;
use crate::{Result, ServableHandle, ServableTable, ServingError};

/// The report on a model's versions. NOT_FOUND if none is served.
pub fn report(table: &ServableTable, model: &str) -> Result<String> {
    let found = table.models().into_iter().find(|served| served.name == model);
    let ServedModel { versions, .. } =
        found.ok_or_else(|| ServingError::not_found(format!("Servable not found for request: Latest({model})")))?;
    let versions: Vec<Value> = versions.iter().map(version).collect();
    Ok(json!({ "model": model, "versions": versions }).to_string())
}

fn version(handle: &ServableHandle) -> Value {
    let Some(batcher) = handle.servable().batcher() else {
        return json!({
            "version": handle.version(),
            "mode": "off",
            "computes_in": place(handle),
            "inter_op_threading": inter_op_threading(handle),
        });
    };
    let findings = batcher.findings().iter().filter(|(name, _)| !is_internal(name));
    let signatures: serde_json::Map<String, Value> = findings
        .map(|(name, found)| (name.clone(), json!({ "batched": found.may_batch(), "reason": found.to_string() })))
        .collect();
    let queues: Vec<Value> = batcher.queues().iter().map(|queue| self::queue(queue)).collect();
    let mode = if batcher.batching().auto.is_some() { "auto" } else { "fixed" };
    json!({
        "version": handle.version(),
        "mode": mode,
        "computes_in": place(handle),
        "inter_op_threading": inter_op_threading(handle),
        "parameters": parameters(batcher),
        "signatures": signatures,
        "queues": queues,
    })
}

/// Where the operations of a run are computed.
fn place(handle: &ServableHandle) -> &'static str {
    match handle.servable().session().intra_op() {
        IntraOp::Caller => "the thread of the run",
        IntraOp::SharedPool => "the pool that all models share",
    }
}

/// Which threads go through the operations of a long run, as the flag of this name says it.
fn inter_op_threading(handle: &ServableHandle) -> &'static str {
    match handle.servable().inter_op_threading() {
        InterOp::Caller => "caller",
        InterOp::Pool => "pool",
    }
}

fn parameters(batcher: &Batcher) -> Value {
    let parameters = &batcher.batching().parameters;
    let objective = batcher.batching().auto.and_then(|auto| auto.latency_objective);
    json!({
        "max_batch_size": parameters.max_batch_size,
        "batch_timeout_micros": parameters.batch_timeout_micros,
        "max_enqueued_batches": parameters.max_enqueued_batches,
        "allowed_batch_sizes": parameters.allowed_batch_sizes,
        "pad_variable_length_inputs": parameters.pad_variable_length_inputs,
        "enable_large_batch_splitting": parameters.enable_large_batch_splitting,
        "max_execution_batch_size": parameters.execution_batch_size(),
        "latency_slo_ms": objective.map(|objective| objective.as_millis() as u64),
    })
}

fn queue(queue: &RunQueue) -> Value {
    let (requests, rows, running) = queue.depth();
    let stats = queue.stats();
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let mut value = json!({
        "signatures": queue.kind().signatures,
        "decision": decision(queue),
        "waiting_requests": requests,
        "waiting_rows": rows,
        "running_batches": running,
        "requests_run_alone": count(&stats.alone),
        "rejected": count(&stats.rejected),
        "expired": count(&stats.expired),
        "abandoned": count(&stats.abandoned),
        "split_batches": count(&stats.split_batches),
        "padding_rows": count(&stats.padding_rows),
        "padding_bytes": count(&stats.padding_bytes),
        "batch_rows": histogram(&stats.batch_rows),
        "batch_requests": histogram(&stats.batch_requests),
        "wait_micros": histogram(&stats.wait_micros),
    });
    if let (Some(auto), Value::Object(members)) = (queue.auto(), &mut value) {
        let cost =
            auto.cost().table().into_iter().map(|(rows, row)| json!({ "rows": rows, "micros_per_row": micros(row) }));
        members.insert("cost".to_owned(), cost.collect());
        members.insert("ways".to_owned(), ways(auto));
    }
    value
}

fn micros(time: std::time::Duration) -> f64 {
    time.as_nanos() as f64 / 1000.0
}

/// For each strategy, what it did when it was measured lately, and what experiments beside the one in use make of that.
fn ways(auto: &Auto) -> Value {
    let (findings, used) = auto.findings();
    let rounded = |share: f64| (share * 1000.0).round() / 1000.0;
    let way = |(number, Finding { strategy, rate, share_of_used }): (usize, &Finding)| {
        json!({
            "batches_at_once": strategy.max_in_flight,
            "part_of_rows_in_flight": 1.0 / strategy.max_in_flight.max(1) as f64,
            "lingers": strategy.linger,
            "rows_per_second": rate.map(f64::round),
            "share_of_chosen": share_of_used.as_ref().map(|share| [rounded(*share.start()), rounded(*share.end())]),
            "chosen": number == used,
        })
    };
    findings.iter().enumerate().map(way).collect()
}

fn histogram(histogram: &Histogram) -> Value {
    let buckets: Vec<Value> =
        histogram.buckets().into_iter().map(|(bound, count)| json!({ "up_to": bound, "count": count })).collect();
    json!({
        "count": histogram.count(),
        "mean": histogram.sum() as f64 / histogram.count().max(1) as f64,
        "p50": histogram.quantile(0.5),
        "p99": histogram.quantile(0.99),
        "buckets": buckets,
    })
}

/// What happens to the next request, and why.
fn decision(queue: &RunQueue) -> String {
    if queue.is_split_up() {
        return "Each request runs on its own: the results of a batch did not have a row for each row.".to_owned();
    }
    let parameters = &queue.kind().parameters;
    let Some(auto) = queue.auto() else {
        return format!(
            "Requests are merged into batches of at most {} rows; the first waits at most {} microseconds for others.",
            parameters.execution_batch_size(),
            parameters.batch_timeout_micros
        );
    };
    let (findings, used) = auto.findings();
    let rate = |number: usize| findings.get(number).and_then(|finding| finding.rate);
    let Strategy { max_in_flight, linger } = findings.get(used).map_or(Strategy::UNBATCHED, |finding| finding.strategy);
    let tried = findings.iter().skip(1).filter(|finding| finding.rate.is_some()).count();
    let alone = rate(0).map_or_else(|| "not measured".to_owned(), |rate| format!("{rate:.0} rows a second"));
    match (max_in_flight, tried) {
        (0, 0) => "Each request runs on its own: there were too few at once to try batches.".to_owned(),
        (0, _) => {
            let batched = (1..findings.len()).filter_map(rate).fold(0.0, f64::max);
            format!(
                "Each request runs on its own ({alone} lately): in experiments side by side batches did not clearly do more \
                 ({batched:.0} at most when they were tried)."
            )
        }
        (number, _) => format!(
            "Requests that come while others are in flight are merged, {number} batches at once of up to 1/{number} of the \
             rows in flight{} ({:.0} rows a second; on their own {alone}). A request that is alone runs at once.",
            if linger { ", for which a batch waits a little" } else { "" },
            rate(used).unwrap_or(0.0)
        ),
    }
}
