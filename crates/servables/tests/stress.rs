// SPDX-License-Identifier: Apache-2.0
//! Many threads send to two models that share their threads, give up, let deadlines pass, replace a version and stop the
//! server, with sessions that cost nothing, so that the hand-over between queues and threads is all that happens. Every
//! request gets its own answer or an error that it has earned, no more runs at once than may, and nothing stays behind.
//! `STRESS_SECONDS` makes it longer than the 2 seconds that it takes otherwise; `make tsan` runs it under the thread
//! sanitizer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy.toml knows only tests within the crate"
)]

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use smallvec::smallvec;
use tensorserve_protos::tensorflow::tensor_info::Encoding;
use tensorserve_protos::tensorflow::tensor_shape_proto::Dim;
use tensorserve_protos::tensorflow::{SignatureDef, TensorInfo, TensorShapeProto};
use tensorserve_runtimes::{RunOptions, RunTime, Session, TensorHandle};
use tensorserve_servables::execution::executor::LaneLoad;
use tensorserve_servables::verbs::predict::{InputValue, prepare};
use tensorserve_servables::{
    AutoBatching, Batching, Code, DEFAULT_SIGNATURE, Executor, ModelSpec, Parameters, Pool, Priority, Result, Servable,
    ServableTable, ServingError, Urgency, batching::report as batching_report,
};
use tensorserve_tensors::{AlignedBuffer, DataType, Shape, Tensor};

const CLIENT_THREADS: u64 = 4;
const TASKS: u64 = 12;
/// Of one server's life; then it is stopped or left to finish what it has.
const ROUND: Duration = Duration::from_millis(50);
/// So long nothing takes unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);
const MAX_ROWS: u64 = 5;
/// With their weights.
const MODELS: [(&str, f64); 2] = [("heavy", 3.0), ("light", 1.0)];
/// A row with this fails the run.
const POISON: u64 = u64::MAX;

/// Gives its input back; fails if there is poison in it.
struct Echo {
    signatures: BTreeMap<String, SignatureDef>,
    running: Arc<Running>,
}

/// Runs at once.
#[derive(Default)]
struct Running {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Session for Echo {
    fn signature_defs(&self) -> &BTreeMap<String, SignatureDef> {
        &self.signatures
    }

    fn resolve(&self, tensor_name: &str) -> Result<TensorHandle> {
        Ok(TensorHandle(usize::from(tensor_name == "y:0")))
    }

    fn run(&self, feeds: &[(TensorHandle, Tensor)], _: &[TensorHandle], _: &RunOptions) -> Result<Vec<Tensor>> {
        let running = self.running.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.running.most.fetch_max(running, Ordering::Relaxed);
        let numbers = numbers(&feeds[0].1);
        if numbers.len().is_multiple_of(2) {
            // Another thread goes on in the middle of this run.
            thread::yield_now();
        }
        self.running.now.fetch_sub(1, Ordering::Relaxed);
        if numbers.contains(&POISON) {
            return Err(ServingError::invalid_argument("poison"));
        }
        Ok(vec![feeds[0].1.clone()])
    }

    fn run_time(&self, _: Option<&str>) -> RunTime {
        // Runs on threads, never at once: the hand-over is what is tested.
        RunTime::InputValues
    }

    fn has_effects(&self, _: &str) -> bool {
        false
    }
}

fn signature() -> SignatureDef {
    let any = Dim { size: -1, ..Dim::default() };
    let info = |name: &str| TensorInfo {
        encoding: Some(Encoding::Name(name.to_owned())),
        dtype: DataType::Uint64 as i32,
        tensor_shape: Some(TensorShapeProto { dim: vec![any.clone(), any.clone()], unknown_rank: false }),
    };
    SignatureDef {
        inputs: [("x".to_owned(), info("x:0"))].into(),
        outputs: [("y".to_owned(), info("y:0"))].into(),
        ..SignatureDef::default()
    }
}

fn numbers(tensor: &Tensor) -> Vec<u64> {
    tensor.bytes().chunks_exact(8).map(|bytes| u64::from_ne_bytes(bytes.try_into().unwrap())).collect()
}

fn tensor(values: &[u64], width: usize) -> Tensor {
    let mut buffer = AlignedBuffer::zeroed(8 * values.len());
    for (bytes, value) in buffer.as_mut().chunks_exact_mut(8).zip(values) {
        bytes.copy_from_slice(&value.to_ne_bytes());
    }
    let shape = [values.len() / width, width].map(|size| size as i64);
    Tensor::plain(DataType::Uint64, Shape::new(&shape).unwrap(), buffer)
}

/// Xorshift: all that happens on one client's thread follows from its seed, but for what the others do.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// What a client does with its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Wait,
    /// It waits until then only.
    Deadline(Duration),
    /// It looks for its answer so often, and leaves.
    Leave(u64),
    Poison,
}

