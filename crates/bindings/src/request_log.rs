// SPDX-License-Identifier: Apache-2.0
//! The request log of a data plane, as Python takes from it.

use std::collections::HashMap;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tensorserve_transport::Serving;
use tensorserve_transport::request_log::LoggerOptions;

use crate::data_plane::duration;

#[pyclass(frozen, module = "tensorserve._core")]
pub(crate) struct RequestLog {
    pub(crate) serving: Arc<Serving>,
}

#[pymethods]
impl RequestLog {
    fn set_loggers(&self, loggers: HashMap<String, (u64, f64, Vec<String>)>) {
        let options =
            |(collector, sampling_rate, saved_model_tags)| LoggerOptions { collector, sampling_rate, saved_model_tags };
        let loggers = loggers.into_iter().map(|(model, logger)| (model, options(logger)));
        self.serving.request_log.set_loggers(loggers.collect());
    }

    fn set_max_bytes(&self, max_bytes: usize) {
        self.serving.request_log.set_max_bytes(max_bytes);
    }

    fn take<'py>(
        &self,
        py: Python<'py>,
        timeout_seconds: f64,
        max_bytes: usize,
    ) -> PyResult<Vec<(u64, Vec<Bound<'py, PyBytes>>)>> {
        let timeout = duration(timeout_seconds)?;
        let batches = py.detach(|| self.serving.request_log.take(timeout, max_bytes));
        let bytes = |records: Vec<Vec<u8>>| records.iter().map(|record| PyBytes::new(py, record)).collect();
        Ok(batches.into_iter().map(|batch| (batch.collector, bytes(batch.records))).collect())
    }

    #[getter]
    fn dropped(&self) -> u64 {
        self.serving.request_log.dropped()
    }
}
