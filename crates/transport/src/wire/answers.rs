// SPDX-License-Identifier: Apache-2.0
//! Answers that both protocols carry, as messages: gRPC sends them in binary form, REST as JSON.

use tensorserve_protos::tensorflow::serving::model_spec::VersionChoice;
use tensorserve_protos::tensorflow::serving::{
    GetModelStatusResponse, ModelSpec, ModelVersionStatus, SignatureDefMap, StatusProto,
};
use tensorserve_servables::{ServableHandle, VersionStatus};

/// Models with more signatures than this are described elsewhere than where their request arrived.
pub(crate) const FEW_SIGNATURES: usize = 8;

pub(crate) fn model_status(versions: Vec<VersionStatus>) -> GetModelStatusResponse {
    GetModelStatusResponse { model_version_status: versions.into_iter().map(version_status).collect() }
}

fn version_status(status: VersionStatus) -> ModelVersionStatus {
    let error = match status.error {
        None => StatusProto::default(),
        Some(error) => StatusProto { error_code: error.code as i32, error_message: error.message },
    };
    ModelVersionStatus { version: status.version, state: status.state as i32, status: Some(error) }
}

/// Name and version of the servable that answers; metadata answers carry no signature name.
pub(crate) fn resolved_spec(handle: &ServableHandle) -> ModelSpec {
    ModelSpec {
        name: handle.model().to_owned(),
        version_choice: Some(VersionChoice::Version(handle.version())),
        ..ModelSpec::default()
    }
}

pub(crate) fn signature_def_map(handle: &ServableHandle) -> SignatureDefMap {
    SignatureDefMap { signature_def: handle.servable().signature_defs().clone() }
}
