// SPDX-License-Identifier: Apache-2.0
//! What can be asked of a servable, a file for each verb. Read [`predict`] first; [`head`] is what the verbs on examples share.

pub mod classify;
pub mod examples;
pub mod head;
pub mod metadata;
pub mod multi_inference;
pub mod predict;
pub mod regress;
pub mod session_run;
