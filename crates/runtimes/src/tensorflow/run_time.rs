// SPDX-License-Identifier: Apache-2.0
//! What the time of a signature's runs follows from: read from the ops that its outputs need, functions included.
//!
//! One walk over the graph serves all signatures: what is known of each node is passed on to the nodes that take its
//! outputs.

use std::collections::{BTreeMap, HashMap, HashSet};

use tensorserve_protos::tensorflow::SignatureDef;

use super::metagraph::{Graph, MetaGraph, Node, names_of, node_name};
use crate::RunTime;

/// Ops that repeat others as often as values say, or that run what this cannot see.
const LOOPS: [&str; 13] = [
    "EagerPyFunc",
    "Enter",
    "For",
    "LoopCond",
    "MapDefun",
    "NextIteration",
    "PyFunc",
    "ReduceDataset",
    "RefEnter",
    "RemoteCall",
    "StatelessWhile",
    "While",
    "_While",
];

/// Beginnings of the names of ops that wait for other runs, or other processes, without holding a thread.
const WAITING: [&str; 14] = [
    "AccumulatorTakeGradient",
    "BarrierInsertMany",
    "BarrierTakeMany",
    "BatchFunction",
    "Collective",
    "DataService",
    "IteratorGetNext",
    "MultiDeviceIteratorGetNext",
    "MutexLock",
    "QueueDequeue",
    "QueueEnqueue",
    "ReaderRead",
    "ResourceAccumulatorTakeGradient",
    "SparseAccumulatorTakeGradient",
];

/// Ops that hold their thread until another run lets them go on.
const BLOCKING: [&str; 15] = [
    "Batch",
    "MapPeek",
    "MapStage",
    "MapUnstage",
    "MapUnstageNoKey",
    "OrderedMapPeek",
    "OrderedMapStage",
    "OrderedMapUnstage",
    "OrderedMapUnstageNoKey",
    "Recv",
    "Stage",
    "StagePeek",
    "Unbatch",
    "Unstage",
    "_Recv",
];

/// Ops that make a tensor as large as values of these inputs say.
const SIZED_BY_VALUES: [(&str, &[usize]); 42] = [
    ("AvgPool3DGrad", &[0]),
    ("AvgPoolGrad", &[0]),
    ("BatchToSpaceND", &[1]),
    ("Bincount", &[1]),
    ("BroadcastTo", &[1]),
    ("Conv2DBackpropFilter", &[1]),
    ("Conv2DBackpropInput", &[0]),
    ("Conv3DBackpropInputV2", &[0]),
    ("DecodeCompressed", &[0]),
    ("DecodeImage", &[0]),
    ("DecodeJpeg", &[0]),
    ("DecodePng", &[0]),
    ("DenseBincount", &[1]),
    ("DepthwiseConv2dNativeBackpropInput", &[0]),
    ("Empty", &[0]),
    ("Fill", &[0]),
    ("LinSpace", &[2]),
    ("MatrixDiagV2", &[2, 3]),
    ("MatrixDiagV3", &[2, 3]),
    ("MirrorPad", &[1]),
    ("Multinomial", &[1]),
    ("OneHot", &[1]),
    ("Pad", &[1]),
    ("PadV2", &[1]),
    ("RaggedTensorToTensor", &[0]),
    ("RandomStandardNormal", &[0]),
    ("RandomUniform", &[0]),
    ("RandomUniformInt", &[0]),
    ("Range", &[0, 1, 2]),
    ("ResizeBicubic", &[1]),
    ("ResizeBilinear", &[1]),
    ("ResizeNearestNeighbor", &[1]),
    ("ScatterNd", &[2]),
    ("SpaceToBatchND", &[2]),
    ("SparseToDense", &[1]),
    ("StatelessRandomUniformV2", &[0]),
    ("TensorListReserve", &[1]),
    ("Tile", &[1]),
    ("TruncatedNormal", &[0]),
    ("UnsortedSegmentMax", &[2]),
    ("UnsortedSegmentMean", &[2]),
    ("UnsortedSegmentSum", &[2]),
];

