// SPDX-License-Identifier: Apache-2.0
//! Full error texts for models on the single-threaded executor, which does not say in which node an error arose.
//!
//! The first failing request loads the model once more with the default executor; failing requests are run there again
//! for the text alone. Only small models get the single-threaded executor, so this takes milliseconds and megabytes.

use std::sync::OnceLock;

use tensorserve_tensors::{Code, Result, ServingError, Tensor};

use super::functions::Functions;
use super::session::SavedModelSession;
use crate::{IntraOp, LoadRequest, RunOptions, Session, TensorHandle};

/// A second session of the same model, loaded when it is first needed.
pub(super) struct Explainer {
    functions: &'static Functions,
    request: LoadRequest,
    session: OnceLock<Option<SavedModelSession>>,
}

impl Explainer {
    pub(super) fn new(functions: &'static Functions, request: LoadRequest) -> Self {
        Explainer { functions, request, session: OnceLock::new() }
    }

    /// The error of the same call on the default executor, if it is the same error with more to say.
    pub(super) fn explain(&self, error: ServingError, feeds: &[(String, Tensor)], fetches: &[String]) -> ServingError {
        match self.run_again(feeds, fetches) {
            Some(Err(longer)) if longer.code == error.code && longer.message.starts_with(&error.message) => longer,
            _ => error,
        }
    }

    fn run_again(&self, feeds: &[(String, Tensor)], fetches: &[String]) -> Option<Result<Vec<Tensor>>> {
        let load = || {
            let config = &self.request.config_proto;
            SavedModelSession::load_with(self.functions, &self.request, config, IntraOp::SharedPool).ok()
        };
        let session = self.session.get_or_init(load).as_ref()?;
        let feeds: Vec<_> = feeds
            .iter()
            .map(|(name, value)| Some((session.resolve(name).ok()?, value.clone())))
            .collect::<Option<_>>()?;
        let fetches: Vec<TensorHandle> =
            fetches.iter().map(|name| session.resolve(name).ok()).collect::<Option<_>>()?;
        Some(session.run(&feeds, &fetches, &RunOptions::default()))
    }
}

/// Whether the error arose in a node that it does not name. Where memory was lacking, another run would ask for it again.
pub(super) fn lacks_node(error: &ServingError) -> bool {
    error.code != Code::ResourceExhausted
        && !error.message.contains("[[{{node ")
        && !error.message.starts_with("Expects arg[")
}
