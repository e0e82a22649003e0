// SPDX-License-Identifier: Apache-2.0
//! The verb SessionRun: feeds and fetches any tensors of the graph, by their names or by the aliases of a signature.

use std::borrow::Cow;

use smallvec::SmallVec;
use tensorserve_runtimes::TensorHandle;
use tensorserve_tensors::proto::MAX_FILLED_BYTES;
use tensorserve_tensors::{Code, Result, ServingError, Tensor};

use crate::execution::computation::Computation;
use crate::execution::executor::{LaneLoad, RunTime, Urgency};
use crate::execution::run_profile::RunProfile;
use crate::table::signature::Signature;
use crate::verbs::predict::{InputValue, Inputs, to_tensor};
use crate::{Executor, ModelSpec, Resolve, ServableHandle};

/// What is asked for.
#[derive(Default)]
pub struct Request<'a> {
    pub feeds: Inputs<'a>,
    pub fetches: SmallVec<[Cow<'a, str>; 4]>,
    pub targets: SmallVec<[Cow<'a, str>; 1]>,
    /// Names are aliases of the signature that the model spec names.
    pub by_alias: bool,
}

/// A checked request that is ready to run.
pub struct Prepared(Computation);

/// The answer: the fetched tensors, in the order of the request.
pub struct Answer {
    pub handle: ServableHandle,
    pub tensors: Vec<Tensor>,
}

/// Finds the tensors and brings the feeds into memory of their own. PERMISSION_DENIED for target nodes, as the original's
/// sessions answer; NOT_FOUND or INVALID_ARGUMENT for names that the graph or the signature does not have.
pub fn prepare(servables: &impl Resolve, spec: &ModelSpec<'_>, request: &Request<'_>) -> Result<Prepared> {
    let handle = servables.resolve(spec)?;
    if !request.targets.is_empty() {
        let message = format!("Target nodes cannot be run: {}; fetch tensors instead.", request.targets.join(","));
        return Err(ServingError::new(Code::PermissionDenied, message));
    }
    if request.fetches.is_empty() {
        return Err(ServingError::invalid_argument("SessionRunRequest must fetch at least one tensor"));
    }
    let signature = match request.by_alias {
        true => Some(handle.predict_signature(spec.resolved_signature())?),
        false => None,
    };
    let names = Names { handle: &handle, signature: signature.as_deref() };
    let mut left = MAX_FILLED_BYTES;
    let feed = |(name, value): &(Cow<'_, str>, InputValue<'_>)| {
        let (tensor, value) = (names.fed(name)?, to_tensor(name, value, &mut left)?);
        handle.servable().session().check_feed(tensor, &value)?;
        Ok((tensor, value))
    };
    let feeds = request.feeds.iter().map(feed).collect::<Result<_>>()?;
    let fetches = request.fetches.iter().map(|name| names.fetched(name)).collect::<Result<_>>()?;
    Ok(Prepared(Computation { handle, feeds, fetches, api: None }))
}

impl Prepared {
    /// Computes the fetches. What a run costs is not learned, since each may be of another part of the graph; so none
    /// happens on the thread that read the request.
    pub async fn run(self, executor: &Executor, load: LaneLoad, urgency: Urgency) -> Result<Answer> {
        let run_time = self.0.handle.servable().session().run_time(None);
        let profile = RunProfile::new(run_time.max(RunTime::InputValues));
        let done = self.0.compute(&profile, executor, load, urgency).await?;
        Ok(Answer { handle: done.handle, tensors: done.tensors })
    }
}

/// What the names of a request mean.
struct Names<'a> {
    handle: &'a ServableHandle,
    signature: Option<&'a Signature>,
}

impl Names<'_> {
    fn fed(&self, name: &str) -> Result<TensorHandle> {
        match self.signature {
            None => self.in_graph(name),
            Some(signature) => match signature.input(name) {
                Some(endpoint) => endpoint.handle(),
                None => Err(not_an_alias("input", name, signature, signature.inputs.iter().map(|e| e.alias.as_str()))),
            },
        }
    }

    fn fetched(&self, name: &str) -> Result<TensorHandle> {
        match self.signature {
            None => self.in_graph(name),
            Some(signature) => match signature.output(name) {
                Some(endpoint) => endpoint.handle(),
                None => {
                    Err(not_an_alias("output", name, signature, signature.outputs.iter().map(|e| e.alias.as_str())))
                }
            },
        }
    }

    fn in_graph(&self, name: &str) -> Result<TensorHandle> {
        self.handle.servable().session().resolve(name)
    }
}

fn not_an_alias<'a>(
    kind: &str,
    name: &str,
    signature: &Signature,
    known: impl Iterator<Item = &'a str>,
) -> ServingError {
    let known = known.collect::<Vec<_>>().join(",");
    ServingError::invalid_argument(format!(
        "{kind} tensor alias not found in signature: {name} Signature \"{}\" has the {kind}s {{{known}}}.",
        signature.name
    ))
}
