// SPDX-License-Identifier: Apache-2.0
//! What scheduling itself costs: processor time of a request for a session that does nothing, with 64 in flight, without
//! batching and with each kind of it. `cargo run --release -p tensorserve-servables --example queue_cost`, and `-- fixed`
//! for one kind, to see it under a profiler.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a program for one who measures")]

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::smallvec;
use tensorserve_protos::tensorflow::tensor_info::Encoding;
use tensorserve_protos::tensorflow::tensor_shape_proto::Dim;
use tensorserve_protos::tensorflow::{SignatureDef, TensorInfo, TensorShapeProto};
use tensorserve_runtimes::{RunOptions, RunTime, Session, TensorHandle};
use tensorserve_servables::execution::executor::LaneLoad;
use tensorserve_servables::verbs::predict::{InputValue, prepare};
use tensorserve_servables::{
    AutoBatching, Batching, DEFAULT_SIGNATURE, Executor, ModelSpec, Parameters, Pool, Result, Servable, ServableTable,
    Urgency,
};
use tensorserve_tensors::{AlignedBuffer, DataType, Shape, Tensor};

const IN_FLIGHT: usize = 64;
const SECONDS: Duration = Duration::from_secs(3);

/// Gives its input back.
struct Idle(BTreeMap<String, SignatureDef>);

impl Session for Idle {
    fn signature_defs(&self) -> &BTreeMap<String, SignatureDef> {
        &self.0
    }

    fn resolve(&self, tensor_name: &str) -> Result<TensorHandle> {
        Ok(TensorHandle(usize::from(tensor_name == "y:0")))
    }

    fn run(&self, feeds: &[(TensorHandle, Tensor)], _: &[TensorHandle], _: &RunOptions) -> Result<Vec<Tensor>> {
        Ok(vec![feeds[0].1.clone()])
    }

    fn run_time(&self, _: Option<&str>) -> RunTime {
        RunTime::InputSizes
    }
}

fn signature() -> SignatureDef {
    let info = |name: &str| TensorInfo {
        encoding: Some(Encoding::Name(name.to_owned())),
        dtype: DataType::Float as i32,
        tensor_shape: Some(TensorShapeProto {
            dim: [-1, 8].map(|size| Dim { size, ..Dim::default() }).to_vec(),
            unknown_rank: false,
        }),
    };
    SignatureDef {
        inputs: [("x".to_owned(), info("x:0"))].into(),
        outputs: [("y".to_owned(), info("y:0"))].into(),
        ..SignatureDef::default()
    }
}

/// Seconds of processor time that this process has used, by threads that ended as well.
fn cpu_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    // The name of the program, which may hold spaces, stands in parentheses before the other fields.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / TICKS_PER_SECOND
}

fn measure(name: &str, batching: Option<Batching>) {
    let servable = Servable::new(Arc::new(Idle([(DEFAULT_SIGNATURE.to_owned(), signature())].into())));
    if let Some(batching) = batching {
        servable.enable_batching(batching).expect("good parameters");
    }
    let table = Arc::new(ServableTable::default());
    table.publish("idle", 1, Arc::new(servable));
    let threads = Pool::new("run", 2, HashMap::new());
    let executor = Executor::new(threads.clone(), threads);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let requests: u64 = runtime.block_on(async {
        let clients: Vec<_> = (0..IN_FLIGHT)
            .map(|_| {
                let (table, executor) = (Arc::clone(&table), executor.clone());
                tokio::spawn(async move {
                    let mut done = 0;
                    while start.elapsed() < SECONDS {
                        ask(&table, &executor).await;
                        done += 1;
                        tokio::task::yield_now().await;
                    }
                    done
                })
            })
            .collect();
        let mut requests = 0;
        for client in clients {
            requests += client.await.expect("no panic");
        }
        requests
    });
    let micros = (cpu_seconds() - cpu) * 1e6 / requests as f64;
    let rate = requests as f64 / start.elapsed().as_secs_f64();
    println!("{name:<12}{rate:>12.0} requests a second {micros:>8.2} us of processor time each");
}

async fn ask(table: &ServableTable, executor: &Executor) {
    let spec = ModelSpec { name: "idle".into(), ..ModelSpec::default() };
    let handle = table.resolve(&spec).expect("it is served");
    let signature = handle.predict_signature(DEFAULT_SIGNATURE).expect("it has one");
    let x = Tensor::plain(DataType::Float, Shape::new(&[1, 8]).expect("a shape"), AlignedBuffer::zeroed(32));
    let prepared = prepare(handle, signature, smallvec![(Cow::Borrowed("x"), InputValue::Tensor(x))], &[]);
    let answer = prepared.expect("a good request").run(executor, LaneLoad::Others, Urgency::default()).await;
    assert_eq!(answer.expect("an answer").outputs().count(), 1);
}

fn main() {
    let batching = |auto| Batching {
        parameters: Parameters { max_enqueued_batches: 1000, ..Parameters::default() },
        auto,
        pad_values: HashMap::new(),
    };
    let only = std::env::args().nth(1);
    let kinds =
        [("off", None), ("fixed", Some(batching(None))), ("auto", Some(batching(Some(AutoBatching::default()))))];
    for (name, batching) in kinds {
        if only.as_ref().is_none_or(|only| only == name) {
            measure(name, batching);
        }
    }
}
