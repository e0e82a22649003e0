// SPDX-License-Identifier: Apache-2.0
//! Which signatures of a graph do more than compute: they change variables, take from queues or write files.
//!
//! TensorFlow says of each op whether it is stateful. That is more than is meant here: reading a variable is stateful,
//! too. So there is a list of ops that change nothing which another run could see; any other stateful op, and any that
//! this process does not know, counts. Every SavedModel has such ops somewhere, to restore its variables; what counts
//! is what a signature's outputs need.

use super::metagraph::Node;
use super::op_registry::OpRegistry;
use super::reach::{Index, Scope};

/// Ops that are stateful, or take a reference, and leave everything as it was.
const HARMLESS: [&str; 61] = [
    // Calls of functions, which are looked into.
    "Case",
    "If",
    "StatefulPartitionedCall",
    "While",
    // Variables: what makes their handles, and what reads them.
    "IsVariableInitialized",
    "ReadVariableOp",
    "ResourceGather",
    "ResourceGatherNd",
    "VarHandleOp",
    "VarIsInitializedOp",
    "Variable",
    "VariableShape",
    "VariableV2",
    // The same of look-up tables and tree ensembles.
    "AnonymousHashTable",
    "AnonymousMutableDenseHashTable",
    "AnonymousMutableHashTable",
    "AnonymousMutableHashTableOfTensors",
    "BoostedTreesEnsembleResourceHandleOp",
    "BoostedTreesPredict",
    "HashTable",
    "HashTableV2",
    "LookupTableExport",
    "LookupTableExportV2",
    "LookupTableFind",
    "LookupTableFindV2",
    "LookupTableSize",
    "LookupTableSizeV2",
    "MutableDenseHashTable",
    "MutableDenseHashTableV2",
    "MutableHashTable",
    "MutableHashTableOfTensors",
    "MutableHashTableOfTensorsV2",
    "MutableHashTableV2",
    // What lives within one run.
    "Empty",
    "StackCloseV2",
    "StackPopV2",
    "StackPushV2",
    "StackV2",
    "TensorArrayCloseV3",
    "TensorArrayConcatV3",
    "TensorArrayGatherV3",
    "TensorArrayGradV3",
    "TensorArrayReadV3",
    "TensorArrayScatterV3",
    "TensorArraySizeV3",
    "TensorArraySplitV3",
    "TensorArrayV3",
    "TensorArrayWriteV3",
    // References that go through.
    "RefEnter",
    "RefExit",
    "RefIdentity",
    "RefMerge",
    "RefNextIteration",
    "RefSelect",
    "RefSwitch",
    // Checks, and what is known of the place of the run.
    "Assert",
    "CheckNumerics",
    "CheckNumericsV2",
    "DeviceIndex",
    "GuaranteeConst",
    "StatelessRandomGetAlg",
];

/// Ops that go on in their sequence of numbers with each run. Without a seed nobody can tell.
const RANDOM: [&str; 10] = [
    "Multinomial",
    "ParameterizedTruncatedNormal",
    "RandomGamma",
    "RandomPoisson",
    "RandomPoissonV2",
    "RandomShuffle",
    "RandomStandardNormal",
    "RandomUniform",
    "RandomUniformInt",
    "TruncatedNormal",
];

/// Ops that end the process, wait for other runs or call Python, without being called stateful.
const UNDECLARED: [&str; 6] = ["Abort", "Batch", "BatchFunction", "PyFuncStateless", "Unbatch", "UnbatchGrad"];

