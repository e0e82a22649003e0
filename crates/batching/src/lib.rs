// SPDX-License-Identifier: Apache-2.0
//! Requests that wait together run together: queues, the threads that serve them, merging and splitting of tensors.
//!
//! May depend on `tensors` and `log` only; knows no model and no protocol. Called by `servables`. Read [`parameters`] (what can be
//! set), [`queue`] (who runs with whom), [`pool`] (who runs next) and [`merge`] in this order.

pub mod back_off;
pub mod cost;
pub mod ewma;
pub mod experiment;
pub mod merge;
pub mod parameters;
pub mod pool;
pub mod priority;
pub mod queue;
pub mod settings;
mod shares;
pub mod source;
pub mod split;
mod stalls;
pub mod stats;
pub mod strategy;
mod timers;
pub mod tuner;
pub mod window;

pub use back_off::BackOff;
pub use cost::CostModel;
pub use ewma::Ewma;
pub use parameters::Parameters;
pub use pool::{Pool, WakeLater};
pub use priority::Priority;
pub use queue::{Cut, Limits, Queue, Taken, Task};
pub use settings::{CostSettings, TunerSettings};
pub use source::{Entry, Next, Source};
pub use stats::Stats;
pub use strategy::Strategy;
pub use tuner::{Decision, Tuner};
