// SPDX-License-Identifier: Apache-2.0
//! What is served and what can be asked of it: the servable table, signatures, and the verbs.
//!
//! May depend on `batching`, `runtimes`, `tensors` and `protos`; knows neither gRPC nor HTTP. Both transports call the same verbs
//! here. Read [`table`] (who answers), [`predict`] (a verb) and [`execution`] (which thread computes) in this order.

pub mod admission;
pub(crate) mod auto;
pub(crate) mod batch_key;
pub mod batchability;
pub mod batcher;
pub mod batching_report;
pub mod classify;
pub(crate) mod computation;
pub mod compute_choice;
pub mod examples;
pub mod execution;
#[cfg(test)]
mod fixture;
pub mod head;
pub mod health;
mod input_text;
pub mod inter_op_choice;
pub mod metadata;
pub mod metrics;
pub mod model_spec;
pub mod multi_inference;
pub(crate) mod pad_value;
pub mod predict;
pub(crate) mod queue_state;
pub mod regress;
pub mod resolve;
pub(crate) mod run_queue;
pub mod servable;
pub mod session_run;
pub mod signature;
pub mod signature_text;
pub mod status;
pub mod synthetic;
pub mod table;
pub mod warmup;

pub use admission::InFlightLimits;
pub use batcher::{AutoBatching, Batching};
pub use execution::{Executor, Urgency};
pub use health::Health;
pub use metrics::Metrics;
pub use model_spec::{ModelSpec, VersionChoice};
pub use resolve::{Resolve, SoleServable};
pub use servable::{Servable, ServableHandle};
pub use signature::Signature;
pub use status::{StatusBoard, VersionState, VersionStatus};
pub use table::ServableTable;
pub use tensorserve_batching::{Parameters, Pool, Priority};
pub use tensorserve_tensors::{Code, Result, ServingError};

/// The signature that a request means when it names none.
pub const DEFAULT_SIGNATURE: &str = "serving_default";
