// SPDX-License-Identifier: Apache-2.0
//! From the names in a request to a version and its signature.

use std::sync::Arc;

use tensorserve_servables::table::signature_text::list_signatures;
use tensorserve_servables::{DEFAULT_SIGNATURE, ModelSpec, Resolve, Result, ServableHandle, ServingError, Signature};

/// The version and signature that the request means. REST has an error text of its own for a missing signature.
pub(super) fn find(
    spec: &ModelSpec<'_>,
    signature_name: Option<&str>,
    servables: &impl Resolve,
) -> Result<(ServableHandle, Arc<Signature>)> {
    let handle = servables.resolve(spec)?;
    let name = signature_name.filter(|name| !name.is_empty()).unwrap_or(DEFAULT_SIGNATURE);
    let signature = handle.servable().signature(name).cloned().ok_or_else(|| {
        let known = list_signatures(&handle);
        ServingError::invalid_argument(format!("Serving signature name: \"{name}\" not found in signature def{known}"))
    })?;
    if signature.inputs.is_empty() {
        let shown = signature_name.filter(|name| !name.is_empty()).unwrap_or("DEFAULT");
        return Err(ServingError::invalid_argument(format!("Failed to get input map for signature: {shown}")));
    }
    Ok((handle, signature))
}
