// SPDX-License-Identifier: Apache-2.0
//! TensorFlow's library and what it loads.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use tensorserve_runtimes::tensorflow::TensorFlow;
use tensorserve_runtimes::{LoadRequest, Runtime};
use tensorserve_servables::{AutoBatching, Batching};

use crate::batching;
use crate::error::to_python;

#[pyclass(frozen, module = "tensorserve._core")]
pub(crate) struct TensorFlowRuntime {
    runtime: Arc<TensorFlow>,
}

#[pymethods]
impl TensorFlowRuntime {
    #[new]
    fn new(py: Python<'_>, library: PathBuf) -> PyResult<Self> {
        let runtime = py.detach(|| TensorFlow::open(&library)).map_err(to_python)?;
        Ok(TensorFlowRuntime { runtime })
    }

    #[getter]
    fn version(&self) -> &str {
        self.runtime.version()
    }

    fn load_op_library(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(|| self.runtime.load_op_library(Path::new(&path))).map_err(to_python)
    }

    fn load(&self, py: Python<'_>, path: PathBuf, tags: Vec<String>, config_proto: Vec<u8>) -> PyResult<Servable> {
        let request = LoadRequest { path, tags, config_proto };
        let servable = py.detach(|| {
            let session = self.runtime.load(&request)?;
            Ok(Arc::new(tensorserve_servables::Servable::new(session)))
        });
        Ok(Servable { servable: servable.map_err(to_python)? })
    }
}

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

    #[pyo3(signature = (parameters, pad_values = None, auto = false, latency_slo_ms = 0))]
    fn enable_batching(
        &self,
        py: Python<'_>,
        parameters: &[u8],
        pad_values: Option<HashMap<String, String>>,
        auto: bool,
        latency_slo_ms: u64,
    ) -> PyResult<()> {
        let parameters = batching::parameters(parameters)?;
        let latency_objective = (latency_slo_ms > 0).then(|| Duration::from_millis(latency_slo_ms));
        let auto = auto.then_some(AutoBatching { latency_objective });
        let batching = Batching { parameters, auto, pad_values: pad_values.unwrap_or_default() };
        py.detach(|| self.servable.enable_batching(batching)).map_err(to_python)
    }
}
