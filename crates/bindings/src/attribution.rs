// SPDX-License-Identifier: Apache-2.0
//! The page in which a supervised process says what it is about to run.

use pyo3::prelude::*;
use tensorserve_runtimes::attribution::{self, Watched, WatchedKind};
use tensorserve_runtimes::take_descriptor;

use crate::data_plane::os_error;

#[pyfunction]
pub(crate) fn release_watched(path: &str) {
    attribution::release(path);
}

#[pyfunction]
pub(crate) fn open_attribution_page(
    descriptor: i32,
    watched: Vec<(String, String, Vec<i64>, Option<String>)>,
) -> PyResult<()> {
    let watched = watched.into_iter().map(|(path, signature, words, refusal)| {
        let kind = refusal.map_or(WatchedKind::Alone, WatchedKind::Refused);
        Watched { path, signature, words, kind }
    });
    let memory = take_descriptor(descriptor).map_err(os_error)?;
    attribution::open(memory, watched.collect()).map_err(os_error)
}
