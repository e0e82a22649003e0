// SPDX-License-Identifier: Apache-2.0
//! What it costs a request to be counted: everything that the metrics add to one, clock reads included.
//!
//! `cargo run --release -p tensorserve-servables --example metrics_cost`

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tensorserve_servables::metrics::{Api, Entry, Metrics, RequestPhase};

const REQUESTS: u32 = 5_000_000;

fn main() {
    let metrics = Metrics::default();
    let model = metrics.of_requested("model");
    let run = Duration::from_micros(17);
    let begin = Instant::now();
    for _ in 0..REQUESTS {
        black_box(Instant::now().elapsed());
    }
    println!("two clock reads: {:.1} ns", begin.elapsed().as_nanos() as f64 / f64::from(REQUESTS));
    for round in 0..3 {
        let begin = Instant::now();
        for _ in 0..REQUESTS {
            let start = Instant::now();
            let model = Arc::clone(black_box(&model));
            model.entered();
            let (received, computed) = (Instant::now(), Instant::now());
            model.ran_alone(black_box(Some(Api::Predict)), black_box(run));
            let end = Instant::now();
            model.succeeded(black_box(Entry::GrpcPredict), end - start);
            let phases = [received - start, computed - received, end - computed];
            RequestPhase::ALL.into_iter().zip(phases).for_each(|(phase, time)| model.passed(phase, time));
            model.left();
        }
        println!("round {round}: {:.1} ns a request", begin.elapsed().as_nanos() as f64 / f64::from(REQUESTS));
    }
}
