// SPDX-License-Identifier: Apache-2.0
//! The verb MultiInference: several heads of one model over the same examples, in one run.

use std::borrow::Cow;
use std::sync::Arc;

use tensorserve_runtimes::TensorHandle;

use crate::execution::computation::{Computation, Feeds, Fetched, Fetches};
use crate::execution::executor::{LaneLoad, Urgency};
use crate::table::signature::Signature;
use crate::table::signature_text::list_signatures;
use crate::verbs::classify::{Classification, Classifier};
use crate::verbs::examples::Examples;
use crate::verbs::head::{Declared, Head, declared};
use crate::verbs::regress::{Regression, Regressor};
use crate::{Code, Executor, ModelSpec, Resolve, Result, ServableHandle, ServingError};

/// One head that a request wants.
#[derive(Clone, Debug, Default)]
pub struct Task<'a> {
    /// Of the first task it names the version for all; of the others only name and signature count.
    pub spec: ModelSpec<'a>,
    /// Decides which kind of head is meant.
    pub method_name: Cow<'a, str>,
}

/// The result of one task.
#[derive(Debug)]
pub enum Outcome {
    Classification(Classification),
    Regression(Regression),
}

/// A checked request that is ready to run.
pub struct Prepared {
    run: Computation,
    heads: Vec<(Arc<Signature>, AnyHead)>,
    examples: usize,
}

/// The answer to a request.
pub struct Answer {
    pub handle: ServableHandle,
    /// For each task, in order, its signature and result.
    pub results: Vec<(Arc<Signature>, Outcome)>,
}

enum AnyHead {
    Classifier(Classifier),
    Regressor(Regressor),
}

/// Checks the tasks, in the order of the original, and brings the examples to every distinct input of theirs.
/// `check_method` is `--enable_signature_method_name_check`.
pub fn prepare(
    servables: &impl Resolve,
    tasks: &[Task<'_>],
    examples: Examples,
    check_method: bool,
) -> Result<Prepared> {
    let Some(first) = tasks.first() else {
        // The error for a request that names no model.
        return Err(servables
            .resolve(&ModelSpec::default())
            .err()
            .unwrap_or_else(|| ServingError::internal("no tasks")));
    };
    let handle = servables.resolve(&first.spec)?;
    let mut heads: Vec<(Arc<Signature>, AnyHead)> = Vec::new();
    for task in tasks {
        check_names(task, first, &heads)?;
        let declared = declared(&handle, task.spec.resolved_signature()).ok_or_else(|| {
            let (name, known) = (task.spec.resolved_signature(), list_signatures(&handle));
            ServingError::invalid_argument(format!("Requested signature not found in model graph: {name}{known}"))
        })?;
        heads.push((Arc::clone(declared.signature), AnyHead::find(&declared, &task.method_name, check_method)?));
    }
    let count = examples.list.len();
    let tensor = examples.into_tensor()?;
    let (mut feeds, mut fetches) = (Feeds::new(), Fetches::new());
    for (_, head) in &heads {
        if !feeds.iter().any(|(input, _)| *input == head.input()) {
            feeds.push((head.input(), tensor.clone()));
        }
        for output in head.outputs() {
            if !fetches.contains(&output) {
                fetches.push(output);
            }
        }
    }
    Ok(Prepared { run: Computation { handle, feeds, fetches, api: None }, heads, examples: count })
}

fn check_names(task: &Task<'_>, first: &Task<'_>, earlier: &[(Arc<Signature>, AnyHead)]) -> Result<()> {
    if task.spec.name.is_empty() {
        return Err(ServingError::invalid_argument("Found ModelSpec with an empty model name."));
    }
    if task.spec.name != first.spec.name {
        let text = "All ModelSpecs in a MultiInferenceRequest must access the same model name.";
        return Err(ServingError::invalid_argument(text));
    }
    let name = task.spec.resolved_signature();
    if earlier.iter().any(|(signature, _)| signature.name == name) {
        return Err(ServingError::invalid_argument(format!("Duplicate evaluation of signature: {name}")));
    }
    Ok(())
}

impl Prepared {
    /// Computes the results of all tasks. Errors of the engine keep their code and text; one head that fails its checks
    /// fails the request.
    pub async fn run(self, executor: &Executor, load: LaneLoad, urgency: Urgency) -> Result<Answer> {
        let Prepared { run, heads, examples } = self;
        let handle = run.handle.clone();
        let profile = handle.servable().multi_inference_profile();
        let fetched = run.compute(profile, executor, load, urgency).await?;
        let result = |(signature, head): (_, AnyHead)| Ok((signature, head.read(&fetched, examples)?));
        let results = heads.into_iter().map(result).collect::<Result<_>>()?;
        Ok(Answer { handle, results })
    }
}

impl AnyHead {
    fn find(declared: &Declared<'_>, method_name: &str, check_method: bool) -> Result<Self> {
        match method_name {
            Classifier::METHOD => Classifier::find(declared, check_method).map(AnyHead::Classifier),
            Regressor::METHOD => Regressor::find(declared, check_method).map(AnyHead::Regressor),
            _ => {
                let text = format!("Unsupported signature method_name: {method_name}");
                Err(ServingError::new(Code::Unimplemented, text))
            }
        }
    }

    fn input(&self) -> TensorHandle {
        match self {
            AnyHead::Classifier(head) => head.input(),
            AnyHead::Regressor(head) => head.input(),
        }
    }

    fn outputs(&self) -> impl IntoIterator<Item = TensorHandle> {
        match self {
            AnyHead::Classifier(head) => head.outputs(),
            AnyHead::Regressor(head) => head.outputs(),
        }
    }

    fn read(&self, fetched: &Fetched, examples: usize) -> Result<Outcome> {
        match self {
            AnyHead::Classifier(head) => head.read(fetched, examples).map(Outcome::Classification),
            AnyHead::Regressor(head) => head.read(fetched, examples).map(Outcome::Regression),
        }
    }
}
