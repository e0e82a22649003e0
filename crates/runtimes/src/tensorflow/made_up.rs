// SPDX-License-Identifier: Apache-2.0
//! What can be known of a signature before it runs with made-up inputs.

use std::collections::BTreeMap;

use super::effects;
use super::example_parser::made_up_example;
use super::metagraph::MetaGraph;
use super::op_registry::OpRegistry;
use super::reach::Index;

/// The signatures of a graph whose runs only compute, and for each a serialized example that it can parse (empty if it
/// parses none), or `None` if that is not known.
pub(super) type Harmless = BTreeMap<String, Option<Vec<u8>>>;

/// Finds them.
pub(super) fn harmless(meta_graph: &MetaGraph, registry: &OpRegistry) -> Harmless {
    let Some(graph) = &meta_graph.graph else { return Harmless::new() };
    let index = Index::new(graph);
    let known = |(key, def)| {
        let scopes = index.needed(def);
        let computes = !effects::are_in(&scopes, &index, registry);
        computes.then(|| (String::clone(key), made_up_example(&scopes)))
    };
    meta_graph.signature_def.iter().filter_map(known).collect()
}
