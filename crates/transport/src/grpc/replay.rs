// SPDX-License-Identifier: Apache-2.0
//! Recorded requests, once more: each goes through the decoding and the verb of a gRPC call, to a version that nobody
//! else can ask yet.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tensorserve_servables::execution::executor::LaneLoad;
use tensorserve_servables::verbs::classify::Classifier;
use tensorserve_servables::verbs::head::{Head, prepare};
use tensorserve_servables::verbs::regress::Regressor;
use tensorserve_servables::{
    Code, Executor, Pool, Resolve, Result, Servable, ServingError, SoleServable, Urgency,
    verbs::multi_inference as inference, verbs::session_run as session,
};
use tensorserve_tensors::proto::Reader;
use tensorserve_tensors::tfrecord::RecordReader;
use tokio::runtime::{Builder, Runtime};

use super::{multi_inference, predict, session_run};
use crate::wire;
use crate::wire::examples::{self, Request};
use crate::wire::prediction_log::{self, LogType};

/// Bytes of a record that is no PredictionLog that its error shows.
const SHOWN_BYTES: usize = 256;

/// How a file is replayed.
#[derive(Clone, Copy, Debug)]
pub struct ReplayOptions {
    /// How often each record is run, at least once.
    pub iterations: u32,
    /// A file with more records is an error.
    pub max_records: usize,
    /// Whether `SignatureDef.method_name` must suit the verb.
    pub enable_signature_method_name_check: bool,
}

/// A record that was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// `None` if it holds nothing to run.
    pub log_type: Option<LogType>,
    /// What each run took, from the message to the result.
    pub times: Vec<Duration>,
}

/// Runs the records of a TFRecord file of PredictionLogs one after the other. The texts are those of the original's
/// warm-up. Queues of batches that begin here keep the name of the model, and say it in the log.
///
/// # Errors
/// NOT_FOUND if there is no file, DATA_LOSS if it is damaged, INVALID_ARGUMENT for a record that is no PredictionLog and
/// for too many, UNIMPLEMENTED for a streamed one; else the error of the first request that fails.
pub fn replay_file(
    path: &Path,
    model: &str,
    servable: Arc<Servable>,
    options: &ReplayOptions,
) -> Result<Vec<Replayed>> {
    let file = File::open(path).map_err(|error| unopened(path, &error))?;
    let replayer = Replayer::new(model, servable, options.enable_signature_method_name_check)?;
    let mut replayed = Vec::new();
    for record in RecordReader::new(BufReader::new(file)) {
        let record = record.map_err(not_records)?;
        if replayed.len() == options.max_records {
            let (max, path) = (options.max_records, path.display());
            let message = format!("Number of warmup records exceeds the maximum ({max}) at {path}");
            return Err(ServingError::invalid_argument(message));
        }
        replayed.push(replayer.run(&record, path, options.iterations.max(1))?);
    }
    Ok(replayed)
}

/// Runs recorded requests in the calling thread, with a thread of its own for runs that are not short.
struct Replayer {
    servable: SoleServable,
    executor: Executor,
    runtime: Runtime,
    check_method: bool,
}

impl Replayer {
    fn new(model: &str, servable: Arc<Servable>, check_method: bool) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| ServingError::internal(format!("cannot start a thread: {error}")))?;
        let threads = Pool::new("tensorserve-warmup", 1, HashMap::new());
        let executor = Executor::new(threads.clone(), threads);
        Ok(Replayer { servable: SoleServable::new(model, servable), executor, runtime, check_method })
    }

    fn run(&self, record: &Bytes, path: &Path, iterations: u32) -> Result<Replayed> {
        let no_log = || unparsable(record, path);
        let Some(request) = prediction_log::parse(record).map_err(|_| no_log())? else {
            return Ok(Replayed { log_type: None, times: Vec::new() });
        };
        let mut times = Vec::with_capacity(iterations as usize);
        for _ in 0..iterations {
            let start = Instant::now();
            self.runtime.block_on(self.answer(request.log_type, &request.pieces, &no_log))?;
            times.push(start.elapsed());
        }
        Ok(Replayed { log_type: Some(request.log_type), times })
    }

    /// `no_log` makes the error for a message that cannot be read.
    async fn answer(&self, log_type: LogType, pieces: &[Bytes], no_log: &impl Fn() -> ServingError) -> Result<()> {
        match log_type {
            LogType::Predict => {
                let mut request = wire::predict::parse(pieces).map_err(|_| no_log())?;
                let spec = request.spec.take().unwrap_or_default();
                let prepared = predict::prepare(request, &spec, self.servable.resolve(&spec)?, self.check_method)?;
                prepared.run(&self.executor, LaneLoad::Others, Urgency::default()).await.map(drop)
            }
            LogType::Classify => self.examples::<Classifier>(pieces, no_log).await,
            LogType::Regress => self.examples::<Regressor>(pieces, no_log).await,
            LogType::MultiInference => {
                let (tasks, input) = multi_inference::parse(Reader::new(pieces)).map_err(|_| no_log())?;
                let prepared = inference::prepare(&self.servable, &tasks, input.into_examples(), self.check_method)?;
                prepared.run(&self.executor, LaneLoad::Others, Urgency::default()).await.map(drop)
            }
            LogType::SessionRun => {
                let request = session_run::parse(Reader::new(pieces)).map_err(|_| no_log())?;
                let spec = request.spec.unwrap_or_default();
                let prepared = session::prepare(&self.servable, &spec, &request.request)?;
                prepared.run(&self.executor, LaneLoad::Others, Urgency::default()).await.map(drop)
            }
            LogType::PredictStreamed => {
                let message = format!("Unsupported log_type for warmup: {}", log_type as u32);
                Err(ServingError::new(Code::Unimplemented, message))
            }
        }
    }

    async fn examples<H: Head>(&self, pieces: &[Bytes], no_log: &impl Fn() -> ServingError) -> Result<()> {
        let Request { spec, input } = examples::parse(Reader::new(pieces)).map_err(|_| no_log())?;
        let spec = spec.unwrap_or_default();
        let handle = self.servable.resolve(&spec)?;
        let prepared = prepare::<H>(handle, spec.resolved_signature(), input.into_examples(), self.check_method)?;
        prepared.run(&self.executor, LaneLoad::Others, Urgency::default()).await.map(drop)
    }
}

fn unopened(path: &Path, error: &io::Error) -> ServingError {
    let code = if error.kind() == ErrorKind::NotFound { Code::NotFound } else { Code::Unknown };
    ServingError::new(code, format!("{}; {error}", path.display()))
}

fn not_records(error: ServingError) -> ServingError {
    let hint = "Please verify your warmup data is in TFRecord format.";
    ServingError::new(error.code, format!("{}. {hint}", error.message))
}

fn unparsable(record: &[u8], path: &Path) -> ServingError {
    let shown = record[..record.len().min(SHOWN_BYTES)].escape_ascii();
    ServingError::invalid_argument(format!("Failed to parse warmup record: {shown} from {}", path.display()))
}
