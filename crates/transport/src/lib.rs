// SPDX-License-Identifier: Apache-2.0
//! The ports: gRPC and REST over the same verbs.
//!
//! May depend on `servables`, `tensors` and `protos`. Called by `bindings`. The folders [`grpc`] and [`rest`] have
//! sibling file names: `connection` (one client), a file for each verb, and one that renders errors; what both encode is in
//! [`wire`]. Read [`server`] first.

pub mod access;
pub(crate) mod account;
pub(crate) mod clerk;
pub(crate) mod client;
pub mod control;
pub mod grpc;
pub mod grpc_options;
pub(crate) mod heavy;
pub(crate) mod incoming;
pub mod lane;
pub(crate) mod lanes;
pub mod limits;
pub mod listener;
pub(crate) mod memory;
pub(crate) mod pace;
pub(crate) mod preface;
pub(crate) mod priority;
pub mod request_log;
pub mod rest;
pub mod server;
pub mod serving;
pub mod shutdown;
pub(crate) mod spare;
pub mod tls;
pub(crate) mod watchdog;
pub mod wire;
pub(crate) mod wrong_port;

pub use control::{AdminReply, AdminRequest, ControlPlane};
pub use server::{BatchThreads, Protocol, Server, ServerOptions};
pub use serving::{Serving, ServingOptions};
