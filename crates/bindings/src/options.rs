// SPDX-License-Identifier: Apache-2.0
//! Options as the control plane hands them over: each an object whose attributes have the flags' names.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use prost::Message;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tensorserve_protos::tensorflow::serving::BatchingParameters;
use tensorserve_runtimes::{InterOp, IntraOp, LoadRequest};
use tensorserve_servables::commissioning::steps::Decisions;
use tensorserve_servables::{AutoBatching, Batching, InFlightLimits, Parameters, Readiness};
use tensorserve_tensors::proto::TensorEncoding;
use tensorserve_transport::access::AccessLog;
use tensorserve_transport::grpc_options::GrpcOptions;
use tensorserve_transport::limits::Limits;
use tensorserve_transport::serving::MetricsPaths;
use tensorserve_transport::{BatchThreads, ServerOptions, ServingOptions};

use crate::data_plane::duration;

/// `tensorserve.config.data_plane_options.DataPlaneOptions`, which says what they mean.
#[derive(FromPyObject)]
pub(crate) struct DataPlaneOptions {
    io_threads: usize,
    execution_threads: usize,
    batch_threads: Option<PythonBatchThreads>,
    model_weights: HashMap<String, f64>,
    max_in_flight: usize,
    max_in_flight_per_model: usize,
    rest_api_timeout_in_ms: u64,
    rest_api_enable_cors_support: bool,
    rest_api_compression: bool,
    enable_signature_method_name_check: bool,
    enable_session_service: bool,
    enable_serialization_as_tensor_content: bool,
    readiness: String,
    metrics_path: Option<String>,
    original_metrics_path: Option<String>,
    access_log: PythonAccessLog,
    max_request_bytes: usize,
    max_reply_bytes: usize,
    max_buffered_bytes: usize,
    client_header_timeout_seconds: f64,
    client_body_timeout_seconds: f64,
    client_idle_timeout_seconds: f64,
    grpc_channel_arguments: HashMap<String, i64>,
}

#[derive(FromPyObject)]
struct PythonBatchThreads {
    number: usize,
    name: String,
}

#[derive(FromPyObject)]
struct PythonAccessLog {
    kind: String,
    number: u64,
}

impl DataPlaneOptions {
    /// How many threads there are.
    pub(crate) fn server(&self) -> ServerOptions {
        let limit = |number: usize| (number > 0).then_some(number);
        let batch_threads = self.batch_threads.as_ref();
        ServerOptions {
            io_threads: self.io_threads,
            execution_threads: self.execution_threads,
            batch_threads: batch_threads.map(|of| BatchThreads { number: of.number, name: of.name.clone() }),
            model_weights: self.model_weights.clone(),
            limits: InFlightLimits { all: limit(self.max_in_flight), per_model: limit(self.max_in_flight_per_model) },
        }
    }

    /// How requests are answered. ValueError for a gRPC option, an access log or a time that there is not.
    pub(crate) fn serving(self) -> PyResult<ServingOptions> {
        let limits = Limits {
            max_request_bytes: self.max_request_bytes,
            max_reply_bytes: self.max_reply_bytes,
            max_buffered_bytes: self.max_buffered_bytes,
            header_timeout: timeout(self.client_header_timeout_seconds)?,
            body_timeout: timeout(self.client_body_timeout_seconds)?,
            idle_timeout: timeout(self.client_idle_timeout_seconds)?,
        };
        let mut grpc = GrpcOptions { max_receive_bytes: limits.max_request_bytes, ..GrpcOptions::default() };
        for (name, value) in self.grpc_channel_arguments {
            if !grpc.set(&name, value) {
                return Err(PyValueError::new_err(format!("there is no gRPC option {name}")));
            }
        }
        let PythonAccessLog { kind, number } = self.access_log;
        let access_log = AccessLog::of(&kind, number)
            .ok_or_else(|| PyValueError::new_err(format!("{kind} {number} is no access log")))?;
        Ok(ServingOptions {
            rest_api_timeout_in_ms: self.rest_api_timeout_in_ms,
            rest_api_enable_cors_support: self.rest_api_enable_cors_support,
            rest_api_compression: self.rest_api_compression,
            enable_signature_method_name_check: self.enable_signature_method_name_check,
            enable_session_service: self.enable_session_service,
            tensor_encoding: match self.enable_serialization_as_tensor_content {
                true => TensorEncoding::Content,
                false => TensorEncoding::TypedValues,
            },
            limits,
            metrics: MetricsPaths { own: self.metrics_path, original: self.original_metrics_path },
            access_log,
            readiness: if self.readiness == "all" { Readiness::All } else { Readiness::Any },
            grpc,
        })
    }
}

