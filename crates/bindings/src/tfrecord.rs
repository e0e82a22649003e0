// SPDX-License-Identifier: Apache-2.0
//! TFRecord files.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use tensorserve_tensors::tfrecord::{RecordReader, put_record};

use crate::data_plane::os_error;
use crate::error::to_python;

#[pyclass(frozen, module = "tensorserve._core")]
pub(crate) struct TfRecordReader {
    reader: Mutex<RecordReader<BufReader<File>>>,
}

#[pymethods]
impl TfRecordReader {
    #[new]
    fn new(path: PathBuf) -> PyResult<Self> {
        Ok(TfRecordReader {
            reader: Mutex::new(RecordReader::new(BufReader::new(File::open(path).map_err(os_error)?))),
        })
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let record = py.detach(|| self.reader.lock().unwrap_or_else(PoisonError::into_inner).next());
        Ok(record.transpose().map_err(to_python)?.map(|record| PyBytes::new(py, &record)))
    }
}

#[pyfunction]
pub(crate) fn tfrecords<'py>(py: Python<'py>, records: Vec<PyBackedBytes>) -> Bound<'py, PyBytes> {
    let framed = py.detach(|| {
        let mut framed = Vec::with_capacity(records.iter().map(|record| record.len() + 16).sum());
        records.iter().for_each(|record| put_record(&mut framed, record));
        framed
    });
    PyBytes::new(py, &framed)
}
