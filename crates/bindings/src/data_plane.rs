// SPDX-License-Identifier: Apache-2.0
//! A running data plane, as Python drives it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use tensorserve_runtimes::take_descriptor;
use tensorserve_servables::{Code, VersionState, batching::report as batching_report};
use tensorserve_transport::tls::Identity;
use tensorserve_transport::{Protocol, Server, Serving};

use crate::control::PythonControlPlane;
use crate::error::to_python;
use crate::options::DataPlaneOptions;
use crate::panics::log_panics;
use crate::request_log::RequestLog;
use crate::servable::Servable;

#[pyclass(frozen, module = "tensorserve._core")]
pub(crate) struct DataPlane {
    serving: Arc<Serving>,
    /// Taken out by `shutdown`.
    server: Mutex<Option<Server>>,
}

#[pymethods]
impl DataPlane {
    #[new]
    fn new(options: DataPlaneOptions) -> PyResult<Self> {
        log_panics();
        let server = Server::start(options.server(), options.serving()?)?;
        Ok(DataPlane { serving: Arc::clone(server.serving()), server: Mutex::new(Some(server)) })
    }

    fn publish(&self, model: &str, version: i64, servable: &Servable) {
        self.serving.table.publish(model, version, Arc::clone(&servable.servable));
    }

    #[pyo3(signature = (model, version, timeout_seconds = None))]
    fn retire(&self, py: Python<'_>, model: &str, version: i64, timeout_seconds: Option<f64>) -> PyResult<bool> {
        let timeout = timeout_seconds.map(duration).transpose()?;
        Ok(py.detach(|| self.serving.table.retire(model, version).wait(timeout)))
    }

    #[pyo3(signature = (model, version, state, code = 0, message = ""))]
    fn set_version_state(&self, model: &str, version: i64, state: i32, code: i32, message: &str) -> PyResult<()> {
        let state = VersionState::from_i32(state)
            .ok_or_else(|| PyValueError::new_err(format!("{state} is no ModelVersionStatus.State")))?;
        self.serving.status.set(model, version, state, Code::from_i32(code), message.to_owned());
        Ok(())
    }

    fn withdraw(&self, model: &str) {
        self.serving.status.withdraw(model);
    }

    #[pyo3(signature = (models, required))]
    fn set_configured(&self, models: HashSet<String>, required: HashSet<String>) {
        self.serving.status.set_configured(models, required);
    }

    fn set_model_weights(&self, weights: HashMap<String, f64>) {
        let weights = weights.into_iter().map(|(model, weight)| (Arc::from(model), weight)).collect();
        self.serving.executor.set_weights(weights);
    }

    fn set_load_bytes(&self, model: &str, version: i64, size: u64) {
        self.serving.status.set_load_bytes(model, version, size);
    }

    fn started(&self) {
        self.serving.status.started();
    }

    fn leave(&self) {
        self.serving.status.leave();
    }

    fn set_labels(&self, model: &str, labels: HashMap<String, i64>) {
        self.serving.table.set_labels(model, labels);
    }

    fn batching_report(&self, py: Python<'_>, model: &str) -> PyResult<String> {
        py.detach(|| batching_report::report(&self.serving.table, model)).map_err(to_python)
    }

    #[pyo3(signature = (path, success, seconds))]
    fn record_load(&self, path: &str, success: bool, seconds: f64) -> PyResult<()> {
        self.serving.table.metrics().loads.loaded(path, success, duration(seconds)?);
        Ok(())
    }

    #[pyo3(signature = (path, status, seconds, records = 0))]
    fn record_warmup(&self, path: &str, status: &str, seconds: f64, records: u64) -> PyResult<()> {
        self.serving.table.metrics().loads.warmed_up(path, status, duration(seconds)?, records);
        Ok(())
    }

    #[getter]
    fn request_log(&self) -> RequestLog {
        RequestLog { serving: Arc::clone(&self.serving) }
    }

    fn set_control_plane(&self, control: Py<PyAny>) -> PyResult<()> {
        self.serving.control.set(Some(Arc::new(PythonControlPlane::start(control)?)));
        Ok(())
    }

    #[pyo3(signature = (key, certificates, client_authorities = None))]
    fn secure_grpc(&self, key: &str, certificates: &str, client_authorities: Option<&str>) -> PyResult<()> {
        self.secure(Protocol::Grpc, &Identity { key, certificates, client_authorities })
    }

    #[pyo3(signature = (key, certificates, client_authorities = None))]
    fn secure_rest(&self, key: &str, certificates: &str, client_authorities: Option<&str>) -> PyResult<()> {
        self.secure(Protocol::Rest, &Identity { key, certificates, client_authorities })
    }

    fn serve_grpc(&self, py: Python<'_>, descriptor: i32) -> PyResult<()> {
        self.serve(py, Protocol::Grpc, descriptor)
    }

    fn serve_rest(&self, py: Python<'_>, descriptor: i32) -> PyResult<()> {
        self.serve(py, Protocol::Rest, descriptor)
    }

    fn serve_health(&self, py: Python<'_>, descriptor: i32) -> PyResult<()> {
        self.serve(py, Protocol::Health, descriptor)
    }

    #[pyo3(signature = (drain_seconds, idle_seconds = 0.0))]
    fn shutdown(&self, py: Python<'_>, drain_seconds: f64, idle_seconds: f64) -> PyResult<bool> {
        let (drain, idle) = (duration(drain_seconds)?, duration(idle_seconds)?);
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It may refer to this object.
        py.detach(|| self.serving.control.set(None));
        Ok(py.detach(|| server.is_none_or(|server| server.stop(drain, idle))))
    }
}

impl DataPlane {
    fn secure(&self, protocol: Protocol, identity: &Identity<'_>) -> PyResult<()> {
        match &*self.server.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(server) => server.secure(protocol, identity).map_err(to_python),
            None => Err(PyRuntimeError::new_err("the data plane was shut down")),
        }
    }

    fn serve(&self, py: Python<'_>, protocol: Protocol, descriptor: i32) -> PyResult<()> {
        let socket = take_descriptor(descriptor).map_err(os_error)?;
        py.detach(|| {
            let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
            match &*server {
                Some(server) => server.serve(protocol, socket).map_err(os_error),
                None => Err(PyRuntimeError::new_err("the data plane was shut down")),
            }
        })
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        if let Some(server) = self.server.lock().unwrap_or_else(PoisonError::into_inner).take() {
            server.stop(Duration::ZERO, Duration::ZERO);
        }
    }
}

/// An OSError with its number, so that Python can tell the kinds apart.
pub(crate) fn os_error(error: io::Error) -> PyErr {
    match error.raw_os_error() {
        None => error.into(),
        Some(number) => {
            let text = error.to_string();
            let text = text.strip_suffix(&format!(" (os error {number})")).unwrap_or(&text);
            PyOSError::new_err((number, text.to_owned()))
        }
    }
}

pub(crate) fn duration(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))
}
