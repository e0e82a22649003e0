// SPDX-License-Identifier: Apache-2.0
//! Signatures in error texts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tensorserve_protos::tensorflow::tensor_info::Encoding;
use tensorserve_protos::tensorflow::{SignatureDef, TensorInfo, TensorShapeProto};
use tensorserve_tensors::DataType;

use crate::ServableHandle;
use crate::table::input_text::list;

/// The definition as protobuf prints it for debugging; default inputs, which are whole tensors, are left out.
pub(crate) fn debug_text(def: &SignatureDef) -> String {
    let mut out = String::new();
    for (key, infos) in [("inputs", &def.inputs), ("outputs", &def.outputs)] {
        for (alias, info) in infos {
            // Writing to a string cannot fail.
            let _ = write!(out, "{key} {{\n  key: {alias:?}\n  value {{\n");
            put_info(&mut out, info);
            out.push_str("  }\n}\n");
        }
    }
    if !def.method_name.is_empty() {
        let _ = writeln!(out, "method_name: {:?}", def.method_name);
    }
    out
}

fn put_info(out: &mut String, info: &TensorInfo) {
    if let Some(Encoding::Name(name)) = &info.encoding {
        let _ = writeln!(out, "    name: {name:?}");
    }
    if info.dtype != 0 {
        let _ = writeln!(out, "    dtype: {}", dtype_text(info.dtype, DataType::proto_name));
    }
    let Some(shape) = &info.tensor_shape else { return };
    out.push_str("    tensor_shape {\n");
    for dim in &shape.dim {
        out.push_str("      dim {\n");
        if dim.size != 0 {
            let _ = writeln!(out, "        size: {}", dim.size);
        }
        if !dim.name.is_empty() {
            let _ = writeln!(out, "        name: {:?}", dim.name);
        }
        out.push_str("      }\n");
    }
    if shape.unknown_rank {
        out.push_str("      unknown_rank: true\n");
    }
    out.push_str("    }\n");
}

/// `a (float [-1,2]), b (string [])`, cut off when it gets long.
pub(crate) fn list_tensors(infos: &BTreeMap<String, TensorInfo>) -> String {
    list(infos.iter().map(|(alias, info)| {
        let shape = info.tensor_shape.as_ref().map_or_else(|| "of any shape".to_owned(), shape_text);
        (alias.as_str(), format!("{} {shape}", dtype_text(info.dtype, DataType::name)))
    }))
}

/// ` (the model has: a, b)`, with the signatures that requests can use.
pub fn list_signatures(handle: &ServableHandle) -> String {
    let servable = handle.servable();
    let usable = servable.signatures().filter(|signature| signature.is_usable());
    let usable: Vec<&str> = usable.map(|signature| signature.name.as_str()).collect();
    format!(" (the model has: {})", if usable.is_empty() { "none".to_owned() } else { usable.join(", ") })
}

fn dtype_text(number: i32, text: fn(DataType) -> &'static str) -> String {
    DataType::from_i32(number).map_or_else(|| number.to_string(), |dtype| text(dtype).to_owned())
}

fn shape_text(shape: &TensorShapeProto) -> String {
    if shape.unknown_rank {
        return "of any shape".to_owned();
    }
    let dims: Vec<String> = shape.dim.iter().map(|dim| dim.size.to_string()).collect();
    format!("[{}]", dims.join(","))
}

#[cfg(test)]
mod tests {
    use tensorserve_protos::tensorflow::tensor_shape_proto::Dim;

    use super::*;

    #[test]
    fn texts_are_protobufs() {
        let shape = TensorShapeProto { dim: vec![Dim { size: -1, name: String::new() }], unknown_rank: false };
        let encoding = Some(Encoding::Name("x:0".to_owned()));
        let info = TensorInfo { encoding, dtype: 7, tensor_shape: Some(shape) };
        let unknown = TensorShapeProto { dim: Vec::new(), unknown_rank: true };
        let any = TensorInfo { dtype: 1, tensor_shape: Some(unknown), encoding: None };
        let def = SignatureDef {
            inputs: BTreeMap::from([("in".to_owned(), info)]),
            outputs: BTreeMap::from([("out".to_owned(), any)]),
            method_name: "m".to_owned(),
            ..SignatureDef::default()
        };
        let expected = "inputs {\n  key: \"in\"\n  value {\n    name: \"x:0\"\n    dtype: DT_STRING\n    tensor_shape \
                        {\n      dim {\n        size: -1\n      }\n    }\n  }\n}\noutputs {\n  key: \"out\"\n  value \
                        {\n    dtype: DT_FLOAT\n    tensor_shape {\n      unknown_rank: true\n    }\n  }\n}\n\
                        method_name: \"m\"\n";
        assert_eq!(debug_text(&def), expected);
        assert_eq!(list_tensors(&def.inputs), "in (string [-1])");
        assert_eq!(list_tensors(&def.outputs), "out (float of any shape)");
        assert_eq!(list_tensors(&BTreeMap::new()), "none");
    }
}
