// SPDX-License-Identifier: Apache-2.0
//! Which signatures of a graph do more than compute: they change variables, take from queues or write files.
//!
//! Every SavedModel has such ops somewhere, to restore its variables; what counts is what a signature's outputs need.

use super::reach::Scope;

/// Beginnings of the names of ops that do more than compute, or that wait for what others do.
const PREFIXES: [&str; 36] = [
    "Accumulator",
    "Apply",
    "Assign",
    "Barrier",
    "Collective",
    "CountUpTo",
    "DestroyTemporaryVariable",
    "EagerPyFunc",
    "IteratorGetNext",
    "LookupTableImport",
    "LookupTableInsert",
    "LookupTableRemove",
    "MapStage",
    "MapUnstage",
    "MergeV2Checkpoints",
    "MutexLock",
    "Print",
    "PyFunc",
    "QueueDequeue",
    "QueueEnqueue",
    "RemoteCall",
    "ResourceApply",
    "ResourceCountUpTo",
    "ResourceScatter",
    "ResourceSparseApply",
    "ResourceStridedSliceAssign",
    "RngReadAndSkip",
    "Save",
    "SparseApply",
    "Stage",
    "StatefulRandom",
    "StatefulStandardNormal",
    "StatefulTruncatedNormal",
    "StatefulUniform",
    "Unstage",
    "Write",
];

/// Whether an op does more than compute. All ops called `Scatter...` change a variable, but for one.
fn has_effect(op: &str) -> bool {
    PREFIXES.iter().any(|prefix| op.starts_with(prefix))
        || op.starts_with("Scatter") && op != "ScatterNd"
        || ["_HostRecv", "_HostSend", "_Recv", "_Send"].contains(&op)
}

/// Whether any of these nodes does more than compute.
pub(super) fn have_effects(scopes: &[Scope<'_>]) -> bool {
    scopes.iter().flat_map(Scope::values).any(|node| has_effect(&node.op))
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use tensorserve_protos::tensorflow::attr_value::Value;
    use tensorserve_protos::tensorflow::tensor_info::Encoding;
    use tensorserve_protos::tensorflow::{
        AttrValue, FunctionDef, FunctionDefLibrary, GraphDef, MetaGraphDef, NameAttrList, NodeDef, OpDef, SignatureDef,
        TensorInfo,
    };

    use super::super::reach::{Index, MetaGraph};
    use super::*;

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
        let graph = MetaGraph::decode(&*meta_graph).unwrap().graph.unwrap();
        let index = Index::new(&graph);
        let found = outputs.iter().filter(|output| have_effects(&index.needed(&with_output(output))));
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
    fn ops_that_only_compute_have_no_effect() {
        for op in ["ScatterNd", "StatefulPartitionedCall", "ParseExampleV2", "LookupTableFindV2", "ReadVariableOp"] {
            assert!(!has_effect(op), "{op}");
        }
        for op in ["ScatterNdUpdate", "ScatterAdd", "WriteFile", "AssignSubVariableOp", "QueueDequeueManyV2", "SaveV2"]
        {
            assert!(has_effect(op), "{op}");
        }
    }
}
