// SPDX-License-Identifier: Apache-2.0
//! The load generator of `tensorserve bench`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyDict;
use tensorserve_loadgen::plan::{Endpoint, Load, Plan, Protocol};
use tensorserve_loadgen::report::{Report, Shared};

use crate::data_plane::duration;

/// `tensorserve.bench.measuring.Load`, which says what they mean.
#[derive(FromPyObject)]
struct PythonLoad {
    concurrency: usize,
    rate: f64,
    even: bool,
    max_in_flight: usize,
    connections: usize,
    threads: usize,
    warm_up: f64,
    seconds: f64,
    timeout: f64,
    seed: u64,
}

impl PythonLoad {
    /// When requests are sent. ValueError unless it is a closed loop or an open one.
    fn arrivals(&self) -> PyResult<Load> {
        match (self.concurrency, self.rate) {
            (concurrency @ 1.., 0.0) => Ok(Load::Closed { concurrency }),
            (0, rate) if rate.is_finite() && rate > 0.0 => {
                Ok(Load::Open { rate, random: !self.even, max_in_flight: self.max_in_flight })
            }
            _ => Err(PyValueError::new_err("either concurrency or rate must be above 0")),
        }
    }
}

#[pyclass(frozen, module = "tensorserve._core")]
pub(crate) struct LoadTest {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
}

#[pymethods]
impl LoadTest {
    #[new]
    #[pyo3(signature = (address, bodies, load, *, grpc, path, content_type))]
    fn new(
        address: &str,
        bodies: Vec<PyBackedBytes>,
        load: PythonLoad,
        grpc: bool,
        path: String,
        content_type: String,
    ) -> PyResult<Self> {
        let endpoint = match address.strip_prefix("unix:") {
            Some(path) => Endpoint::Unix(path.into()),
            None => Endpoint::Tcp(address.to_owned()),
        };
        let PythonLoad { max_in_flight, connections, threads, .. } = load;
        if bodies.is_empty() || connections == 0 || threads == 0 || max_in_flight == 0 {
            return Err(PyValueError::new_err("bodies, connections, threads and max_in_flight must be above 0"));
        }
        let plan = Plan {
            endpoint,
            protocol: if grpc { Protocol::Grpc } else { Protocol::Rest },
            path,
            content_type,
            headers: Vec::new(),
            bodies: bodies.into_iter().map(Bytes::from_owner).collect(),
            load: load.arrivals()?,
            connections,
            threads,
            warm_up: duration(load.warm_up)?,
            duration: duration(load.seconds)?,
            timeout: duration(load.timeout)?.max(Duration::from_millis(1)),
            seed: load.seed,
        };
        Ok(LoadTest { plan: Arc::new(plan), shared: Arc::default() })
    }

    fn run<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let report = py.detach(|| tensorserve_loadgen::run(&self.plan, &self.shared)).map_err(PyOSError::new_err)?;
        as_dict(py, &report)
    }

    fn progress(&self) -> (u64, u64) {
        self.shared.progress()
    }

    fn stop(&self) {
        self.shared.stop();
    }
}

fn as_dict<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("latencies", counts(&report.latencies))?;
    dict.set_item("lags", counts(&report.lags))?;
    dict.set_item("answered_in_time", report.answered_in_time)?;
    dict.set_item("errors", report.errors.clone())?;
    dict.set_item("unfinished", report.unfinished)?;
    Ok(dict)
}

/// How often each value of nanoseconds was counted.
fn counts(histogram: &tensorserve_loadgen::report::Nanos) -> BTreeMap<u64, u64> {
    histogram.iter_recorded().map(|one| (one.value_iterated_to(), one.count_at_value())).collect()
}
