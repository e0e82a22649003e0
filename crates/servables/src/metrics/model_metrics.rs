// SPDX-License-Identifier: Apache-2.0
//! The counters of one model.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Code;
use crate::metrics::BatchingMetrics;
use crate::metrics::histogram::{Counts, Histogram, exponential};

/// Limits in microseconds.
pub(crate) const LATENCY_LIMITS: usize = 33;
pub(crate) static LATENCY: [f64; LATENCY_LIMITS] = exponential(10.0, 1.8);

/// A histogram of latencies.
pub(crate) type Latency = Histogram<LATENCY_LIMITS>;

const CODES: usize = Code::Unauthenticated as usize + 1;

/// The verbs whose runs are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Predict,
    Classify,
    Regress,
}

impl Api {
    pub(crate) const ALL: [Api; 3] = [Api::Predict, Api::Classify, Api::Regress];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Api::Predict => "Predict",
            Api::Classify => "Classify",
            Api::Regress => "Regress",
        }
    }
}

/// How a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    GrpcPredict,
    GrpcClassify,
    GrpcRegress,
    RestPredict,
    RestClassify,
    RestRegress,
    /// Whatever else is asked of the REST API.
    RestOther,
}

impl Entry {
    pub(crate) const ALL: [Entry; 7] = [
        Entry::GrpcPredict,
        Entry::GrpcClassify,
        Entry::GrpcRegress,
        Entry::RestPredict,
        Entry::RestClassify,
        Entry::RestRegress,
        Entry::RestOther,
    ];

    /// The labels `API` and `entrypoint`. REST has the verbs as its URLs spell them, as the original does.
    pub(crate) fn labels(self) -> (&'static str, &'static str) {
        match self {
            Entry::GrpcPredict => ("Predict", "GRPC"),
            Entry::GrpcClassify => ("Classify", "GRPC"),
            Entry::GrpcRegress => ("Regress", "GRPC"),
            Entry::RestPredict => ("predict", "REST"),
            Entry::RestClassify => ("classify", "REST"),
            Entry::RestRegress => ("regress", "REST"),
            Entry::RestOther => ("", "REST"),
        }
    }
}

/// What a request goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestPhase {
    /// From its headers to its last byte.
    Receive,
    /// Until the model has answered: reading, waiting and running.
    Compute,
    /// Until the reply is written.
    Reply,
}

impl RequestPhase {
    pub const ALL: [RequestPhase; 3] = [RequestPhase::Receive, RequestPhase::Compute, RequestPhase::Reply];

    pub fn name(self) -> &'static str {
        match self {
            RequestPhase::Receive => "receive",
            RequestPhase::Compute => "compute",
            RequestPhase::Reply => "reply",
        }
    }
}

/// What happened to the requests of a model, whichever version answered them.
#[derive(Debug)]
pub struct ModelMetrics {
    /// Those that failed, by code; how many succeeded is what `request_latency` holds.
    failures: [AtomicU64; CODES],
    request_latency: [Latency; Entry::ALL.len()],
    /// Requests that are worked on, or wait, now.
    in_flight: AtomicU64,
    phases: [Latency; RequestPhase::ALL.len()],
    /// Of requests that ran alone: each is a run of the session.
    alone_latency: [Latency; Api::ALL.len()],
    batched_latency: [Latency; Api::ALL.len()],
    /// Runs of the session that are not in `alone_latency`.
    runs: AtomicU64,
    run_nanos: AtomicU64,
    /// Those of all models.
    batching: Arc<BatchingMetrics>,
}

impl ModelMetrics {
    pub(crate) fn new(batching: Arc<BatchingMetrics>) -> Self {
        ModelMetrics {
            failures: [const { AtomicU64::new(0) }; CODES],
            request_latency: [const { Histogram::new(&LATENCY) }; Entry::ALL.len()],
            in_flight: AtomicU64::new(0),
            phases: [const { Histogram::new(&LATENCY) }; RequestPhase::ALL.len()],
            alone_latency: [const { Histogram::new(&LATENCY) }; Api::ALL.len()],
            batched_latency: [const { Histogram::new(&LATENCY) }; Api::ALL.len()],
            runs: AtomicU64::new(0),
            run_nanos: AtomicU64::new(0),
            batching,
        }
    }

    /// Counts a request that succeeded, and how long it took.
    pub fn succeeded(&self, entry: Entry, time: Duration) {
        self.request_latency[entry as usize].record_time(time);
    }

    /// Counts a request that failed.
    pub fn failed(&self, code: Code) {
        if let Some(count) = self.failures.get(code as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request has come; it is [`ModelMetrics::left`] behind later.
    pub fn entered(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A request is done.
    pub fn left(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts how long a phase of a request took that succeeded.
    pub fn passed(&self, phase: RequestPhase, time: Duration) {
        self.phases[phase as usize].record_time(time);
    }

    /// Counts a run of the session for one request alone.
    pub fn ran_alone(&self, api: Option<Api>, time: Duration) {
        match api {
            Some(api) => self.alone_latency[api as usize].record_time(time),
            None => self.ran(time),
        }
    }

    /// Counts how long a request's run took that was in a batch; see [`ModelMetrics::ran`] for the batch.
    pub(crate) fn ran_in_batch(&self, api: Option<Api>, time: Duration) {
        if let Some(api) = api {
            self.batched_latency[api as usize].record_time(time);
        }
    }

    /// Counts a run of the session that is nobody's alone.
    pub(crate) fn ran(&self, time: Duration) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.run_nanos.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(crate) fn batching(&self) -> &BatchingMetrics {
        &self.batching
    }

    /// Each code that was answered, and how often.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (Code, u64)> {
        let succeeded = self.request_latency.iter().map(Latency::count).sum();
        let failures = self.failures.iter().zip(0..);
        let failures = failures.map(|(count, code)| (Code::from_i32(code), count.load(Ordering::Relaxed)));
        iter::once((Code::Ok, succeeded)).chain(failures).filter(|(_, count)| *count > 0)
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn phase(&self, phase: RequestPhase) -> &Latency {
        &self.phases[phase as usize]
    }

    pub(crate) fn request_latency(&self, entry: Entry) -> &Latency {
        &self.request_latency[entry as usize]
    }

    /// What the runs of requests took, alone and in batches; `None` if there were none.
    pub(crate) fn runtime_latency(&self, api: Api) -> Option<Counts> {
        let [alone, batched] = [&self.alone_latency, &self.batched_latency].map(|of| of[api as usize].counts());
        match (alone, batched) {
            (Some(alone), Some(batched)) => Some(alone.plus(&batched)),
            (alone, batched) => alone.or(batched),
        }
    }

    /// Runs of the session, and the microseconds that they took.
    pub(crate) fn runs(&self) -> (u64, u64) {
        let alone = self.alone_latency.iter().map(|latency| (latency.count(), latency.nanos()));
        let others = (self.runs.load(Ordering::Relaxed), self.run_nanos.load(Ordering::Relaxed));
        let (runs, nanos) = alone.fold(others, |(runs, nanos), (more, time)| (runs + more, nanos + time));
        (runs, nanos / 1000)
    }
}