/// No time means no limit.
fn timeout(seconds: f64) -> PyResult<Option<Duration>> {
    if seconds == 0.0 { Ok(None) } else { duration(seconds).map(Some) }
}

/// `tensorserve.runtimes.tensorflow.LoadOptions`.
#[derive(FromPyObject)]
pub(crate) struct LoadOptions {
    tags: Vec<String>,
    session_config: Vec<u8>,
    load_niceness: i32,
    inter_op_threading: String,
    batching: Option<VersionBatching>,
}

impl LoadOptions {
    /// What to load from `path`, and what need not be measured. ValueError for options that mean nothing.
    pub(crate) fn request(self, path: PathBuf) -> PyResult<(LoadRequest, Decisions)> {
        let inter_op_threading = match &*self.inter_op_threading {
            "auto" => None,
            "caller" => Some(InterOp::Caller),
            "pool" => Some(InterOp::Pool),
            other => {
                let text = format!("inter_op_threading must be auto, caller or pool, not {other:?}");
                return Err(PyValueError::new_err(text));
            }
        };
        let request = LoadRequest {
            path,
            tags: self.tags,
            config_proto: self.session_config,
            niceness: self.load_niceness,
            intra_op: IntraOp::SharedPool,
        };
        let batching = self.batching.map(VersionBatching::batching).transpose()?;
        Ok((request, Decisions { inter_op_threading, batching }))
    }
}

/// `tensorserve.config.batching.VersionBatching`.
#[derive(FromPyObject)]
struct VersionBatching {
    parameters: Vec<u8>,
    pad_values: HashMap<String, String>,
    auto: bool,
    latency_slo_ms: u64,
    execution_threads: usize,
}

impl VersionBatching {
    /// ValueError if the parameters are no `BatchingParameters`.
    fn batching(self) -> PyResult<Batching> {
        let latency_objective = (self.latency_slo_ms > 0).then(|| Duration::from_millis(self.latency_slo_ms));
        let threads = (self.execution_threads > 0).then_some(self.execution_threads);
        Ok(Batching {
            parameters: parameters(&self.parameters)?,
            auto: self.auto.then_some(AutoBatching { latency_objective, threads }),
            pad_values: self.pad_values,
        })
    }
}

/// The parameters of a serialized message; each that it does not set has the default.
fn parameters(serialized: &[u8]) -> PyResult<Parameters> {
    let message = BatchingParameters::decode(serialized).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let default = Parameters::default();
    Ok(Parameters {
        max_batch_size: message.max_batch_size.unwrap_or(default.max_batch_size),
        batch_timeout_micros: message.batch_timeout_micros.unwrap_or(default.batch_timeout_micros),
        max_enqueued_batches: message.max_enqueued_batches.unwrap_or(default.max_enqueued_batches),
        allowed_batch_sizes: message.allowed_batch_sizes,
        pad_variable_length_inputs: message.pad_variable_length_inputs,
        enable_large_batch_splitting: message.enable_large_batch_splitting.unwrap_or(false),
        max_execution_batch_size: message.max_execution_batch_size,
    })
}