/// Ops whose outputs do not have values of a request in them, whatever they are given: sizes, and what variables hold.
const VALUES_END: [&str; 10] = [
    "Const",
    "LookupTableSizeV2",
    "Rank",
    "ReadVariableOp",
    "Shape",
    "ShapeN",
    "Size",
    "TensorListElementShape",
    "TensorListLength",
    "VariableShape",
];

/// By what an op is, whatever it is given.
pub(super) fn of_op(op: &str) -> RunTime {
    if BLOCKING.contains(&op) {
        RunTime::Blocks
    } else if WAITING.iter().any(|prefix| op.starts_with(prefix)) || op == "_HostRecv" {
        RunTime::Waits
    } else if LOOPS.contains(&op) {
        RunTime::InputValues
    } else {
        RunTime::InputSizes
    }
}

/// What the time of runs follows from: of each signature, and of any part of the graph.
#[derive(Debug, Default)]
pub(super) struct RunTimes {
    signatures: BTreeMap<String, RunTime>,
    any: RunTime,
}

impl RunTimes {
    pub(super) fn of(meta_graph: &MetaGraph) -> Self {
        let Some(graph) = &meta_graph.graph else { return RunTimes::default() };
        let functions = of_functions(graph);
        let scope = Scope::new(&graph.nodes);
        let reached = scope.run_times(&functions);
        let any = reached.iter().copied().max().unwrap_or(RunTime::InputSizes);
        let of_signature = |def: &SignatureDef| {
            let tensors = def.outputs.values().flat_map(names_of);
            let outputs = tensors.filter_map(|tensor| scope.numbers.get(node_name(tensor)));
            outputs.map(|&number| reached[number]).max().unwrap_or(RunTime::InputSizes)
        };
        let signatures = meta_graph.signature_def.iter().map(|(key, def)| (key.clone(), of_signature(def)));
        RunTimes { signatures: signatures.collect(), any }
    }

    pub(super) fn get(&self, signature: Option<&str>) -> RunTime {
        signature.and_then(|key| self.signatures.get(key).copied()).unwrap_or(self.any)
    }
}

/// A function runs as a whole, with the functions that it calls.
fn of_functions(graph: &Graph) -> HashMap<&str, RunTime> {
    let functions = graph.library.iter().flat_map(|library| &library.functions);
    let named =
        functions.filter_map(|function| Some((function.signature.as_ref()?.name.as_str(), &function.nodes[..])));
    let bodies: HashMap<&str, &[Node]> = named.collect();
    let none = HashMap::new();
    let own = |nodes| Scope::new(nodes).own_run_times(&none).into_iter().max().unwrap_or(RunTime::InputSizes);
    let mut found: HashMap<&str, RunTime> = bodies.iter().map(|(name, nodes)| (*name, own(nodes))).collect();
    // Functions may call each other in circles; each round carries what is known one call further.
    let mut grew = true;
    while grew {
        grew = false;
        for (name, nodes) in &bodies {
            let called: HashSet<&str> = nodes.iter().flat_map(Node::functions).collect();
            let most = called.iter().filter_map(|callee| found.get(callee)).copied().max();
            if let (Some(most), Some(known)) = (most, found.get_mut(name))
                && most > *known
            {
                *known = most;
                grew = true;
            }
        }
    }
    found
}

/// The nodes of a graph or of a function.
struct Scope<'a> {
    nodes: &'a [Node],
    numbers: HashMap<&'a str, usize>,
}

impl<'a> Scope<'a> {
    fn new(nodes: &'a [Node]) -> Self {
        Scope { nodes, numbers: nodes.iter().enumerate().map(|(at, node)| (node.name.as_str(), at)).collect() }
    }

    /// Of each node with all that it needs.
    fn run_times(&self, functions: &HashMap<&str, RunTime>) -> Vec<RunTime> {
        let mut found = self.own_run_times(functions);
        let ahead = (0..found.len()).filter(|&at| found[at] > RunTime::InputSizes).collect();
        self.pass_on(ahead, true, |from, to| {
            let more = found[from] > found[to];
            found[to] = found[to].max(found[from]);
            more
        });
        found
    }

