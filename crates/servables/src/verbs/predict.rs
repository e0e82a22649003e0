// SPDX-License-Identifier: Apache-2.0
//! The verb Predict: named tensors in, named tensors out.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;
use tensorserve_tensors::proto::{MAX_FILLED_BYTES, TensorView};
use tensorserve_tensors::{Code, Result, ServingError, Tensor};

use crate::execution::computation::{Computation, explained, input_bytes};
use crate::execution::executor::{LaneLoad, Urgency, guarded};
use crate::metrics::Api;
use crate::table::input_text::{Fed, explain_inputs};
use crate::table::signature::{Endpoint, Signature};
use crate::{Executor, ServableHandle};

/// An input of a request: already a tensor, or still in wire form so that it is copied only once it is known to be
/// wanted.
pub enum InputValue<'a> {
    Tensor(Tensor),
    Wire(TensorView<'a>),
    /// A tensor that could not be read; reported when its turn comes.
    Malformed,
}

/// A request's inputs by alias; a later one of the same alias has replaced an earlier one.
pub type Inputs<'a> = SmallVec<[(std::borrow::Cow<'a, str>, InputValue<'a>); 2]>;

/// A checked request that is ready to run.
pub struct Prepared {
    run: Computation,
    signature: Arc<Signature>,
    /// Positions in `signature.outputs`, in their order.
    fetched: SmallVec<[u16; 4]>,
}

/// The answer to a request.
pub struct Answer {
    pub handle: ServableHandle,
    pub signature: Arc<Signature>,
    fetched: SmallVec<[u16; 4]>,
    tensors: Vec<Tensor>,
}

impl Answer {
    /// Alias and value of each output, sorted by alias.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        let outputs = &self.signature.outputs;
        self.fetched.iter().zip(&self.tensors).map(|(&at, tensor)| (outputs[usize::from(at)].alias.as_str(), tensor))
    }
}

