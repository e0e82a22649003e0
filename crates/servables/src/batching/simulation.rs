// SPDX-License-Identifier: Apache-2.0
//! Clients, a machine and the code that decides on batches, in simulated time.
//!
//! Clients send a request of one row each, wait for the answer and send the next. Reading and answering a request takes
//! processor time too. All that computes shares the processors evenly.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tensorserve_batching::queue::{Abandon, Ready};
use tensorserve_batching::{Limits, Parameters, Priority, Strategy, Task};
use tensorserve_runtimes::RunTime;

use crate::batching::auto::{Auto, InFlight};
use crate::batching::queue_state::{HasInputs, QueueState};
use crate::execution::executor::LaneLoad;
use crate::execution::run_profile::RunProfile;

/// What a model costs, in seconds of one processor.
#[derive(Clone, Copy, Debug)]
struct Model {
    /// To read a request and to answer it.
    request: f64,
    /// A run of one request on its own.
    alone: f64,
    /// A batch, whatever is in it, and each of its rows.
    batch: f64,
    row: f64,
    /// Processors that one run uses.
    width: f64,
    /// Runs take up to this part less or more.
    noise: f64,
}

/// A row that waits: the number of its client.
struct Row(usize);

impl Abandon for Row {
    fn is_abandoned(&self) -> bool {
        false
    }
}

impl HasInputs for Row {
    fn input_bytes(&self) -> usize {
        4
    }
}

enum What {
    Request(usize),
    Alone(usize),
    Batch(Priority, Vec<usize>),
}

struct Job {
    what: What,
    /// Seconds of one processor.
    left: f64,
    width: f64,
    began: Instant,
}

/// One server under a closed loop of clients.
struct Simulation<'a> {
    model: Model,
    cpus: f64,
    threads: usize,
    auto: &'a Auto,
    /// Whether the tuner is told what was done.
    learns: bool,
    state: QueueState<Row>,
    in_flight: Vec<Option<InFlight<'a>>>,
    jobs: Vec<Job>,
    waiting_alone: VecDeque<usize>,
    busy_threads: usize,
    timers: BinaryHeap<Reverse<Instant>>,
    now: Instant,
    /// Rows that were answered.
    rows: u64,
    /// Rows that were run by a strategy that was only tried.
    tried_rows: u64,
    chance: u64,
}

impl<'a> Simulation<'a> {
    fn new(model: Model, cpus: usize, clients: usize, auto: &'a Auto, learns: bool) -> Self {
        let mut simulation = Simulation {
            model,
            cpus: cpus as f64,
            threads: 2 * cpus,
            auto,
            learns,
            state: QueueState::new(Limits::of(&Parameters { max_enqueued_batches: 1000, ..Parameters::default() })),
            in_flight: (0..clients).map(|_| None).collect(),
            jobs: Vec::new(),
            waiting_alone: VecDeque::new(),
            busy_threads: 0,
            timers: BinaryHeap::new(),
            now: Instant::now(),
            rows: 0,
            tried_rows: 0,
            chance: 0x9e37_79b9,
        };
        (0..clients).for_each(|client| simulation.send(client));
        simulation
    }

    /// Rows a second over this time.
    fn run(&mut self, time: Duration) -> f64 {
        let (end, before) = (self.now + time, self.rows);
        while self.now < end {
            self.step();
        }
        (self.rows - before) as f64 / time.as_secs_f64()
    }

    fn step(&mut self) {
        let wanted: f64 = self.jobs.iter().map(|job| job.width).sum();
        let speed = (self.cpus / wanted).min(1.0);
        let first = self.jobs.iter().enumerate().map(|(at, job)| (at, (job.left / (job.width * speed)).max(0.0)));
        let first = first.min_by(|(_, one), (_, other)| one.total_cmp(other));
        let timer = self.timers.peek().map(|Reverse(time)| time.saturating_duration_since(self.now).as_secs_f64());
        let (next, done) = match (first, timer) {
            (Some((_, left)), Some(timer)) if timer < left => (timer, None),
            (Some((at, left)), _) => (left, Some(at)),
            (None, Some(timer)) => (timer, None),
            (None, None) => unreachable!("clients always have a request in flight"),
        };
        self.jobs.iter_mut().for_each(|job| job.left -= next * job.width * speed);
        self.now += Duration::from_secs_f64(next) + Duration::from_nanos(1);
        match done {
            Some(at) => {
                let job = self.jobs.swap_remove(at);
                self.done(job);
            }
            None => drop(self.timers.pop()),
        }
        self.begin();
    }

    fn done(&mut self, Job { what, began, .. }: Job) {
        let took = self.now - began;
        match what {
            What::Request(client) => self.arrive(client),
            What::Alone(client) => {
                self.busy_threads -= 1;
                self.auto.cost().record(1, took);
                self.count(1);
                if self.learns {
                    self.auto.ran_alone(1, LaneLoad::Alone, self.now);
                }
                self.answer(client);
            }
            What::Batch(priority, clients) => {
                self.busy_threads -= 1;
                self.auto.cost().record(clients.len(), took);
                self.count(clients.len());
                if self.learns {
                    self.auto.ran_together(clients.len(), self.now);
                }
                self.state.end(priority, clients.len(), self.now);
                clients.into_iter().for_each(|client| self.answer(client));
            }
        }
    }

    fn count(&mut self, rows: usize) {
        if self.auto.strategy() != self.auto.used() {
            self.tried_rows += rows as u64;
        }
    }