    /// Of each node alone, with the functions that it may call.
    fn own_run_times(&self, functions: &HashMap<&str, RunTime>) -> Vec<RunTime> {
        let with_values = self.with_values();
        let own = |node: &Node| {
            let called = node.functions().filter_map(|name| functions.get(name)).copied().max();
            of_op(&node.op).max(called.unwrap_or(RunTime::InputSizes)).max(self.of_sizes(node, &with_values))
        };
        self.nodes.iter().map(own).collect()
    }

    fn of_sizes(&self, node: &Node, with_values: &[bool]) -> RunTime {
        let found = SIZED_BY_VALUES.binary_search_by(|(op, _)| (*op).cmp(&node.op));
        let Ok(at) = found else { return RunTime::InputSizes };
        let has_values = |input: &usize| {
            node.inputs.get(*input).is_some_and(|input| match self.numbers.get(node_name(input)) {
                Some(&number) => with_values[number],
                // An argument of the function.
                None => true,
            })
        };
        if SIZED_BY_VALUES[at].1.iter().any(has_values) { RunTime::AllocatesByValue } else { RunTime::InputSizes }
    }

    /// Whether the outputs of each node have values of a request in them.
    fn with_values(&self) -> Vec<bool> {
        let ends = |node: &Node| VALUES_END.contains(&node.op.as_str());
        let is_argument = |input: &String| !input.starts_with('^') && !self.numbers.contains_key(node_name(input));
        let begins = |node: &Node| node.op.starts_with("Placeholder") || node.inputs.iter().any(is_argument);
        let mut found: Vec<bool> = self.nodes.iter().map(|node| begins(node) && !ends(node)).collect();
        let ahead = (0..found.len()).filter(|&at| found[at]).collect();
        self.pass_on(ahead, false, |_, to| {
            let more = !found[to] && !ends(&self.nodes[to]);
            found[to] |= more;
            more
        });
        found
    }

