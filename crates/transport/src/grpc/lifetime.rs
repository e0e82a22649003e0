// SPDX-License-Identifier: Apache-2.0
//! When a connection has to end: its age, and clients that are gone without a word.

use std::future::pending;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{sleep, timeout};

use crate::grpc_options::GrpcOptions;

/// Completes when the connection is as old as it may get, give or take a tenth, so that many connections that were made
/// together do not end together.
pub(super) async fn aged(options: &GrpcOptions) {
    sleep_or_never(options.max_age.map(|age| age.mul_f64(0.9 + 0.2 * random_fraction()))).await;
}

/// Completes when the time for the calls of an old connection is over.
pub(super) async fn grace_over(options: &GrpcOptions) {
    sleep_or_never(options.max_age_grace).await;
}

/// Completes when the client does not answer a ping in time.
pub(super) async fn lost(pings: Option<PingPong>, options: &GrpcOptions) {
    let (Some(time), Some(mut pings)) = (options.keepalive_time, pings) else { return pending().await };
    loop {
        sleep(time).await;
        match timeout(options.keepalive_timeout, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

async fn sleep_or_never(time: Option<Duration>) {
    match time {
        None => pending().await,
        Some(time) => sleep(time).await,
    }
}

/// From 0 to 1.
fn random_fraction() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}
