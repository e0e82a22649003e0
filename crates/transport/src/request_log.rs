// SPDX-License-Identifier: Apache-2.0
//! Requests and their answers on the way to whoever keeps them.
//!
//! A request that is sampled leaves its messages in a queue, which is bounded by count and by bytes; when it is full, a
//! record is dropped and counted. Records are put together by the thread that takes them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use bytes::Bytes;
use smallvec::SmallVec;
use tensorserve_servables::ServableHandle;
use tensorserve_tensors::{Tensor, TensorData};

use crate::wire;
use crate::wire::prediction_log::{self, LogType, Metadata};

/// Records that wait at most.
const MAX_WAITING: usize = 16 << 10;

/// What a waiting record costs beside its messages.
const RECORD_BYTES: usize = 512;

/// Pieces up to this size are copied, since a small piece may hold on to a large buffer that it was cut from.
const COPIED: usize = 16 << 10;

/// Which requests of a model are logged, and for whom.
#[derive(Clone, Debug)]
pub struct LoggerOptions {
    /// The number by which the taker knows where the records go.
    pub collector: u64,
    /// Share of the requests that is logged, from 0 to 1.
    pub sampling_rate: f64,
    /// Noted in each record.
    pub saved_model_tags: Vec<String>,
}

/// Records for one collector.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    pub collector: u64,
    /// Serialized `PredictionLog` messages, in the order of their answers.
    pub records: Vec<Vec<u8>>,
}

/// The logs of all models.
pub struct RequestLog {
    /// Whether there is any logger; all that a request looks at when there is none.
    on: AtomicBool,
    /// By model.
    loggers: ArcSwap<HashMap<String, Arc<Logger>>>,
    queue: Arc<Queue>,
    /// One thread takes at a time.
    waiting: Mutex<Receiver<Record>>,
}

struct Queue {
    sender: SyncSender<Record>,
    bytes: AtomicUsize,
    max_bytes: AtomicUsize,
    dropped: AtomicU64,
}

struct Logger {
    options: LoggerOptions,
    requests: AtomicU64,
}

/// A request that shall be logged once it is answered.
pub(crate) struct Sample {
    logger: Arc<Logger>,
    queue: Arc<Queue>,
}

/// A request or a response, whole or still as tensors.
pub(crate) enum Message {
    Wire(SmallVec<[Bytes; 2]>),
    PredictRequest { inputs: Vec<(String, Tensor)>, output_filter: Vec<String> },
    PredictResponse(Vec<(String, Tensor)>),
}

/// Who answered what.
pub(crate) struct Exchange<'a> {
    pub(crate) log_type: LogType,
    pub(crate) handle: &'a ServableHandle,
    /// Empty if the request has several.
    pub(crate) signature: &'a str,
    pub(crate) request: Message,
    pub(crate) response: Message,
}

struct Record {
    logger: Arc<Logger>,
    log_type: LogType,
    model: String,
    version: i64,
    signature: String,
    timestamp_secs: u64,
    request: Message,
    response: Message,
    bytes: usize,
}

impl Default for RequestLog {
    /// No model is logged.
    fn default() -> Self {
        let (sender, waiting) = sync_channel(MAX_WAITING);
        let queue = Queue {
            sender,
            bytes: AtomicUsize::new(0),
            max_bytes: AtomicUsize::new(usize::MAX),
            dropped: AtomicU64::new(0),
        };
        RequestLog {
            on: AtomicBool::new(false),
            loggers: ArcSwap::default(),
            queue: Arc::new(queue),
            waiting: Mutex::new(waiting),
        }
    }
}

impl RequestLog {
    /// Replaces what is logged, by model.
    pub fn set_loggers(&self, loggers: HashMap<String, LoggerOptions>) {
        let logger = |options| Arc::new(Logger { options, requests: AtomicU64::new(0) });
        let loggers: HashMap<_, _> = loggers.into_iter().map(|(model, options)| (model, logger(options))).collect();
        self.on.store(!loggers.is_empty(), Ordering::Relaxed);
        self.loggers.store(Arc::new(loggers));
    }

    /// Bytes that may wait; more are dropped.
    pub fn set_max_bytes(&self, max_bytes: usize) {
        self.queue.max_bytes.store(max_bytes, Ordering::Relaxed);
    }

    /// How many records were dropped since the start, because too many waited.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }

    /// Whether this request of a model is to be logged.
    #[inline]
    pub(crate) fn sample(&self, model: &str) -> Option<Sample> {
        if self.on.load(Ordering::Relaxed) { self.sample_of(model) } else { None }
    }

