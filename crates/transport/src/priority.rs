// SPDX-License-Identifier: Apache-2.0
//! The header (in gRPC: metadata) that says how urgent a request is.

use http::header::HeaderMap;
use tensorserve_servables::{Priority, Result, ServingError};

const HEADER: &str = "x-tensorserve-priority";

/// The priority that the headers ask for. INVALID_ARGUMENT for one that there is not.
pub(crate) fn of(headers: &HeaderMap) -> Result<Priority> {
    let Some(value) = headers.get(HEADER) else { return Ok(Priority::Default) };
    value.to_str().ok().and_then(Priority::from_name).ok_or_else(|| {
        ServingError::invalid_argument(format!("{HEADER} must be high, default or low; it is {value:?}"))
    })
}
