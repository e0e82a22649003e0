// SPDX-License-Identifier: Apache-2.0
//! `BatchingParameters` as the control plane hands them over: serialized.

use prost::Message;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tensorserve_protos::tensorflow::serving::BatchingParameters;
use tensorserve_servables::Parameters;

/// The parameters of a serialized message; what it does not set has the default. ValueError if it is none.
pub(crate) fn parameters(serialized: &[u8]) -> PyResult<Parameters> {
    let message = BatchingParameters::decode(serialized).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let default = Parameters::default();
    Ok(Parameters {
        max_batch_size: message.max_batch_size.unwrap_or(default.max_batch_size),
        batch_timeout_micros: message.batch_timeout_micros.unwrap_or(default.batch_timeout_micros),
        max_enqueued_batches: message.max_enqueued_batches.unwrap_or(default.max_enqueued_batches),
        allowed_batch_sizes: message.allowed_batch_sizes,
        pad_variable_length_inputs: message.pad_variable_length_inputs,
        enable_large_batch_splitting: message.enable_large_batch_splitting.unwrap_or(false),
        max_execution_batch_size: message.max_execution_batch_size,
    })
}
