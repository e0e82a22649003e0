// SPDX-License-Identifier: Apache-2.0
//! One thread that sends: an event loop with connections of its own.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, mpsc::UnboundedReceiver};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::connection::{Connection, Failure, Template, framed};
use crate::pacing::{self, Schedule};
use crate::plan::{Load, Plan, Protocol};
use crate::report::{Report, Shared};

/// Before a connection that broke is made again.
const RECONNECT: Duration = Duration::from_millis(50);

/// Runs the share of thread `number`; blocks.
pub(crate) fn run(
    plan: &Arc<Plan>,
    shared: &Arc<Shared>,
    number: usize,
    threads: usize,
    start: Instant,
) -> Result<Report, String> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let sender = Rc::new(Sender::new(plan, shared, start)?);
        match plan.load {
            Load::Closed { concurrency } => {
                let mine = Plan::share(concurrency, number, threads);
                closed(&sender, mine, Plan::share(plan.connections, number, threads).max(1)).await?;
            }
            Load::Open { rate, random, max_in_flight } => {
                let seed = random.then_some(plan.seed.wrapping_add(number as u64 * 7919));
                let schedule = Schedule::new(start, rate / threads as f64, seed);
                let due = pacing::due(schedule, sender.end, Arc::clone(shared)).map_err(|error| error.to_string())?;
                let connections = Plan::share(plan.connections, number, threads).max(1);
                open(&sender, due, connections, Plan::share(max_in_flight, number, threads).max(1)).await?;
            }
        }
        Ok(sender.report.take())
    })
}

/// What all tasks of a thread share.
struct Sender {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    template: Template,
    bodies: Vec<Bytes>,
    next_body: Cell<usize>,
    warm: Instant,
    end: Instant,
    report: RefCell<Report>,
}

impl Sender {
    fn new(plan: &Arc<Plan>, shared: &Arc<Shared>, start: Instant) -> Result<Self, String> {
        let frame = |body: &Bytes| if plan.protocol == Protocol::Grpc { framed(body) } else { body.clone() };
        let warm = start + plan.warm_up;
        Ok(Sender {
            plan: Arc::clone(plan),
            shared: Arc::clone(shared),
            template: Template::new(plan)?,
            bodies: plan.bodies.iter().map(frame).collect(),
            next_body: Cell::new(0),
            warm,
            end: warm + plan.duration,
            report: RefCell::default(),
        })
    }

    fn is_over(&self) -> bool {
        self.shared.is_stopped() || Instant::now() >= self.end
    }

    /// The body whose turn it is.
    fn body(&self) -> Bytes {
        let at = self.next_body.get();
        self.next_body.set((at + 1) % self.bodies.len().max(1));
        self.bodies.get(at).cloned().unwrap_or_default()
    }

    /// Sends one request and notes its time, which counts from `intended`.
    async fn send(&self, connection: &mut Connection, intended: Instant) -> Result<(), Failure> {
        let body = self.body();
        let done = timeout(self.plan.timeout, connection.send(&self.template, &body)).await;
        let outcome = done.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        self.note(intended, &outcome);
        outcome
    }

    fn note(&self, intended: Instant, outcome: &Result<(), Failure>) {
        let now = Instant::now();
        self.shared.count(outcome.is_ok());
        if intended < self.warm {
            return;
        }
        let mut report = self.report.borrow_mut();
        match outcome {
            Ok(()) => {
                report.latency(now.saturating_duration_since(intended));
                report.answered_in_time += u64::from(now <= self.end);
            }
            Err(failure) => report.error(failure.clone()),
        }
    }
}

/// Whether a failure is the connection's, so that another is needed. An answer that is an error is none.
fn is_broken(failure: &Failure) -> bool {
    !failure.starts_with("gRPC status") && !failure.starts_with("HTTP status")
}

async fn closed(sender: &Rc<Sender>, concurrency: usize, connections: usize) -> Result<(), String> {
    let mut shared: Vec<Connection> = Vec::new();
    let mut tasks = Vec::with_capacity(concurrency);
    for slot in 0..concurrency {
        let at = slot % connections;
        let connection = match shared.get(at).and_then(Connection::share) {
            Some(connection) => connection,
            None => Connection::open(&sender.plan).await?,
        };
        let own = match connection.share() {
            Some(own) => {
                if at == shared.len() {
                    shared.push(connection);
                }
                own
            }
            None => connection,
        };
        tasks.push(spawn_local(keep_sending(Rc::clone(sender), own)));
    }
    join(tasks).await
}

