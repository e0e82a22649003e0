// SPDX-License-Identifier: Apache-2.0
//! TensorFlow's library and what it loads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyo3::prelude::*;
use tensorserve_runtimes::tensorflow::TensorFlow;
use tensorserve_runtimes::{LoadRequest, Runtime};

use crate::error::to_python;
use crate::servable::Servable;

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

    #[pyo3(signature = (path, tags, config_proto, niceness = 0))]
    fn load(
        &self,
        py: Python<'_>,
        path: PathBuf,
        tags: Vec<String>,
        config_proto: Vec<u8>,
        niceness: i32,
    ) -> PyResult<Servable> {
        let request = LoadRequest { path, tags, config_proto, niceness };
        let servable = py.detach(|| {
            let session = self.runtime.load(&request)?;
            Ok(Arc::new(tensorserve_servables::Servable::new(session)))
        });
        Ok(Servable { servable: servable.map_err(to_python)? })
    }
}