/// Checks a request against the signature and brings its inputs into memory of their own. The order of the checks and
/// their texts are the original's; an empty `output_filter` means all outputs.
pub fn prepare(
    handle: ServableHandle,
    signature: Arc<Signature>,
    inputs: Inputs<'_>,
    output_filter: &[std::borrow::Cow<'_, str>],
) -> Result<Prepared> {
    let values = check_input_count(&signature, &inputs)
        .and_then(|()| values(&signature, &inputs))
        .map_err(|error| explain_inputs(error, &signature, &inputs))?;
    let fetched = select_outputs(&signature, output_filter)?;
    let fed = |(input, value): (&Endpoint, Tensor)| Ok((input.handle()?, value));
    let feeds = signature.inputs.iter().zip(values).map(fed).collect::<Result<_>>()?;
    let fetches = fetched.iter().map(|&at| signature.outputs[usize::from(at)].handle()).collect::<Result<_>>()?;
    Ok(Prepared { run: Computation { handle, feeds, fetches, api: Some(Api::Predict) }, signature, fetched })
}

impl Prepared {
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    pub fn handle(&self) -> &ServableHandle {
        &self.run.handle
    }

    /// How many outputs the answer will have.
    pub fn output_count(&self) -> usize {
        self.fetched.len()
    }

    /// Computes the outputs in this thread, beside whatever else runs: for callers that have threads of their own, and
    /// neither deadlines nor batches.
    pub fn run_here(self) -> Result<Answer> {
        let Prepared { run: Computation { handle, feeds, fetches, .. }, signature, fetched } = self;
        let (bytes, fed) = (input_bytes(&feeds), Fed::of(&feeds));
        let options = signature.profile.options(bytes, None, handle.servable().inter_op_threading());
        let start = Instant::now();
        let tensors = guarded(|| handle.servable().session().run(&feeds, &fetches, &options));
        signature.profile.cost().record(bytes, start.elapsed());
        let failed = |error| explained(&handle, &feeds, &fetches, (error, start.elapsed()));
        let tensors = tensors.map_err(|error| fed.explain(failed(error), &signature))?;
        Ok(Answer { handle, fetched, tensors, signature })
    }

    /// Computes the outputs on the threads of `executor`, in a batch if the model is batched, whenever its turn comes.
    pub async fn run_in_turn(self, executor: &Executor) -> Result<Answer> {
        self.run(executor, LaneLoad::Others, Urgency::default()).await
    }

    /// Computes the outputs. Errors of the engine keep their code and text.
    pub async fn run(self, executor: &Executor, load: LaneLoad, urgency: Urgency) -> Result<Answer> {
        let Prepared { run, signature, fetched } = self;
        let fed = Fed::of(&run.feeds);
        let done = run.compute(&signature.profile, executor, load, urgency).await;
        let done = done.map_err(|error| fed.explain(error, &signature))?;
        if done.tensors.len() != fetched.len() {
            return Err(ServingError::new(Code::Unknown, "Predict internal error"));
        }
        Ok(Answer { handle: done.handle, signature, fetched, tensors: done.tensors })
    }
}

fn check_input_count(signature: &Signature, inputs: &Inputs<'_>) -> Result<()> {
    let (given, wanted) = (inputs.len(), signature.inputs.len());
    if given == wanted || given < wanted && !signature.defaults.is_empty() {
        return Ok(());
    }
    let given: BTreeSet<&str> = inputs.iter().map(|(alias, _)| &**alias).collect();
    let wanted: BTreeSet<&str> = signature.inputs.iter().map(|input| input.alias.as_str()).collect();
    let mut message = format!(
        "input size does not match signature: {}!={} len({{{}}}) != len({{{}}}). ",
        given.len(),
        wanted.len(),
        join(&given),
        join(&wanted)
    );
    let extra = given.difference(&wanted).copied().collect();
    let missing = wanted.difference(&given).copied().collect();
    let _ = write!(message, "Sent extra: {{{}}}. Missing but required: {{{}}}.", join(&extra), join(&missing));
    Err(ServingError::invalid_argument(message))
}

/// A value for each input of the signature.
fn values(signature: &Signature, inputs: &Inputs<'_>) -> Result<SmallVec<[Tensor; 2]>> {
    let mut values = SmallVec::with_capacity(signature.inputs.len());
    let (mut used, mut left) = (0, MAX_FILLED_BYTES);
    for input in &signature.inputs {
        let tensor = match inputs.iter().find(|(alias, _)| *alias == input.alias) {
            Some((_, value)) => {
                used += 1;
                to_tensor(&input.alias, value, &mut left)?
            }
            None => default_for(signature, input, inputs)?,
        };
        values.push(tensor);
    }
    if used < inputs.len() {
        let given: BTreeSet<&str> = inputs.iter().map(|(alias, _)| &**alias).collect();
        let known = given.iter().copied().filter(|alias| signature.input(alias).is_some()).collect();
        return Err(ServingError::invalid_argument(format!(
            "Inputs contains invalid name. Used request inputs: {}, request input: {}",
            join(&known),
            join(&given)
        )));
    }
    Ok(values)
}

/// The tensor of an input. What is filled up is taken from the bytes that are `left` for the whole request.
pub(crate) fn to_tensor(alias: &str, value: &InputValue<'_>, left: &mut usize) -> Result<Tensor> {
    let reason = match value {
        InputValue::Tensor(tensor) => return Ok(tensor.clone()),
        InputValue::Wire(view) => match view.to_tensor_within(left) {
            Ok(tensor) => return Ok(tensor),
            Err(malformed) => malformed.0,
        },
        InputValue::Malformed => "it is not a readable TensorProto",
    };
    Err(ServingError::invalid_argument(format!("tensor parsing error: {alias} ({reason})")))
}

fn default_for(signature: &Signature, input: &Endpoint, inputs: &Inputs<'_>) -> Result<Tensor> {
    if let Some(tensor) = signature.default_for(&input.alias) {
        return Ok(tensor.clone());
    }
    let given: BTreeSet<&str> = inputs.iter().map(|(alias, _)| &**alias).collect();
    let defaults: BTreeSet<&str> = signature.defaults.iter().map(|(alias, _)| alias.as_str()).collect();
    Err(ServingError::invalid_argument(format!(
        "Signature input alias: {}(feed name: {}) not found in request and no default value provided. Inputs expected to \
         be in the request {{{}}}, or default input alias set: {}",
        input.alias,
        input.tensor_name,
        join(&given),
        join(&defaults)
    )))
}

fn select_outputs(signature: &Signature, filter: &[std::borrow::Cow<'_, str>]) -> Result<SmallVec<[u16; 4]>> {
    if filter.is_empty() {
        return Ok((0..signature.outputs.len() as u16).collect());
    }
    let mut wanted = BTreeSet::new();
    for alias in filter {
        let Some(at) = signature.outputs.iter().position(|output| output.alias == *alias) else {
            let known = signature.outputs.iter().map(|output| output.alias.as_str()).collect();
            return Err(ServingError::invalid_argument(format!(
                "output tensor alias not found in signature: {alias} Outputs expected to be in the set {{{}}}.",
                join(&known)
            )));
        };
        if !wanted.insert(at as u16) {
            return Err(ServingError::invalid_argument(format!("duplicate output tensor alias: {alias}")));
        }
    }
    Ok(wanted.into_iter().collect())
}

/// The names with commas, and `...` where they get long: a request may have many, and names of any length.
fn join(names: &BTreeSet<&str>) -> String {
    const MAX_BYTES: usize = 4096;
    let mut out = String::new();
    for (number, name) in names.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        if out.len() + name.len() > MAX_BYTES {
            out.push_str("...");
            break;
        }
        out.push_str(name);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_names_end_somewhere() {
        assert_eq!(join(&["b", "a"].into()), "a,b");
        assert_eq!(join(&BTreeSet::new()), "");
        let names: Vec<String> = (0..10_000).map(|number| format!("{number:05}")).collect();
        let joined = join(&names.iter().map(String::as_str).collect());
        assert!(joined.starts_with("00000,00001,00002,") && joined.ends_with(",..."), "{joined}");
        assert!(joined.len() <= 4100);
        assert_eq!(join(&[&*"x".repeat(5000)].into()), "...");
    }
}
