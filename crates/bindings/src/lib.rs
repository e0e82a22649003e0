// SPDX-License-Identifier: Apache-2.0
//! The Python module `tensorserve._core`: converts and forwards, decides nothing.
//!
//! Its typed description is `python/tensorserve/_core.pyi`.

mod attribution;
mod control;
mod data_plane;
mod engine;
mod error;
mod load_test;
mod options;
mod panics;
mod request_log;
mod servable;
mod tensorflow;
mod tfrecord;

use pyo3::prelude::*;

/// Requests make many small allocations; this allocator serves them faster than the system's and gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule]
mod _core {
    use std::collections::HashMap;

    use pyo3::prelude::*;
    use pyo3::types::PyBytes;

    #[pymodule_export]
    use super::attribution::{open_attribution_page, release_watched};
    #[pymodule_export]
    use super::control::ControlReply;
    #[pymodule_export]
    use super::data_plane::DataPlane;
    #[pymodule_export]
    use super::engine::Engine;
    #[pymodule_export]
    use super::load_test::LoadTest;
    #[pymodule_export]
    use super::request_log::RequestLog;
    #[pymodule_export]
    use super::servable::Servable;
    #[pymodule_export]
    use super::tensorflow::TensorFlowRuntime;
    #[pymodule_export]
    use super::tfrecord::{TfRecordReader, tfrecords};

    #[pyfunction]
    fn descriptor_set(py: Python<'_>) -> Bound<'_, PyBytes> {
        PyBytes::new(py, tensorserve_protos::FILE_DESCRIPTOR_SET)
    }

    /// A level of `logging`, a text, and what it is about.
    type LogLine = (i32, String, HashMap<&'static str, String>);

    #[pyfunction]
    fn take_log_lines(py: Python<'_>, timeout_seconds: f64) -> PyResult<(Vec<LogLine>, usize)> {
        let timeout = super::data_plane::duration(timeout_seconds)?;
        let taken = py.detach(|| tensorserve_log::take(timeout));
        let fields = |line: Vec<(&'static str, String)>| line.into_iter().collect();
        let lines = taken.lines.into_iter().map(|line| (line.level.number(), line.text, fields(line.fields))).collect();
        Ok((lines, taken.dropped))
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("ServingError", module.py().get_type::<super::error::ServingError>())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