    /// Calls `pass(from, to)` for the nodes that take outputs of those `ahead`, and for those that take theirs, where it
    /// says that there is more to pass on. `orders`: also for nodes that only have to run later.
    fn pass_on(&self, mut ahead: Vec<usize>, orders: bool, mut pass: impl FnMut(usize, usize) -> bool) {
        if ahead.is_empty() {
            return;
        }
        let mut takers: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for (number, node) in self.nodes.iter().enumerate() {
            let inputs = node.inputs.iter().filter(|input| orders || !input.starts_with('^'));
            for &from in inputs.filter_map(|input| self.numbers.get(node_name(input))) {
                takers[from].push(number);
            }
        }
        while let Some(from) = ahead.pop() {
            for &to in &takers[from] {
                if pass(from, to) {
                    ahead.push(to);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use tensorserve_protos::tensorflow::attr_value::Value;
    use tensorserve_protos::tensorflow::tensor_info::Encoding;
    use tensorserve_protos::tensorflow::{
        AttrValue, FunctionDef, FunctionDefLibrary, GraphDef, MetaGraphDef, NameAttrList, NodeDef, OpDef, TensorInfo,
    };

    use super::*;

    fn node(name: &str, op: &str, inputs: &[&str]) -> NodeDef {
        let input = inputs.iter().map(|&input| input.to_owned()).collect();
        NodeDef { name: name.to_owned(), op: op.to_owned(), input, ..Default::default() }
    }

    fn call(name: &str, function: &str, inputs: &[&str]) -> NodeDef {
        let value = Value::Func(NameAttrList { name: function.to_owned(), ..Default::default() });
        let attr = [("f".to_owned(), AttrValue { value: Some(value) })].into();
        NodeDef { attr, ..node(name, "StatefulPartitionedCall", inputs) }
    }

    fn function(name: &str, nodes: Vec<NodeDef>) -> FunctionDef {
        let signature = Some(OpDef { name: name.to_owned(), ..Default::default() });
        FunctionDef { signature, node_def: nodes, ..Default::default() }
    }

    fn found(nodes: Vec<NodeDef>, functions: Vec<FunctionDef>, output: &str) -> (RunTime, RunTime) {
        let info = TensorInfo { encoding: Some(Encoding::Name(output.to_owned())), ..Default::default() };
        let def = SignatureDef { outputs: [("y".to_owned(), info)].into(), ..Default::default() };
        let library = Some(FunctionDefLibrary { function: functions, ..Default::default() });
        let graph_def = Some(GraphDef { node: nodes, library, ..Default::default() });
        let signature_def = [("s".to_owned(), def)].into();
        let meta_graph = MetaGraphDef { graph_def, signature_def, ..Default::default() }.encode_to_vec();
        let times = RunTimes::of(&MetaGraph::read(&meta_graph).unwrap());
        (times.get(Some("s")), times.get(None))
    }

    #[test]
    fn tables_are_in_order() {
        assert!(SIZED_BY_VALUES.is_sorted());
    }

    #[test]
    fn a_signature_waits_if_an_output_needs_it_even_by_order_alone() {
        let nodes = || {
            vec![
                node("x", "Placeholder", &[]),
                node("take", "QueueDequeueV2", &["q"]),
                node("put", "Stage", &["x"]),
                node("y", "Mul", &["x"]),
                node("z", "Identity", &["x", "^take"]),
                node("w", "Identity", &["z:0", "^put"]),
            ]
        };
        assert_eq!(found(nodes(), vec![], "y:0"), (RunTime::InputSizes, RunTime::Blocks));
        assert_eq!(found(nodes(), vec![], "z:0").0, RunTime::Waits);
        assert_eq!(found(nodes(), vec![], "w:0").0, RunTime::Blocks);
    }

    #[test]
    fn functions_are_looked_into_even_in_circles() {
        let functions = || {
            vec![
                function("even", vec![call("c", "odd", &[])]),
                function("odd", vec![call("c", "even", &[]), call("d", "inner", &[])]),
                function("inner", vec![node("b", "BarrierTakeMany", &["handle"])]),
                function("plain", vec![node("m", "MatMul", &["a", "b"])]),
            ]
        };
        assert_eq!(found(vec![call("y", "even", &[])], functions(), "y:0").0, RunTime::Waits);
        assert_eq!(found(vec![call("y", "plain", &[])], functions(), "y:0").0, RunTime::InputSizes);
    }

    #[test]
    fn sizes_that_are_values_of_a_request_are_told_from_those_that_follow_from_its_sizes() {
        let graph = |dims: &str| {
            vec![
                node("x", "Placeholder", &[]),
                node("shape", "Shape", &["x"]),
                node("values", "Cast", &["x"]),
                node("constant", "Const", &[]),
                node("y", "Fill", &[dims, "constant"]),
            ]
        };
        assert_eq!(found(graph("shape:0"), vec![], "y:0").0, RunTime::InputSizes);
        assert_eq!(found(graph("constant"), vec![], "y:0").0, RunTime::InputSizes);
        assert_eq!(found(graph("values:0"), vec![], "y:0").0, RunTime::AllocatesByValue);
        let body = vec![node("r", "Range", &["zero", "n", "one"]), node("zero", "Const", &[])];
        assert_eq!(found(vec![call("y", "f", &[])], vec![function("f", body)], "y:0").0, RunTime::AllocatesByValue);
    }

    #[test]
    fn loops_go_by_values_wherever_they_stand() {
        let body = vec![node("w", "StatelessWhile", &["n"])];
        assert_eq!(found(vec![call("y", "f", &[])], vec![function("f", body)], "y:0").0, RunTime::InputValues);
        let ring = vec![node("m", "Merge", &["x", "n"]), node("n", "NextIteration", &["m"]), node("x", "Enter", &[])];
        assert_eq!(found(ring, vec![], "m:0").0, RunTime::InputValues);
    }
}
