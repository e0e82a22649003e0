// SPDX-License-Identifier: Apache-2.0
//! The verb GetModelMetadata.

use crate::{ModelSpec, VersionChoice};
use crate::{Result, ServableHandle, ServableTable, ServingError};

/// The only metadata field there is.
pub const SIGNATURE_DEF: &str = "signature_def";

/// Checks the request in the order of the original and gives the version whose `signature_defs` answer it.
/// `spec` is `None` when the request has no model_spec.
pub fn lookup<'a>(
    table: &ServableTable,
    spec: Option<&ModelSpec<'_>>,
    mut fields: impl Iterator<Item = &'a str>,
) -> Result<ServableHandle> {
    let spec = spec.ok_or_else(missing_model_spec)?;
    let mut any = false;
    if let Some(unknown) = fields.find(|field| {
        any = true;
        *field != SIGNATURE_DEF
    }) {
        return Err(ServingError::invalid_argument(format!("Metadata field {unknown} is not supported")));
    }
    if !any {
        let message = "GetModelMetadataRequest must specify at least one metadata_field";
        return Err(ServingError::invalid_argument(message));
    }
    table.resolve(spec)
}

/// The error for requests without a `model_spec`.
pub fn missing_model_spec() -> ServingError {
    ServingError::invalid_argument("Missing ModelSpec")
}

/// The version that a status request asks for. Labels are ignored there, as the original does.
pub fn status_version(spec: &ModelSpec<'_>) -> Option<i64> {
    match spec.version {
        VersionChoice::Specific(version) => Some(version),
        VersionChoice::Latest | VersionChoice::Label(_) => None,
    }
}
