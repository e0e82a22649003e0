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

#[pyclass(frozen, module = "tensorserve._core")]
pub(crate) struct LoadTest {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
}

#[pymethods]
impl LoadTest {
    #[new]
    #[pyo3(signature = (
        address, bodies, *, grpc, path, content_type, headers = Vec::new(), concurrency = 0, rate = 0.0, random = true,
        max_in_flight = 10_000, connections = 1, threads = 1, warm_up = 1.0, seconds = 5.0, timeout = 10.0, seed = 0
    ))]
    #[allow(clippy::too_many_arguments)] // They are keywords.
    fn new(
        address: &str,
        bodies: Vec<PyBackedBytes>,
        grpc: bool,
        path: String,
        content_type: String,
        headers: Vec<(String, String)>,
        concurrency: usize,
        rate: f64,
        random: bool,
        max_in_flight: usize,
        connections: usize,
        threads: usize,
        warm_up: f64,
        seconds: f64,
        timeout: f64,
        seed: u64,
    ) -> PyResult<Self> {
        let endpoint = match address.strip_prefix("unix:") {
            Some(path) => Endpoint::Unix(path.into()),
            None => Endpoint::Tcp(address.to_owned()),
        };
        let load = match (concurrency, rate) {
            (1.., 0.0) => Load::Closed { concurrency },
            (0, rate) if rate.is_finite() && rate > 0.0 => Load::Open { rate, random, max_in_flight },
            _ => return Err(PyValueError::new_err("either concurrency or rate must be above 0")),
        };
        if bodies.is_empty() || connections == 0 || threads == 0 || max_in_flight == 0 {
            return Err(PyValueError::new_err("bodies, connections, threads and max_in_flight must be above 0"));
        }
        let plan = Plan {
            endpoint,
            protocol: if grpc { Protocol::Grpc } else { Protocol::Rest },
            path,
            content_type,
            headers,
            bodies: bodies.into_iter().map(Bytes::from_owner).collect(),
            load,
            connections,
            threads,
            warm_up: duration(warm_up)?,
            duration: duration(seconds)?,
            timeout: duration(timeout)?.max(Duration::from_millis(1)),
            seed,
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