async fn keep_sending(sender: Rc<Sender>, mut connection: Connection) {
    while !sender.is_over() {
        let outcome = sender.send(&mut connection, Instant::now()).await;
        if outcome.is_err_and(|failure| is_broken(&failure)) || !connection.is_usable() {
            sleep(RECONNECT).await;
            match Connection::open(&sender.plan).await {
                Ok(another) => connection = another,
                Err(failure) => sender.note(Instant::now(), &Err(failure)),
            }
        }
    }
}

/// Connections of an open loop, taken for a request and put back.
struct Idle {
    connections: RefCell<Vec<Connection>>,
    next: Cell<usize>,
}

impl Idle {
    /// A connection for one request, a new one if none is free.
    async fn take(&self, plan: &Plan) -> Result<Connection, Failure> {
        let found = {
            let mut connections = self.connections.borrow_mut();
            let at = self.next.get().checked_rem(connections.len()).unwrap_or(0);
            self.next.set(at + 1);
            match connections.get(at).map(Connection::share) {
                Some(Some(shared)) => Some(shared),
                Some(None) => connections.pop().filter(Connection::is_usable),
                None => None,
            }
        };
        match found {
            Some(connection) => Ok(connection),
            None => Connection::open(plan).await,
        }
    }

    /// Keeps a connection that has done well; shared ones are kept already.
    fn put_back(&self, connection: Connection, limit: usize) {
        let mut connections = self.connections.borrow_mut();
        let is_shared = connection.share().is_some();
        if (!is_shared || connections.len() < limit) && connection.is_usable() && connections.len() < limit.max(1024) {
            connections.push(connection);
        }
    }

    fn forget_all(&self) {
        self.connections.borrow_mut().clear();
    }
}

async fn open(
    sender: &Rc<Sender>,
    mut due: UnboundedReceiver<Instant>,
    connections: usize,
    max_in_flight: usize,
) -> Result<(), String> {
    let idle = Rc::new(Idle { connections: RefCell::default(), next: Cell::new(0) });
    for _ in 0..connections {
        idle.put_back(Connection::open(&sender.plan).await?, connections);
    }
    let room = Arc::new(Semaphore::new(max_in_flight));
    let in_flight = Rc::new(Cell::new(0usize));
    let last = sender.end + sender.plan.timeout;
    loop {
        let next = timeout(last.saturating_duration_since(Instant::now()), due.recv()).await;
        let Ok(Some(intended)) = next else { break };
        let left = last.saturating_duration_since(Instant::now());
        let Ok(Ok(permit)) = timeout(left, Arc::clone(&room).acquire_owned()).await else {
            unanswered(sender, intended);
            break;
        };
        let (sender, idle, in_flight) = (Rc::clone(sender), Rc::clone(&idle), Rc::clone(&in_flight));
        in_flight.set(in_flight.get() + 1);
        spawn_local(async move {
            one(&sender, &idle, connections, intended).await;
            in_flight.set(in_flight.get() - 1);
            drop(permit);
        });
    }
    // What was due and never sent has waited for nothing.
    due.close();
    while let Ok(intended) = due.try_recv() {
        unanswered(sender, intended);
    }
    while in_flight.get() > 0 && Instant::now() < last + RECONNECT {
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn one(sender: &Sender, idle: &Idle, limit: usize, intended: Instant) {
    let lag = Instant::now().saturating_duration_since(intended);
    if intended >= sender.warm {
        sender.report.borrow_mut().lag(lag);
    }
    match idle.take(&sender.plan).await {
        Ok(mut connection) => match sender.send(&mut connection, intended).await {
            Err(failure) if is_broken(&failure) => idle.forget_all(),
            _ => idle.put_back(connection, limit),
        },
        Err(failure) => sender.note(intended, &Err(failure)),
    }
}

fn unanswered(sender: &Sender, intended: Instant) {
    if intended >= sender.warm {
        let mut report = sender.report.borrow_mut();
        report.unfinished += 1;
        report.latency(Instant::now().saturating_duration_since(intended));
    }
}

async fn join(tasks: Vec<JoinHandle<()>>) -> Result<(), String> {
    for task in tasks {
        task.await.map_err(|_| "a sender failed unexpectedly".to_owned())?;
    }
    Ok(())
}
