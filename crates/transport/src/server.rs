// SPDX-License-Identifier: Apache-2.0
//! The data plane's threads and ports: starts them, and stops them gracefully.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tensorserve_servables::execution::executor::default_threads;
use tensorserve_servables::{Executor, InFlightLimits, Pool, Result, ServableTable, StatusBoard};

use crate::clerk::Clerk;
use crate::control::ControlSlot;
use crate::lanes::{LaneThread, Lanes};
use crate::listener::{ACCEPT_RETRY, Listener};
use crate::memory::Memory;
use crate::request_log::RequestLog;
use crate::serving::{Serving, ServingOptions};
use crate::shutdown::{Shutdown, ShutdownWatch};
use crate::spare::{self, Spare, is_about_one_client, is_lack_of_descriptors};
use crate::tls::{Identity, Security};

/// How many threads a server has; 0 lets it choose by the CPUs that this process may use.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// Threads that read requests, run short models and write replies. 0: one for every two CPUs.
    pub io_threads: usize,
    /// Runs of long models that may happen at once. 0: two a CPU.
    pub execution_threads: usize,
    /// Threads of their own for batches with fixed parameters.
    pub batch_threads: Option<BatchThreads>,
    /// Shares of the execution threads by model; 1 for those that are not named.
    pub model_weights: HashMap<String, f64>,
    pub limits: InFlightLimits,
}

/// `num_batch_threads` and `thread_pool_name`.
#[derive(Clone, Debug)]
pub struct BatchThreads {
    pub number: usize,
    pub name: String,
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    Rest,
    /// Probes alone, over HTTP.
    Health,
}

impl Protocol {
    /// As the log names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Protocol::Grpc => "gRPC",
            Protocol::Rest => "REST",
            Protocol::Health => "health",
        }
    }
}

/// A running data plane. Dropping it stops it at once.
pub struct Server {
    lanes: Vec<LaneThread>,
    serving: Arc<Serving>,
    security: Arc<Security>,
    shutdown: Option<Shutdown>,
}

impl Server {
    /// Starts the threads; no port is open yet.
    pub fn start(options: ServerOptions, serving: ServingOptions) -> io::Result<Self> {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let or_default = |chosen: usize, default: usize| if chosen == 0 { default } else { chosen };
        let slots = or_default(options.execution_threads, default_threads());
        let weights = options.model_weights.iter().map(|(model, weight)| (Arc::from(&**model), *weight)).collect();
        let threads = Pool::new("tensorserve-run", slots, weights);
        let batch_threads = match options.batch_threads {
            Some(BatchThreads { number, name }) => Pool::new(name, number, HashMap::new()),
            None => threads.clone(),
        };
        let serving = Arc::new(Serving {
            table: ServableTable::default(),
            status: StatusBoard::new(serving.readiness),
            request_log: RequestLog::default(),
            control: ControlSlot::default(),
            executor: Executor::new(threads, batch_threads).with_limits(options.limits),
            clerk: Clerk::start()?,
            memory: Memory::new(serving.limits.max_buffered_bytes),
            accept_failures: AtomicU64::new(0),
            connections_cut: AtomicU64::new(0),
            options: serving,
        });
        // More of them would sleep and wake more often for the same work; long runs have threads of their own.
        let lanes = (0..or_default(options.io_threads, cpus.div_ceil(2)))
            .map(|number| LaneThread::start(number, Arc::clone(&serving)))
            .collect::<io::Result<_>>()?;
        Ok(Server { lanes, serving, security: Arc::default(), shutdown: Some(Shutdown::new()) })
    }

    pub fn serving(&self) -> &Arc<Serving> {
        &self.serving
    }

    /// From now on new connections of this protocol are within TLS, and show this identity. INVALID_ARGUMENT if it cannot
    /// be used.
    pub fn secure(&self, protocol: Protocol, identity: &Identity<'_>) -> Result<()> {
        self.security.set(protocol, identity)
    }

    /// Accepts connections on a socket that listens.
    pub fn serve(&self, protocol: Protocol, socket: OwnedFd) -> io::Result<()> {
        let (Some(first), Some(shutdown)) = (self.lanes.first(), &self.shutdown) else {
            return Err(io::Error::other("the server was stopped"));
        };
        let _in_loop = first.handle.enter();
        let listener = Listener::new(socket.into())?;
        let (lanes, security) = (Lanes::of(&self.lanes), Arc::clone(&self.security));
        let accepting = Accepting { protocol, listener, lanes, security, serving: Arc::clone(&self.serving) };
        first.handle.spawn(accepting.run(shutdown.watch()));
        Ok(())
    }

    /// Closes the ports, lets requests in flight finish for at most `drain`, and stops. HTTP/1 clients that ask nothing
    /// may do so for `idle` more, and are told to come back over a new connection. True if all were finished.
    pub fn stop(mut self, drain: Duration, idle: Duration) -> bool {
        self.serving.status.drain();
        match (self.lanes.first(), self.shutdown.take()) {
            (Some(first), Some(shutdown)) => first.handle.block_on(shutdown.finish(drain, idle)),
            _ => true,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.lanes.drain(..).for_each(LaneThread::stop);
        self.serving.executor.stop();
    }
}

/// A socket whose connections go to the lanes.
struct Accepting {
    protocol: Protocol,
    listener: Listener,
    lanes: Lanes,
    security: Arc<Security>,
    serving: Arc<Serving>,
}

impl Accepting {
    /// Accepts connections until the server stops.
    async fn run(self, mut stop: ShutdownWatch) {
        let watch = stop.clone();
        let mut spare = Spare::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.told() => return,
            };
            match accepted {
                Ok(accepted) => {
                    self.lanes.serve(self.protocol, accepted, self.security.get(self.protocol), watch.clone());
                }
                Err(error) => self.failed(&error, &mut spare).await,
            }
        }
    }

    /// Says so, makes room, and turns away who waits, so that nobody waits for nothing.
    async fn failed(&self, error: &io::Error, spare: &mut Spare) {
        if !is_about_one_client(error) {
            self.serving.accept_failures.fetch_add(1, Ordering::Relaxed);
            spare::report(error, self.protocol.name());
            self.lanes.make_room();
            if is_lack_of_descriptors(error) {
                let in_plain_text = self.security.get(self.protocol).is_none();
                spare.turn_away(&self.listener, self.protocol == Protocol::Rest && in_plain_text).await;
            }
            tokio::time::sleep(ACCEPT_RETRY).await;
        }
    }
}
