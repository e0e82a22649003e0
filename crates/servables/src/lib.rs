// SPDX-License-Identifier: Apache-2.0
//! What is served and what can be asked of it: the servable table, signatures, and the verbs.
//!
//! May depend on `batching`, `runtimes`, `tensors` and `protos`; knows neither gRPC nor HTTP. Both transports call the same verbs
//! here. Read [`table`] (who answers), [`verbs`], [`execution`] (which thread computes) and [`batching`] in this order;
//! [`commissioning`] is what happens between load and publish.

pub mod batching;
pub mod commissioning;
pub mod execution;
pub mod metrics;
pub mod table;
pub mod verbs;

pub use batching::batcher::{AutoBatching, Batching};
pub use execution::admission::InFlightLimits;
pub use execution::executor::{Executor, Urgency};
pub use metrics::Metrics;
pub use table::health::Health;
pub use table::model_spec::{ModelSpec, VersionChoice};
pub use table::readiness::ReadinessReport;
pub use table::resolve::{Resolve, SoleServable};
pub use table::servable::{Servable, ServableHandle};
pub use table::servable_table::ServableTable;
pub use table::signature::Signature;
pub use table::status::{Phase, Readiness, StatusBoard, VersionState, VersionStatus};
pub use tensorserve_batching::{Parameters, Pool, Priority};
pub use tensorserve_runtimes::allocator::give_back_freed;
pub use tensorserve_tensors::{Code, Result, ServingError};

/// The signature that a request means when it names none.
pub const DEFAULT_SIGNATURE: &str = "serving_default";
