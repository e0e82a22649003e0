// SPDX-License-Identifier: Apache-2.0
//! TensorFlow's library and what it loads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyo3::prelude::*;
use tensorserve_runtimes::Runtime;
use tensorserve_runtimes::tensorflow::TensorFlow;
use tensorserve_servables::commissioning::steps::commission;

use crate::error::to_python;
use crate::options::LoadOptions;
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

    fn load(&self, py: Python<'_>, path: PathBuf, options: LoadOptions) -> PyResult<Servable> {
        let (request, decisions) = options.request(path)?;
        let servable = py.detach(|| commission(&*self.runtime, &request, decisions)).map_err(to_python)?;
        Ok(Servable { servable: Arc::new(servable) })
    }
}
