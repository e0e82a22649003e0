// SPDX-License-Identifier: Apache-2.0
//! Ops that say something about the runs of their graph.

use super::metagraph::MetaGraph;

/// Ops whose time depends on the values that they are given, or on other requests, rather than on sizes.
const UNBOUNDED_OPS: [&str; 17] = [
    "BatchFunction",
    "EagerPyFunc",
    "Enter",
    "For",
    "IteratorGetNext",
    "LoopCond",
    "NextIteration",
    "PyFunc",
    "QueueDequeueManyV2",
    "QueueDequeueUpToV2",
    "QueueDequeueV2",
    "QueueEnqueueV2",
    "ReduceDataset",
    "RefEnter",
    "StatelessWhile",
    "While",
    "_While",
];

/// Whether the time of a run may depend on values, so that a short run tells nothing about the next one.
pub(super) fn is_unbounded(meta_graph: &MetaGraph) -> bool {
    meta_graph.ops().any(|op| UNBOUNDED_OPS.contains(&op))
}

#[cfg(test)]
mod tests {
    use super::super::metagraph::{Graph, Node};
    use super::*;

    #[test]
    fn loops_are_unbounded() {
        let node = |op: &str| Node { op: op.to_owned(), ..Default::default() };
        let with = |op| MetaGraph {
            graph: Some(Graph { nodes: vec![node("Mul"), node(op)], ..Default::default() }),
            ..Default::default()
        };
        assert!(!is_unbounded(&with("AddV2")));
        assert!(is_unbounded(&with("While")));
        assert!(is_unbounded(&with("StatelessWhile")));
    }
}
