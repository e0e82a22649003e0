// SPDX-License-Identifier: Apache-2.0
//! A loaded version that is not in a table yet: what can be asked of it there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use tensorserve_servables::commissioning::warmup::{Outcome, synthesize};
use tensorserve_transport::grpc::replay::{ReplayOptions, Replayed, replay_file};
use tensorserve_transport::rest::recorded::{record_examples, record_predict};
use tensorserve_transport::wire::prediction_log::LogType;

use crate::error::to_python;

#[pyclass(frozen, module = "tensorserve._core")]
pub(crate) struct Servable {
    pub(crate) servable: Arc<tensorserve_servables::Servable>,
}

#[pymethods]
impl Servable {
    #[getter]
    fn signature_names(&self) -> Vec<String> {
        self.servable.signature_defs().keys().cloned().collect()
    }

    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.servable.warnings()
    }

    fn signature_def<'py>(&self, py: Python<'py>, signature: &str) -> Option<Bound<'py, PyBytes>> {
        let def = self.servable.signature_defs().get(signature)?;
        Some(PyBytes::new(py, &def.encode_to_vec()))
    }

    fn method_name(&self, signature: &str) -> Option<String> {
        self.servable.signature_defs().get(signature).map(|def| def.method_name.clone())
    }

    #[pyo3(signature = (
        path, *, model_name = "warmup", iterations = 1, max_records = 1000, enable_signature_method_name_check = false
    ))]
    fn replay(
        &self,
        py: Python<'_>,
        path: PathBuf,
        model_name: &str,
        iterations: u32,
        max_records: usize,
        enable_signature_method_name_check: bool,
    ) -> PyResult<Vec<(u32, Vec<f64>)>> {
        let options = ReplayOptions { iterations, max_records, enable_signature_method_name_check };
        let servable = Arc::clone(&self.servable);
        let replayed = py.detach(|| replay_file(&path, model_name, servable, &options)).map_err(to_python)?;
        let seconds = |times: &[Duration]| times.iter().map(Duration::as_secs_f64).collect();
        let row = |Replayed { log_type, times }: &Replayed| (log_type.map_or(0, |kind| kind as u32), seconds(times));
        Ok(replayed.iter().map(row).collect())
    }

    fn synthesize_warmup(&self, py: Python<'_>) -> Vec<(String, String, Option<f64>)> {
        let row = |(signature, outcome)| match outcome {
            Outcome::Ran(took) => (signature, String::new(), Some(took.as_secs_f64())),
            Outcome::Failed(error) => (signature, error.to_string(), None),
            Outcome::Skipped(reason) => (signature, reason.to_owned(), None),
        };
        py.detach(|| synthesize(&self.servable)).into_iter().map(row).collect()
    }

    fn prediction_log<'py>(
        &self,
        py: Python<'py>,
        verb: &str,
        model: &str,
        body: PyBackedBytes,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let record = match verb {
            "predict" => record_predict(model, &body, Arc::clone(&self.servable)),
            "classify" => record_examples(model, &body, LogType::Classify),
            "regress" => record_examples(model, &body, LogType::Regress),
            _ => return Err(PyValueError::new_err(format!("there is no verb {verb}"))),
        };
        Ok(PyBytes::new(py, &record.map_err(to_python)?))
    }
}