    fn arrive(&mut self, client: usize) {
        let Ok(in_flight) = self.auto.enter(1, LaneLoad::Others) else { return self.send(client) };
        let together = in_flight.together;
        self.in_flight[client] = Some(in_flight);
        if together {
            let task = Task { rows: 1, priority: Priority::Default, enqueued: self.now, deadline: None, payload: () };
            let pushed = self.state.push(task, |_| Row(client));
            assert!(pushed.is_ok(), "the queue is full");
        } else {
            self.waiting_alone.push_back(client);
        }
    }

    fn answer(&mut self, client: usize) {
        self.rows += 1;
        self.in_flight[client] = None;
        self.send(client);
    }

    fn send(&mut self, client: usize) {
        let left = self.model.request * (0.5 + self.random());
        self.start(What::Request(client), left, 1.0);
    }

    fn begin(&mut self) {
        while self.busy_threads < self.threads {
            if let Some(client) = self.waiting_alone.pop_front() {
                let left = self.model.alone * self.noise();
                self.busy_threads += 1;
                self.start(What::Alone(client), left, self.model.width);
                continue;
            }
            match self.state.ready(Priority::Default, Some(self.auto)) {
                Ready::Now => {}
                Ready::At(time) if time <= self.now => {}
                Ready::At(time) => {
                    self.timers.push(Reverse(time));
                    return;
                }
                Ready::Never => return,
            }
            let (taken, priority) = self.state.begin(Priority::Default, Some(self.auto), self.now);
            let Some(priority) = priority else { return };
            let clients: Vec<usize> = taken.tasks.iter().map(|task| task.payload.0).collect();
            let left = (self.model.batch + self.model.row * clients.len() as f64) * self.noise();
            self.busy_threads += 1;
            self.start(What::Batch(priority, clients), left, self.model.width);
        }
    }

    fn start(&mut self, what: What, left: f64, width: f64) {
        self.jobs.push(Job { what, left, width, began: self.now });
    }

    fn noise(&mut self) -> f64 {
        1.0 + self.model.noise * (2.0 * self.random() - 1.0)
    }

    fn random(&mut self) -> f64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance % 10_000) as f64 / 10_000.0
    }
}

/// A wide and a small perceptron, and a model whose runs use several processors and differ much.
const WIDE: Model = Model { request: 30e-6, alone: 1.1e-3, batch: 1.5e-3, row: 0.1e-3, width: 2.0, noise: 0.1 };
const SMALL: Model = Model { request: 18e-6, alone: 17e-6, batch: 120e-6, row: 3e-6, width: 1.0, noise: 0.1 };
const STEPS: Model = Model { request: 30e-6, alone: 300e-6, batch: 800e-6, row: 60e-6, width: 4.0, noise: 0.3 };

impl Model {
    /// A model that takes this many times longer, so that there is less to simulate.
    fn slower(self, times: f64) -> Self {
        let Model { request, alone, batch, row, .. } = self;
        Model { request: times * request, alone: times * alone, batch: times * batch, row: times * row, ..self }
    }
}

fn auto(cpus: usize) -> Auto {
    Auto::new(cpus, 2 * cpus, None, Arc::new(RunProfile::new(RunTime::InputSizes)))
}

/// Rows a second of the best strategy, and of none.
fn best_and_unbatched(model: Model, cpus: usize, clients: usize) -> (f64, f64) {
    let rate = |strategy: Strategy| {
        let auto = Auto::fixed(strategy.max_in_flight, strategy.linger, None);
        let mut simulation = Simulation::new(model, cpus, clients, &auto, false);
        simulation.run(Duration::from_millis(200));
        simulation.run(Duration::from_millis(300))
    };
    let rates: Vec<f64> = Strategy::all(cpus).into_iter().map(rate).collect();
    (rates.iter().copied().fold(0.0, f64::max), rates[0])
}

#[test]
fn the_best_strategy_is_found_on_machines_of_any_size() {
    for (model, cpus, clients) in [
        (WIDE, 2, 8),
        (WIDE, 2, 64),
        (SMALL, 2, 8),
        (SMALL, 2, 64),
        (STEPS, 2, 64),
        (WIDE.slower(4.0), 8, 64),
        (STEPS.slower(4.0), 8, 64),
        (WIDE.slower(4.0), 32, 8),
        (WIDE.slower(8.0), 32, 64),
        (STEPS.slower(8.0), 32, 64),
    ] {
        let (best, unbatched) = best_and_unbatched(model, cpus, clients);
        let auto = auto(cpus);
        let mut simulation = Simulation::new(model, cpus, clients, &auto, true);
        simulation.run(Duration::from_secs(20));
        let rate = simulation.run(Duration::from_secs(6));
        let case = format!("{model:?}, {cpus} processors, {clients} clients, {:?}", auto.used());
        assert!(rate > 0.93 * best, "{rate:.0} rows a second of {best:.0}: {case}");
        assert!(rate > 0.97 * unbatched, "{rate:.0} rows a second, {unbatched:.0} without batches: {case}");
    }
}

#[test]
fn after_a_minute_few_rows_are_in_experiments() {
    for (model, cpus) in [(WIDE.slower(2.0), 2), (WIDE.slower(4.0), 8), (STEPS.slower(8.0), 32)] {
        let auto = auto(cpus);
        let mut simulation = Simulation::new(model, cpus, 64, &auto, true);
        simulation.run(Duration::from_secs(60));
        (simulation.rows, simulation.tried_rows) = (0, 0);
        simulation.run(Duration::from_secs(20));
        let share = simulation.tried_rows as f64 / simulation.rows as f64;
        assert!(share < 0.05, "{share:.3} of the rows: {model:?}, {cpus} processors");
    }
}