impl Act {
    fn choose(chance: &mut Chance) -> Self {
        match chance.below(8) {
            0 => Act::Deadline(Duration::from_micros(chance.below(400))),
            1 | 2 => Act::Leave(chance.below(6)),
            3 => Act::Poison,
            _ => Act::Wait,
        }
    }

    /// Whether a client that did this may get this error; `stopped` if its server may have been stopped meanwhile.
    fn may_get(self, error: &ServingError, stopped: bool) -> bool {
        match error.code {
            Code::InvalidArgument => self == Act::Poison && error.message.starts_with("poison"),
            Code::DeadlineExceeded | Code::ResourceExhausted => matches!(self, Act::Deadline(_)),
            Code::Unavailable => {
                error.message.contains("queue to which this task was submitted is full")
                    || error.message.contains("the latency objective is")
                    || stopped && error.message == "the server is stopping"
            }
            _ => false,
        }
    }
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    left: AtomicU64,
    batches: AtomicU64,
}

impl Counts {
    fn add(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn print(&self, name: &str) {
        let [sent, answered, failed, left] =
            [&self.sent, &self.answered, &self.failed, &self.left].map(|count| count.load(Ordering::Relaxed));
        assert_eq!(sent, answered + failed + left, "{name}: every request has one end");
        assert!(answered > 0 && failed > 0 && left > 0, "{name}: everything happens: {answered} {failed} {left}");
        let batches = self.batches.load(Ordering::Relaxed);
        assert!(batches > 0, "{name}: nothing was merged");
        println!("{name}: {batches} batches, {sent} sent, {answered} answered, {failed} failed, {left} given up");
    }
}

/// One server's life.
struct Round {
    table: ServableTable,
    /// Of each model.
    first_versions: Vec<Weak<Servable>>,
    executor: Executor,
    threads: usize,
    running: Arc<Running>,
    batching: Batching,
    stops: bool,
    start: Instant,
    counts: Arc<Counts>,
}

impl Round {
    fn new(batching: Batching, threads: usize, stops: bool, counts: &Arc<Counts>) -> Self {
        let weights = MODELS.map(|(model, weight)| (Arc::from(model), weight)).into();
        let pool = Pool::new("stress", threads, weights);
        let executor = Executor::new(pool.clone(), pool);
        let (table, first_versions) = (ServableTable::default(), Vec::new());
        let (running, start, counts) = (Arc::default(), Instant::now(), Arc::clone(counts));
        let mut round = Round { table, first_versions, executor, threads, running, batching, stops, start, counts };
        for (model, _) in MODELS {
            let servable = round.servable();
            round.first_versions.push(Arc::downgrade(&servable));
            round.table.publish(model, 1, servable);
        }
        round
    }

    fn servable(&self) -> Arc<Servable> {
        let signatures = [(DEFAULT_SIGNATURE.to_owned(), signature())].into();
        let echo = Echo { signatures, running: Arc::clone(&self.running) };
        let servable = Servable::new(Arc::new(echo));
        servable.enable_batching(self.batching.clone()).unwrap();
        Arc::new(servable)
    }

