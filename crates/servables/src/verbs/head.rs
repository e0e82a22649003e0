// SPDX-License-Identifier: Apache-2.0
//! What classify and regress have in common: a signature's *head* takes examples and gives a result for each.

use std::sync::Arc;

use smallvec::SmallVec;
use tensorserve_protos::tensorflow::SignatureDef;
use tensorserve_runtimes::TensorHandle;
use tensorserve_tensors::DataType;

use crate::execution::computation::{Computation, Fetched};
use crate::execution::executor::{LaneLoad, Urgency};
use crate::metrics::Api;
use crate::table::servable::Servable;
use crate::table::signature::Signature;
use crate::table::signature_text::{debug_text, list_signatures};
use crate::verbs::examples::Examples;
use crate::{Executor, Result, ServableHandle, ServingError};

/// How many names a text lists of the signatures that suit a verb.
const MOST_SIGNATURES: usize = 20;

/// The key of the one input that a head has.
pub(crate) const INPUTS: &str = "inputs";

/// A signature, resolved and as the model declares it.
pub struct Declared<'a> {
    pub(crate) signature: &'a Arc<Signature>,
    pub(crate) def: &'a SignatureDef,
    servable: &'a Servable,
}

impl Declared<'_> {
    /// The definition for an error, and behind it the signatures that have the head which this one lacks.
    pub(crate) fn text_without_head<H: Head>(&self) -> String {
        let verb = H::METHOD.rsplit('/').next().unwrap_or(H::METHOD);
        format!("{}{}", debug_text(self.def), list_signatures_for(self.servable, verb, H::suits))
    }
}

/// The tensors of one kind of head: a classifier's or a regressor's.
pub trait Head: Sized {
    /// What the head gives for all examples of a request.
    type Output;

    /// The `method_name` of signatures with this head.
    const METHOD: &'static str;

    /// What the time of its runs is counted as.
    const API: Api;

    /// The tensor that takes the examples.
    fn input(&self) -> TensorHandle;

    /// The tensors that the result is made of.
    fn outputs(&self) -> SmallVec<[TensorHandle; 2]>;

    /// Checks the structure of a signature and finds its head. `check_method` is `--enable_signature_method_name_check`.
    fn find(declared: &Declared<'_>, check_method: bool) -> Result<Self>;

    /// Whether a signature has this head, whatever its method is: TensorFlow 2 saves all as ones for Predict.
    fn suits(signature: &Signature) -> bool;

    /// Checks what was fetched and makes the result for this number of examples.
    fn read(&self, fetched: &Fetched, examples: usize) -> Result<Self::Output>;
}

/// A checked request that is ready to run.
pub struct Prepared<H> {
    run: Computation,
    signature: Arc<Signature>,
    head: H,
    examples: usize,
}

/// The answer to a request.
pub struct Answer<R> {
    pub handle: ServableHandle,
    pub signature: Arc<Signature>,
    pub result: R,
}

/// Finds the head of the signature with this name and brings the examples to it.
pub fn prepare<H: Head>(
    handle: ServableHandle,
    signature_name: &str,
    examples: Examples,
    check_method: bool,
) -> Result<Prepared<H>> {
    let declared = declared(&handle, signature_name).ok_or_else(|| {
        let known = list_signatures(&handle);
        ServingError::invalid_argument(format!("No signature was found with the name: {signature_name}{known}"))
    })?;
    let signature = Arc::clone(declared.signature);
    let head = H::find(&declared, check_method)?;
    let count = examples.list.len();
    let feeds = SmallVec::from_elem((head.input(), examples.into_tensor()?), 1);
    let fetches = head.outputs().into_iter().collect();
    Ok(Prepared { run: Computation { handle, feeds, fetches, api: Some(H::API) }, signature, head, examples: count })
}

impl<H: Head> Prepared<H> {
    /// Computes the result. Errors of the engine keep their code and text.
    pub async fn run(self, executor: &Executor, load: LaneLoad, urgency: Urgency) -> Result<Answer<H::Output>> {
        let Prepared { run, signature, head, examples } = self;
        let fetched = run.compute(&signature.profile, executor, load, urgency).await?;
        let result = head.read(&fetched, examples)?;
        Ok(Answer { handle: fetched.handle, signature, result })
    }
}

/// Whether a signature takes examples and nothing else.
pub(crate) fn takes_examples(signature: &Signature) -> bool {
    matches!(&signature.inputs[..], [input] if input.alias == INPUTS && input.dtype == Some(DataType::String))
}

/// The signature of this name, if requests can use it.
pub(crate) fn declared<'a>(handle: &'a ServableHandle, name: &str) -> Option<Declared<'a>> {
    let servable = handle.servable();
    Some(Declared { signature: servable.signature(name)?, def: servable.signature_defs().get(name)?, servable })
}

/// `(signatures that classify: a, b)`, those that suit a verb, cut off when there are many.
fn list_signatures_for(servable: &Servable, verb: &str, suits: fn(&Signature) -> bool) -> String {
    let suited = servable.signatures().filter(|signature| suits(signature) && signature.is_usable());
    let suited: Vec<&str> = suited.map(|signature| signature.name.as_str()).take(MOST_SIGNATURES).collect();
    format!("(signatures that {verb}: {})", if suited.is_empty() { "none".to_owned() } else { suited.join(", ") })
}

/// Checks that the engine gave as many tensors as were asked for.
pub(crate) fn check_count(fetched: &Fetched) -> Result<()> {
    let (wanted, given) = (fetched.fetches.len(), fetched.tensors.len());
    if wanted == given {
        return Ok(());
    }
    Err(ServingError::invalid_argument(format!("Expected {wanted} output tensor(s).  Got: {given}")))
}

/// A tensor that was asked for; the engine has given all.
pub(crate) fn missing_output() -> ServingError {
    ServingError::internal("the run gave no value for an output of the signature")
}
