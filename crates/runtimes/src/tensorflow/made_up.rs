// SPDX-License-Identifier: Apache-2.0
//! What can be known of a signature before it runs with made-up inputs.

use std::collections::BTreeMap;

use prost::{DecodeError, Message};
use tensorserve_protos::tensorflow::SignatureDef;

use super::effects::have_effects;
use super::example_parser::made_up_example;
use super::reach::{Index, MetaGraph};

/// The signatures of a graph whose runs only compute, and for each a serialized example that it can parse (empty if it
/// parses none), or `None` if that is not known.
pub(super) type Harmless = BTreeMap<String, Option<Vec<u8>>>;

/// Reads a serialized `tensorflow.MetaGraphDef`.
pub(super) fn harmless(
    meta_graph_def: &[u8],
    signature_defs: &BTreeMap<String, SignatureDef>,
) -> Result<Harmless, DecodeError> {
    let graph = MetaGraph::decode(meta_graph_def)?.graph.unwrap_or_default();
    let index = Index::new(&graph);
    let known = |(key, def): (&String, &SignatureDef)| {
        let scopes = index.needed(def);
        (!have_effects(&scopes)).then(|| (key.clone(), made_up_example(&scopes)))
    };
    Ok(signature_defs.iter().filter_map(known).collect())
}
