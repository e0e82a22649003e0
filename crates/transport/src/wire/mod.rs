// SPDX-License-Identifier: Apache-2.0
//! Messages as protobuf, for both protocols: gRPC frames them, REST takes them as binary bodies and logs them.
//! Read [`predict`] first.

pub(crate) mod answers;
pub(crate) mod classify;
pub mod examples;
pub(crate) mod inflate;
pub(crate) mod model_spec;
pub mod predict;
pub mod prediction_log;
pub(crate) mod regress;