/// Whether any of these nodes does more than compute.
pub(super) fn are_in(scopes: &[Scope<'_>], index: &Index<'_>, registry: &OpRegistry) -> bool {
    let mut nodes = scopes.iter().flat_map(Scope::values);
    nodes.any(|node| !index.is_function(&node.op) && has_effect(node, registry))
}

fn has_effect(node: &Node, registry: &OpRegistry) -> bool {
    let op = node.op.as_str();
    if UNDECLARED.contains(&op) {
        return true;
    }
    if HARMLESS.contains(&op) || registry.may_change_state(op) == Some(false) {
        return false;
    }
    let is_unseeded = node.integer("seed") == 0 && node.integer("seed2") == 0;
    !(RANDOM.contains(&op) && is_unseeded)
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use tensorserve_protos::tensorflow::attr_value::Value;
    use tensorserve_protos::tensorflow::op_def::ArgDef;
    use tensorserve_protos::tensorflow::tensor_info::Encoding;
    use tensorserve_protos::tensorflow::{
        AttrValue, FunctionDef, FunctionDefLibrary, GraphDef, MetaGraphDef, NameAttrList, NodeDef, OpDef, SignatureDef,
        TensorInfo,
    };

    use super::super::metagraph::MetaGraph;
    use super::*;

    /// As TensorFlow's, of few ops; those that are not there are unknown.
    fn registry() -> OpRegistry {
        let op = |name: &str, is_stateful| OpDef { name: name.to_owned(), is_stateful, ..Default::default() };
        let reference = ArgDef { is_ref: true, ..Default::default() };
        let by_reference = |name| OpDef { input_arg: vec![reference.clone()], ..op(name, false) };
        let compute =
            ["Abort", "BatchFunction", "Identity", "MatMul", "Mul", "Placeholder"].map(|name| op(name, false));
        let stateful = ["AssignAddVariableOp", "LookupTableFindV2", "PrintV2", "RandomUniform", "RngSkip", "WriteFile"];
        let stateful = stateful.map(|name| op(name, true));
        let references = ["LookupTableFind", "ScatterNdUpdate"].map(by_reference);
        // Field 1 of `tensorflow.OpList` is its ops.
        let mut bytes = Vec::new();
        for op in compute.iter().chain(&stateful).chain(&references) {
            prost::encoding::message::encode(1, op, &mut bytes);
        }
        OpRegistry::of(&bytes)
    }

    fn node(name: &str, op: &str, inputs: &[&str]) -> NodeDef {
        let input = inputs.iter().map(|&input| input.to_owned()).collect();
        NodeDef { name: name.to_owned(), op: op.to_owned(), input, ..Default::default() }
    }

    fn call(name: &str, function: &str) -> NodeDef {
        let value = Value::Func(NameAttrList { name: function.to_owned(), ..Default::default() });
        let attr = [("f".to_owned(), AttrValue { value: Some(value) })].into();
        NodeDef { attr, ..node(name, "StatefulPartitionedCall", &[]) }
    }

    fn function(name: &str, nodes: Vec<NodeDef>) -> FunctionDef {
        let signature = Some(OpDef { name: name.to_owned(), ..Default::default() });
        FunctionDef { signature, node_def: nodes, ..Default::default() }
    }

    fn with_output(tensor: &str) -> SignatureDef {
        let info = TensorInfo { encoding: Some(Encoding::Name(tensor.to_owned())), ..Default::default() };
        SignatureDef { outputs: [("y".to_owned(), info)].into(), ..Default::default() }
    }

    fn found(nodes: Vec<NodeDef>, functions: Vec<FunctionDef>, outputs: &[&str]) -> Vec<String> {
        let library = Some(FunctionDefLibrary { function: functions, ..Default::default() });
        let graph_def = Some(GraphDef { node: nodes, library, ..Default::default() });
        let meta_graph = MetaGraphDef { graph_def, ..Default::default() }.encode_to_vec();
        let graph = MetaGraph::read(&meta_graph).unwrap().graph.unwrap();
        let index = Index::new(&graph);
        let found = outputs.iter().filter(|output| are_in(&index.needed(&with_output(output)), &index, &registry()));
        found.map(|output| (*output).to_owned()).collect()
    }

    #[test]
    fn only_what_an_output_needs_counts() {
        let nodes = vec![
            node("x", "Placeholder", &[]),
            node("y", "Mul", &["x"]),
            node("restore", "AssignVariableOp", &["x"]),
            node("step", "AssignAddVariableOp", &["x:0"]),
            node("z", "Identity", &["y:0", "^step"]),
        ];
        assert_eq!(found(nodes, vec![], &["y:0", "z:0"]), ["z:0"]);
    }

    #[test]
    fn functions_are_looked_into() {
        let functions = vec![
            function("restores", vec![node("a", "AssignVariableOp", &[])]),
            function("outer", vec![call("inner", "trains")]),
            function("trains", vec![node("a", "ResourceApplyGradientDescent", &[])]),
            function("serves", vec![node("a", "MatMul", &[])]),
        ];
        let nodes = vec![call("serve", "serves"), call("train", "outer"), node("legacy", "trains", &[])];
        assert_eq!(found(nodes, functions, &["serve:0", "train:1", "legacy:0"]), ["train:1", "legacy:0"]);
    }

    #[test]
    fn functions_that_call_each_other_come_to_an_end() {
        let functions = vec![
            function("even", vec![call("c", "odd")]),
            function("odd", vec![call("c", "even"), node("p", "PrintV2", &[])]),
        ];
        assert_eq!(found(vec![call("y", "even")], functions, &["y:0"]), ["y:0"]);
    }

    #[test]
    fn ops_that_leave_everything_as_it_was_have_no_effect() {
        let of = |op: &str| Node { op: op.to_owned(), ..Default::default() };
        for op in ["MatMul", "StatefulPartitionedCall", "LookupTableFind", "ReadVariableOp", "RandomUniform"] {
            assert!(!has_effect(&of(op), &registry()), "{op}");
        }
        for op in ["RngSkip", "ScatterNdUpdate", "WriteFile", "Abort", "BatchFunction", "SomeCustomOp"] {
            assert!(has_effect(&of(op), &registry()), "{op}");
        }
    }

    #[test]
    fn a_seeded_sequence_is_state() {
        let seeded = |seed| {
            let attr = [("seed2".to_owned(), AttrValue { value: Some(Value::I(seed)) })].into();
            let random = NodeDef { attr, ..node("y", "RandomUniform", &[]) };
            found(vec![random], vec![], &["y:0"])
        };
        assert!(seeded(0).is_empty());
        assert_eq!(seeded(7), ["y:0"]);
    }
}
