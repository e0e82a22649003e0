// SPDX-License-Identifier: Apache-2.0
//! What every request handler needs: the table, the status board, the executor and the options.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tensorserve_servables::{Code, Executor, Phase, Readiness, Result, ServableTable, ServingError, StatusBoard};
use tensorserve_tensors::proto::TensorEncoding;

use crate::access::AccessLog;
use crate::clerk::Clerk;
use crate::control::{Answer, ControlSlot};
use crate::grpc_options::GrpcOptions;
use crate::limits::Limits;
use crate::memory::Memory;
use crate::request_log::RequestLog;

/// Where REST answers with metrics; `None` for nowhere.
#[derive(Clone, Debug, Default)]
pub struct MetricsPaths {
    pub own: Option<String>,
    /// The page of the original's metrics.
    pub original: Option<String>,
}

/// How requests are answered.
#[derive(Clone, Debug)]
pub struct ServingOptions {
    /// Deadline of REST requests in milliseconds; 0 for none. gRPC requests bring their own.
    pub rest_api_timeout_in_ms: u64,
    /// Whether REST answers carry CORS headers.
    pub rest_api_enable_cors_support: bool,
    /// Whether REST answers are compressed for clients that ask for it.
    pub rest_api_compression: bool,
    /// Whether `SignatureDef.method_name` must suit the verb.
    pub enable_signature_method_name_check: bool,
    /// Whether SessionRun is served.
    pub enable_session_service: bool,
    /// How gRPC answers carry tensors.
    pub tensor_encoding: TensorEncoding,
    pub limits: Limits,
    /// The paths on which REST answers with the metrics.
    pub metrics: MetricsPaths,
    /// Which requests get a line in the log.
    pub access_log: AccessLog,
    /// When probes are told that the server is ready.
    pub readiness: Readiness,
    pub grpc: GrpcOptions,
}

impl ServingOptions {
    /// Largest message of a gRPC reply, in bytes.
    pub(crate) fn max_message_bytes(&self) -> usize {
        self.limits.max_reply_bytes.min(self.grpc.max_send_bytes)
    }
}

/// Shared by all connections of a server.
pub struct Serving {
    pub table: ServableTable,
    pub status: StatusBoard,
    pub executor: Executor,
    pub request_log: RequestLog,
    /// Answers what no request handler can.
    pub control: ControlSlot,
    pub options: ServingOptions,
    /// Writes long pages.
    pub(crate) clerk: Clerk,
    /// What is kept for slow clients.
    pub(crate) memory: Arc<Memory>,
    /// Connections that could not be accepted.
    pub(crate) accept_failures: AtomicU64,
    /// Connections that ended because their clients were silent, slow or idle.
    pub(crate) connections_cut: AtomicU64,
}

/// The answer, or UNAVAILABLE if the server stops before there is one.
pub(crate) async fn answered<T>(answer: Answer<T>, serving: &Serving) -> Result<T> {
    tokio::select! {
        answer = answer => answer,
        () = drained(serving) => Err(stopping()),
    }
}

/// Why a stream ends when the server does: the client shall ask another one.
pub(crate) fn stopping() -> ServingError {
    ServingError::new(Code::Unavailable, "the server is stopping")
}

/// Completes when the server drains.
pub(crate) async fn drained(serving: &Serving) {
    let mut changes = serving.status.changes();
    // An error means that the server is gone, which is a stop as well.
    let _ = changes.wait_for(|phase| *phase == Phase::Draining).await;
}
