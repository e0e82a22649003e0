// SPDX-License-Identifier: Apache-2.0
//! Sends requests to a model server and measures what they take.
//!
//! Depends on no other crate of ours: it must not share mistakes with the server that it measures. Called by `bindings`
//! for `tensorserve bench`. Read [`plan`] (what is sent, and when) first, then [`worker`], which sends it.
//!
//! * In a closed loop a number of senders each send the next request when the last one is answered. A server that is slow
//!   is asked less often, so the latencies are those of that many patient clients, and no more.
//! * In an open loop requests come at a rate, whether or not earlier ones are answered. Each latency counts from the
//!   moment at which the request was to be sent, also if it could be sent only later, because too many were in flight or
//!   this program was late. Otherwise a server that stalls would hide the requests that would have waited meanwhile:
//!   "coordinated omission".

mod connection;
mod pacing;
pub mod plan;
pub mod report;
mod worker;

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use plan::Plan;
use report::{Report, Shared};

/// Runs a plan to its end, or until [`Shared::stop`]; blocks. An error if no connection can be made at first.
pub fn run(plan: &Arc<Plan>, shared: &Arc<Shared>) -> Result<Report, String> {
    let threads = plan.threads.clamp(1, plan.most_threads());
    let start = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|number| {
            let (plan, shared) = (Arc::clone(plan), Arc::clone(shared));
            thread::Builder::new()
                .name(format!("tensorserve-load-{number}"))
                .spawn(move || worker::run(&plan, &shared, number, threads, start))
                .map_err(|error| format!("cannot start a thread: {error}"))
        })
        .collect();
    let mut report = Report::default();
    let mut failure = None;
    for worker in workers {
        let done = worker.and_then(|worker| worker.join().map_err(|_| "a sender failed unexpectedly".to_owned())?);
        match done {
            Ok(part) => report.add(&part),
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(report), Err)
}
