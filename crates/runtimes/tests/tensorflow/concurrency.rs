// SPDX-License-Identifier: Apache-2.0
//! Many runs at once, and runs with a time limit.

use std::thread;
use std::time::{Duration, Instant};

use tensorserve_runtimes::{InterOp, RunOptions, Session};
use tensorserve_tensors::{Code, Result, Tensor};

use crate::fixture::{float_values, floats, int64_values, int64s, load, run_one, run_with, string_values, strings};

const THREADS: usize = 8;
const RUNS: usize = 500;

pub(crate) fn runs_on_many_threads_do_not_mix() {
    let (numbers, texts) = (load("half_plus_two"), load("strings"));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (numbers, texts) = (&*numbers, &*texts);
            scope.spawn(move || {
                for run in 0..RUNS {
                    let x = (thread * RUNS + run) as f32;
                    let y = run_one(numbers, "serving_default", &[("x", floats(&[2], &[x, -x]))], "y");
                    assert_eq!(float_values(&y), [0.5 * x + 2.0, -0.5 * x + 2.0]);
                    let text = format!("thread {thread} run {run} of many");
                    let y = run_one(texts, "upper", &[("x", strings(&[1], &[text.as_bytes()]))], "y");
                    assert_eq!(string_values(&y), [text.to_uppercase().into_bytes()]);
                }
            });
        }
    });
}

pub(crate) fn names_may_be_resolved_while_running() {
    let session = load("identities");
    let names = ["float32_y", "int8_y", "bool_y", "string_y", "half_y", "float64_y", "int64_y", "uint8_y"];
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let session = &*session;
            scope.spawn(move || {
                for run in 0..RUNS {
                    // The names without output number have not been resolved by the load.
                    let _ = session.resolve(names[(thread + run) % names.len()]);
                    let y = run_one(session, "float32", &[("x", floats(&[1], &[run as f32]))], "y");
                    assert_eq!(float_values(&y), [run as f32]);
                }
            });
        }
    });
}

fn count_to(session: &dyn Session, n: i64, timeout: Duration) -> Result<Vec<Tensor>> {
    let options = RunOptions { timeout: Some(timeout), inter_op: InterOp::Pool };
    run_with(session, "serving_default", &[("n", int64s(&[], &[n]))], &["count"], &options)
}

pub(crate) fn a_pool_run_ends_at_its_time_limit() {
    let session = load("endless");
    let start = Instant::now();
    let error = count_to(&*session, i64::MAX, Duration::from_millis(50)).expect_err("it never ends");
    assert_eq!(error.code, Code::DeadlineExceeded, "{error}");
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

pub(crate) fn a_pool_run_within_its_time_limit_computes() {
    let session = load("endless");
    let results = count_to(&*session, 100, Duration::from_secs(60)).expect("it ends");
    assert_eq!(int64_values(&results[0]), [100]);
}
