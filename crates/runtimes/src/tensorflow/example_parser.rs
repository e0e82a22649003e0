// SPDX-License-Identifier: Apache-2.0
//! An example that the parsing ops of a graph accept: with every feature that they require.

use tensorserve_protos::tensorflow::TensorShapeProto;
use tensorserve_tensors::{DataType, ExampleWriter, FeatureKind};

use super::metagraph::{Attribute, Node, node_name};
use super::reach::Scope;

/// Features of more values than this are not made up.
const MAX_VALUES: i64 = 1 << 20;

/// A serialized `tensorflow.Example` of zeros and empty strings; empty if nothing here parses examples. `None` if
/// something does whose features are not known.
pub(super) fn made_up_example(scopes: &[Scope<'_>]) -> Option<Vec<u8>> {
    let mut writer = ExampleWriter::default();
    let mut parsers = 0;
    for scope in scopes {
        for node in scope.values().filter(|node| node.op.starts_with("Parse") && node.op.contains("Example")) {
            parsers += 1;
            put_features(node, scope, &mut writer)?;
        }
    }
    if parsers == 0 {
        return Some(Vec::new());
    }
    writer.end_example();
    writer.finish().pop().map(|example| example.to_vec())
}

/// Only dense features can be required.
fn put_features(node: &Node, scope: &Scope<'_>, writer: &mut ExampleWriter) -> Option<()> {
    let list = |name| node.attributes.get(name).and_then(|attribute: &Attribute| attribute.list.as_ref());
    let types = list("Tdense").map_or(&[][..], |list| &list.types);
    let shapes = list("dense_shapes").map_or(&[][..], |list| &list.shapes);
    let keys = dense_keys(node, scope)?;
    if keys.len() != types.len() || keys.len() != shapes.len() {
        return None;
    }
    for ((key, dtype), shape) in keys.iter().zip(types).zip(shapes) {
        put_feature(key, DataType::from_i32(*dtype)?, values(shape)?, writer)?;
    }
    Some(())
}

fn put_feature(key: &[u8], dtype: DataType, values: i64, writer: &mut ExampleWriter) -> Option<()> {
    let kind = match dtype {
        DataType::Float => FeatureKind::Float,
        DataType::Int64 => FeatureKind::Int64,
        DataType::String => FeatureKind::Bytes,
        _ => return None,
    };
    for _ in 0..values {
        writer.expect(kind).ok()?;
        match kind {
            FeatureKind::Float => writer.push_float(0.0),
            FeatureKind::Int64 => writer.push_int64(0),
            FeatureKind::Bytes => writer.push_bytes(b""),
        }
    }
    writer.end_feature(key);
    Some(())
}

/// How many values a feature of this shape has; an open dimension may be 0.
fn values(shape: &TensorShapeProto) -> Option<i64> {
    let product = shape.dim.iter().try_fold(1i64, |product, dim| product.checked_mul(dim.size.max(0)));
    product.filter(|&values| values <= MAX_VALUES && !shape.unknown_rank)
}

/// The names of the dense features, in the order of their types.
fn dense_keys(node: &Node, scope: &Scope<'_>) -> Option<Vec<Vec<u8>>> {
    let constant = |input: &String| {
        let source = scope.get(node_name(input)).filter(|source| source.op == "Const")?;
        Some(source.attributes.get("value")?.tensor.as_ref()?.strings.clone())
    };
    let count = |name| node.integer(name) as usize;
    match node.op.as_str() {
        // Inputs are serialized, names, sparse_keys, dense_keys, ...
        "ParseExampleV2" => constant(node.inputs.get(3)?),
        // The same, but each key is an input.
        "ParseExample" => {
            let first = 2 + count("Nsparse");
            let keys = node.inputs.get(first..first + count("Ndense"))?.iter().map(constant);
            Some(keys.collect::<Option<Vec<_>>>()?.concat())
        }
        "ParseSingleExample" => Some(node.attributes.get("dense_keys")?.list.as_ref()?.strings.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use tensorserve_protos::tensorflow::attr_value::{ListValue, Value};
    use tensorserve_protos::tensorflow::feature::Kind;
    use tensorserve_protos::tensorflow::tensor_info::Encoding;
    use tensorserve_protos::tensorflow::tensor_shape_proto::Dim;
    use tensorserve_protos::tensorflow::{
        AttrValue, Example, GraphDef, MetaGraphDef, NodeDef, SignatureDef, TensorInfo, TensorProto,
    };

    use super::super::metagraph::MetaGraph;
    use super::super::reach::Index;
    use super::*;

    fn attribute(name: &str, value: Value) -> (String, AttrValue) {
        (name.to_owned(), AttrValue { value: Some(value) })
    }

    fn constant(name: &str, strings: &[&'static str]) -> NodeDef {
        let string_val = strings.iter().map(|text| bytes::Bytes::from_static(text.as_bytes())).collect();
        let tensor = TensorProto { string_val, ..Default::default() };
        let attr = [attribute("value", Value::Tensor(tensor))].into();
        NodeDef { name: name.to_owned(), op: "Const".to_owned(), attr, ..Default::default() }
    }

    fn parser(op: &str, inputs: &[&str]) -> NodeDef {
        let shape = |sizes: &[i64]| TensorShapeProto {
            dim: sizes.iter().map(|&size| Dim { size, ..Default::default() }).collect(),
            ..Default::default()
        };
        let types = [DataType::Float, DataType::Int64, DataType::String].map(|dtype| dtype as i32).to_vec();
        let attr = [
            attribute("Tdense", Value::List(ListValue { r#type: types, ..Default::default() })),
            attribute(
                "dense_shapes",
                Value::List(ListValue { shape: vec![shape(&[2, 2]), shape(&[]), shape(&[-1])], ..Default::default() }),
            ),
            attribute("Ndense", Value::I(3)),
        ];
        let input = inputs.iter().map(|&input| input.to_owned()).collect();
        NodeDef { name: "y".to_owned(), op: op.to_owned(), input, attr: attr.into(), ..Default::default() }
    }

    fn example(nodes: Vec<NodeDef>) -> Option<Vec<u8>> {
        let graph_def = Some(GraphDef { node: nodes, ..Default::default() });
        let bytes = MetaGraphDef { graph_def, ..Default::default() }.encode_to_vec();
        let info = TensorInfo { encoding: Some(Encoding::Name("y:0".to_owned())), ..Default::default() };
        let def = SignatureDef { outputs: [("y".to_owned(), info)].into(), ..Default::default() };
        let graph = MetaGraph::read(&bytes).unwrap().graph.unwrap();
        made_up_example(&Index::new(&graph).needed(&def))
    }

    fn check(example: &[u8]) {
        let features = Example::decode(example).unwrap().features.unwrap().feature;
        assert_eq!(features.len(), 3);
        let Some(Kind::FloatList(floats)) = &features["a"].kind else { panic!("a is no list of floats") };
        assert_eq!(floats.value, [0.0; 4]);
        let Some(Kind::Int64List(integers)) = &features["b"].kind else { panic!("b is no list of integers") };
        assert_eq!(integers.value, [0]);
        assert_eq!(features["c"].kind, None);
    }

    #[test]
    fn required_features_are_made_up() {
        let v2 = parser("ParseExampleV2", &["x", "n", "s", "keys:0"]);
        check(&example(vec![v2, constant("keys", &["a", "b", "c"])]).unwrap());
        let v1 = parser("ParseExample", &["x", "n", "a", "b", "c"]);
        check(&example(vec![v1, constant("a", &["a"]), constant("b", &["b"]), constant("c", &["c"])]).unwrap());
    }

    #[test]
    fn what_parses_no_examples_needs_none() {
        let node = NodeDef { name: "y".to_owned(), op: "Identity".to_owned(), ..Default::default() };
        assert_eq!(example(vec![node]), Some(Vec::new()));
    }

    #[test]
    fn unknown_parsers_and_computed_keys_are_not_guessed() {
        assert_eq!(example(vec![parser("ParseSequenceExample", &["x"])]), None);
        let computed = NodeDef { name: "keys".to_owned(), op: "Identity".to_owned(), ..Default::default() };
        assert_eq!(example(vec![parser("ParseExampleV2", &["x", "n", "s", "keys"]), computed]), None);
    }
}