    async fn request(&self, chance: &mut Chance, unique: u64) {
        let act = Act::choose(chance);
        // Most are alike: those that are not cannot be merged with them.
        let width = if chance.below(4) == 0 { 2 } else { 1 };
        let (rows, model) = (1 + chance.below(MAX_ROWS), MODELS[chance.below(2) as usize].0);
        let mut values: Vec<u64> = (0..rows * width).map(|number| (unique << 4) | number).collect();
        if act == Act::Poison {
            values[0] = POISON;
        }
        let handle = self.table.resolve(&ModelSpec { name: model.into(), ..ModelSpec::default() }).unwrap();
        let signature = handle.predict_signature(DEFAULT_SIGNATURE).unwrap();
        let inputs = smallvec![(Cow::Borrowed("x"), InputValue::Tensor(tensor(&values, width as usize)))];
        let prepared = prepare(handle, signature, inputs, &[]).unwrap();
        let deadline = if let Act::Deadline(time) = act { Some(Instant::now() + time) } else { None };
        let priority = Priority::ALL[chance.below(3) as usize];
        let load = if chance.below(4) == 0 { LaneLoad::Alone } else { LaneLoad::Others };
        Counts::add(&self.counts.sent);
        let answer = prepared.run(&self.executor, load, Urgency { deadline, priority });
        if let Act::Leave(looks) = act {
            let looking = async {
                for _ in 0..looks {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                _ = answer => Counts::add(&self.counts.answered),
                () = looking => Counts::add(&self.counts.left),
            }
            return;
        }
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        match answer.unwrap_or_else(|_| panic!("no answer: {act:?} {values:?}, stops: {}", self.stops)) {
            Ok(answer) => {
                assert_ne!(act, Act::Poison, "poison was not noticed");
                let (_, y) = answer.outputs().next().unwrap();
                assert_eq!(numbers(y), values, "another's answer");
                Counts::add(&self.counts.answered);
            }
            Err(error) => {
                assert!(act.may_get(&error, self.stops), "{act:?} got {error:?}");
                Counts::add(&self.counts.failed);
            }
        }
    }

    /// One thread of clients, as each lane of the server is one.
    fn clients(self: &Arc<Self>, seed: u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let client = |task: u64| {
            let round = Arc::clone(self);
            async move {
                let mut chance = Chance((seed * TASKS + task + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let mut number = 0;
                while round.start.elapsed() < ROUND {
                    number += 1;
                    round.request(&mut chance, (number * TASKS + task) * CLIENT_THREADS + seed % CLIENT_THREADS).await;
                    tokio::task::yield_now().await;
                }
            }
        };
        runtime.block_on(async {
            let clients: Vec<_> = (0..TASKS).map(|task| tokio::spawn(client(task))).collect();
            for client in clients {
                client.await.expect("a client's checks hold");
            }
        });
    }

    /// Of a model's last version.
    fn queues(&self, model: &str) -> Vec<serde_json::Value> {
        let report: serde_json::Value =
            serde_json::from_str(&batching_report::report(&self.table, model).unwrap()).unwrap();
        let version = report["versions"].as_array().unwrap().last().unwrap();
        assert_eq!(version["signatures"][DEFAULT_SIGNATURE]["batched"], true, "{report}");
        version["queues"].as_array().unwrap().clone()
    }

    /// Nothing waits and nothing runs, once those are dropped whose clients have left.
    fn drained(&self) -> bool {
        let queues = || MODELS.into_iter().flat_map(|(model, _)| self.queues(model));
        queues().all(|queue| queue["running_batches"] == 0 && queue["waiting_requests"] == 0)
    }

    fn play(self: Arc<Self>, number: u64) {
        let replaced = number as usize % MODELS.len();
        let (next, (model, _)) = (self.servable(), MODELS[replaced]);
        thread::scope(|scope| {
            for at in 0..CLIENT_THREADS {
                let round = Arc::clone(&self);
                scope.spawn(move || round.clients(number * CLIENT_THREADS + at));
            }
            thread::sleep(ROUND / 2);
            self.count_batches(model);
            self.table.publish(model, 2, next);
            // The last of its requests frees it.
            drop(self.table.retire(model, 1));
            if self.stops {
                thread::sleep(ROUND / 4);
                self.executor.stop();
            }
        });
        let end = Instant::now() + PATIENCE;
        while !self.drained() || self.first_versions[replaced].strong_count() > 0 {
            let (queues, versions) = (MODELS.map(|(model, _)| self.queues(model)), &self.first_versions);
            assert!(Instant::now() < end, "{number}: left behind: {queues:?}, {versions:?} without {model}");
            thread::sleep(Duration::from_millis(1));
        }
        let most = self.running.most.load(Ordering::Relaxed);
        assert!(most <= self.threads, "{number}: {most} runs at once on {} threads", self.threads);
        MODELS.into_iter().for_each(|(model, _)| self.count_batches(model));
    }

    fn count_batches(&self, model: &str) {
        let counts = self.queues(model);
        let merged: u64 = counts.iter().filter_map(|queue| queue["batch_requests"]["count"].as_u64()).sum();
        self.counts.batches.fetch_add(merged, Ordering::Relaxed);
    }
}

fn stress(name: &str, batching: impl Fn(u64) -> Batching) {
    let seconds = std::env::var("STRESS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let (start, counts) = (Instant::now(), Arc::new(Counts::default()));
    for number in 0.. {
        let threads = 1 + number as usize % 3;
        Arc::new(Round::new(batching(number), threads, number % 4 == 3, &counts)).play(number);
        if number >= 8 && start.elapsed().as_secs_f64() >= seconds {
            break;
        }
    }
    counts.print(name);
}

#[test]
fn batches_with_fixed_parameters_lose_nothing() {
    stress("fixed", |number| Batching {
        parameters: Parameters {
            max_batch_size: 6,
            batch_timeout_micros: [0, 100, 1000][number as usize % 3],
            max_enqueued_batches: [4, 1000][number as usize % 2],
            enable_large_batch_splitting: number % 5 < 2,
            max_execution_batch_size: Some(3),
            ..Parameters::default()
        },
        auto: None,
        pad_values: HashMap::new(),
    });
}

#[test]
fn batches_that_size_themselves_lose_nothing() {
    stress("auto", |number| Batching {
        parameters: Parameters { max_enqueued_batches: [4, 1000][number as usize % 2], ..Parameters::default() },
        auto: Some(AutoBatching {
            latency_objective: (number % 5 == 4).then_some(Duration::from_millis(1)),
            threads: Some(1 + number as usize % 3),
        }),
        pad_values: HashMap::new(),
    });
}
