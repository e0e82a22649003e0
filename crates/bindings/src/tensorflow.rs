// SPDX-License-Identifier: Apache-2.0
//! TensorFlow's library and what it loads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tensorserve_runtimes::tensorflow::TensorFlow;
use tensorserve_runtimes::{InterOp, IntraOp, LoadRequest, Runtime};
use tensorserve_servables::commissioning::{inter_op_choice, intra_op_choice};

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

    #[pyo3(signature = (path, tags, config_proto, niceness = 0, inter_op = "auto"))]
    fn load(
        &self,
        py: Python<'_>,
        path: PathBuf,
        tags: Vec<String>,
        config_proto: Vec<u8>,
        niceness: i32,
        inter_op: &str,
    ) -> PyResult<Servable> {
        let long_runs = inter_op_of(inter_op)?;
        let request = LoadRequest { path, tags, config_proto, niceness, intra_op: IntraOp::SharedPool };
        let load = || {
            let servable = intra_op_choice::load(&*self.runtime, &request)?;
            Ok(inter_op_choice::choose(servable, long_runs, &request.config_proto))
        };
        let servable = py.detach(load).map_err(to_python)?;
        Ok(Servable { servable: Arc::new(servable) })
    }
}

/// The thread for long runs that is asked for; `None` if it is to be measured.
fn inter_op_of(inter_op: &str) -> PyResult<Option<InterOp>> {
    match inter_op {
        "auto" => Ok(None),
        "caller" => Ok(Some(InterOp::Caller)),
        "pool" => Ok(Some(InterOp::Pool)),
        _ => Err(PyValueError::new_err(format!("inter_op must be auto, caller or pool, not {inter_op:?}"))),
    }
}
