// SPDX-License-Identifier: Apache-2.0
//! Who answers: the servable table, its handles, labels and signatures, and what probes are told. Read [`servable_table`] first.

pub mod health;
pub(crate) mod input_text;
pub mod model_spec;
pub mod readiness;
pub mod resolve;
pub mod servable;
pub mod servable_table;
pub mod signature;
pub mod signature_text;
pub mod status;
