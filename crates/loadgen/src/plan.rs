// SPDX-License-Identifier: Apache-2.0
//! What is sent, to whom, and when.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

/// Where the server listens.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// `HOST:PORT`.
    Tcp(String),
    Unix(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2, a stream for each request.
    Grpc,
    /// HTTP/1.1, one request at a time on each connection.
    Rest,
}

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// Each sender sends when its last request is answered.
    Closed { concurrency: usize },
    /// `rate` requests a second, at even distances or, as of clients that know nothing of each other, at random ones;
    /// what would be more in flight than `max_in_flight` waits, and its latency counts.
    Open { rate: f64, random: bool, max_in_flight: usize },
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub endpoint: Endpoint,
    pub protocol: Protocol,
    /// Of the URL, such as `/tensorflow.serving.PredictionService/Predict`.
    pub path: String,
    pub content_type: String,
    /// gRPC metadata or HTTP headers.
    pub headers: Vec<(String, String)>,
    /// Messages (of gRPC: without their frames), sent in turn. Not empty.
    pub bodies: Vec<Bytes>,
    pub load: Load,
    pub connections: usize,
    /// Threads that send; each has connections of its own.
    pub threads: usize,
    /// Requests that begin in this time at first are not measured.
    pub warm_up: Duration,
    /// Requests begin for so long after that.
    pub duration: Duration,
    /// A request that takes longer has failed.
    pub timeout: Duration,
    pub seed: u64,
}

impl Plan {
    /// Threads that have something to do: each needs a connection and, in a closed loop, a sender.
    pub(crate) fn most_threads(&self) -> usize {
        let senders = match self.load {
            Load::Closed { concurrency } => concurrency,
            Load::Open { max_in_flight, .. } => max_in_flight,
        };
        self.connections.min(senders).max(1)
    }

    /// How many of `whole` things are those of thread `number` of `threads`.
    pub(crate) fn share(whole: usize, number: usize, threads: usize) -> usize {
        whole / threads + usize::from(number < whole % threads)
    }
}