    #[cold]
    fn sample_of(&self, model: &str) -> Option<Sample> {
        let loggers = self.loggers.load();
        let logger = loggers.get(model)?;
        let wanted = is_sampled(logger.options.sampling_rate, logger.requests.fetch_add(1, Ordering::Relaxed));
        wanted.then(|| Sample { logger: Arc::clone(logger), queue: Arc::clone(&self.queue) })
    }

    /// Waits for records until `timeout`, then takes all that are there, or about `max_bytes` of them.
    pub fn take(&self, timeout: Duration, max_bytes: usize) -> Vec<Batch> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batches: Vec<Batch> = Vec::new();
        let mut taken = 0;
        let mut next = waiting.recv_timeout(timeout).ok();
        while let Some(record) = next {
            taken += record.bytes;
            self.queue.bytes.fetch_sub(record.bytes, Ordering::Relaxed);
            let collector = record.logger.options.collector;
            if let Some(encoded) = record.encode() {
                match batches.iter_mut().find(|batch| batch.collector == collector) {
                    Some(batch) => batch.records.push(encoded),
                    None => batches.push(Batch { collector, records: vec![encoded] }),
                }
            }
            next = if taken < max_bytes { waiting.try_recv().ok() } else { None };
        }
        batches
    }
}

/// Whether the request of this number is among those of the rate. The numbers are spread by the mixer of "splitmix64".
fn is_sampled(rate: f64, number: u64) -> bool {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    // 53 bits fit a double exactly.
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / ((1u64 << 53) as f64) < rate
}

impl Sample {
    /// Leaves the record for the taker; drops it if too much waits. Never blocks.
    pub(crate) fn hand_over(self, exchange: Exchange<'_>) {
        let Sample { logger, queue } = self;
        let bytes = RECORD_BYTES + exchange.request.bytes() + exchange.response.bytes();
        let record = Record {
            logger,
            log_type: exchange.log_type,
            model: exchange.handle.model().to_owned(),
            version: exchange.handle.version(),
            signature: exchange.signature.to_owned(),
            timestamp_secs: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            request: exchange.request,
            response: exchange.response,
            bytes,
        };
        let waiting = queue.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let fits = waiting <= queue.max_bytes.load(Ordering::Relaxed);
        if !fits || queue.sender.try_send(record).is_err() {
            queue.bytes.fetch_sub(bytes, Ordering::Relaxed);
            queue.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Message {
    /// A message in pieces, as it came or goes.
    pub(crate) fn wire(pieces: &[Bytes]) -> Self {
        Message::Wire(pieces.iter().map(kept).collect())
    }

    fn bytes(&self) -> usize {
        let tensors =
            |tensors: &[(String, Tensor)]| tensors.iter().map(|(name, tensor)| name.len() + size(tensor)).sum();
        match self {
            Message::Wire(pieces) => pieces.iter().map(Bytes::len).sum(),
            Message::PredictRequest { inputs, .. } => tensors(inputs),
            Message::PredictResponse(outputs) => tensors(outputs),
        }
    }

    /// The message's bytes; `None` for tensors that cannot be sent, which no answered request has.
    fn into_pieces(self, metadata: &Metadata<'_>) -> Option<SmallVec<[Bytes; 2]>> {
        let encoded = match self {
            Message::Wire(pieces) => return Some(pieces),
            Message::PredictRequest { inputs, output_filter } => {
                wire::predict::encode_request(metadata.model, metadata.signature, &inputs, &output_filter)
            }
            Message::PredictResponse(outputs) => {
                wire::predict::encode_response(metadata.model, metadata.version, metadata.signature, &outputs)
            }
        };
        Some(SmallVec::from_elem(encoded.ok()?.into(), 1))
    }
}

fn kept(piece: &Bytes) -> Bytes {
    if piece.len() <= COPIED { Bytes::copy_from_slice(piece) } else { piece.clone() }
}

fn size(tensor: &Tensor) -> usize {
    match tensor.data() {
        TensorData::Plain(bytes) => bytes.len(),
        TensorData::Strings(strings) => (0..strings.len()).map(|at| strings.get(at).len() + size_of::<Bytes>()).sum(),
    }
}

impl Record {
    fn encode(self) -> Option<Vec<u8>> {
        let metadata = Metadata {
            model: &self.model,
            version: self.version,
            signature: &self.signature,
            sampling_rate: self.logger.options.sampling_rate,
            saved_model_tags: &self.logger.options.saved_model_tags,
            timestamp_secs: self.timestamp_secs,
        };
        let request = self.request.into_pieces(&metadata)?;
        let response = self.response.into_pieces(&metadata)?;
        Some(prediction_log::encode(Some(&metadata), self.log_type, &request, Some(&response)))
    }
}
