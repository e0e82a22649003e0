// SPDX-License-Identifier: Apache-2.0
//! What unit tests of several modules need.

use std::collections::BTreeMap;

use tensorserve_protos::tensorflow::tensor_info::Encoding;
use tensorserve_protos::tensorflow::tensor_shape_proto::Dim;
use tensorserve_protos::tensorflow::{SignatureDef, TensorInfo, TensorShapeProto};
use tensorserve_tensors::DataType;

use crate::DEFAULT_SIGNATURE;

/// The default signature alone: from `x` to `y`, any number of floats each.
pub(crate) fn signature_defs() -> BTreeMap<String, SignatureDef> {
    let info = |name: &str| TensorInfo {
        dtype: DataType::Float as i32,
        encoding: Some(Encoding::Name(name.to_owned())),
        tensor_shape: Some(TensorShapeProto { dim: vec![Dim { size: -1, ..Dim::default() }], unknown_rank: false }),
    };
    let def = SignatureDef {
        inputs: [("x".to_owned(), info("x:0"))].into(),
        outputs: [("y".to_owned(), info("y:0"))].into(),
        ..SignatureDef::default()
    };
    [(DEFAULT_SIGNATURE.to_owned(), def)].into()
}
