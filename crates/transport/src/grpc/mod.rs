// SPDX-License-Identifier: Apache-2.0
//! gRPC over HTTP/2: unary calls, read and written without message objects where tensors are, and a few streams.
//!
//! The framing is our own, on top of the `h2` crate: a generic gRPC server copies each message into a buffer of its own
//! before it is decoded, and gives each call a task; both cost more than a small model's run.

pub(crate) mod authority;
pub mod call;
pub mod classify;
pub mod connection;
pub mod examples;
pub mod health;
pub mod lifetime;
pub mod message;
pub mod metadata;
pub mod model_status;
pub mod multi_inference;
pub mod predict;
pub mod reflection;
pub mod regress;
pub mod reload_config;
pub mod replay;
mod replies;
pub mod session_run;
pub mod status;
pub mod stream;
