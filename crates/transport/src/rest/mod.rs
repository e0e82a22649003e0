// SPDX-License-Identifier: Apache-2.0
//! TensorFlow Serving's REST API over HTTP/1.1 and cleartext HTTP/2.

pub mod admin;
mod body;
pub mod classify;
pub mod compress;
pub mod connection;
pub mod examples;
pub mod format;
pub mod logged;
mod lookup;
pub mod metadata;
mod metrics;
pub mod model_status;
pub mod openapi;
mod openapi_examples;
mod openapi_schema;
pub mod predict;
pub mod predict_binary;
pub mod probes;
pub mod proto_json;
pub mod recorded;
pub mod regress;
pub mod reply;
pub mod routes;
