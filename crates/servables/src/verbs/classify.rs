// SPDX-License-Identifier: Apache-2.0
//! The verb Classify: examples in, labels and scores out.

use smallvec::SmallVec;
use tensorserve_runtimes::TensorHandle;
use tensorserve_tensors::{DataType, Tensor, TensorData};

use crate::execution::computation::Fetched;
use crate::metrics::Api;
use crate::table::signature::{Endpoint, Signature};
use crate::table::signature_text::list_tensors;
use crate::verbs::head::{Declared, Head, INPUTS, check_count, missing_output, takes_examples};
use crate::{Result, ServingError};

const CLASSES: &str = "classes";
const SCORES: &str = "scores";

/// The head of a classifier; it has classes or scores or both.
pub struct Classifier {
    input: TensorHandle,
    classes: Option<TensorHandle>,
    scores: Option<TensorHandle>,
}

impl Head for Classifier {
    type Output = Classification;

    const METHOD: &'static str = "tensorflow/serving/classify";

    const API: Api = Api::Classify;

    fn input(&self) -> TensorHandle {
        self.input
    }

    fn outputs(&self) -> SmallVec<[TensorHandle; 2]> {
        self.classes.into_iter().chain(self.scores).collect()
    }

    fn find(declared: &Declared<'_>, check_method: bool) -> Result<Self> {
        let Declared { signature, def, .. } = declared;
        if check_method && signature.method_name != Self::METHOD {
            return Err(ServingError::invalid_argument(format!(
                "Expected classification signature method_name to be {}. Was: {}",
                Self::METHOD,
                signature.method_name
            )));
        }
        if signature.inputs.len() != 1 {
            let inputs = list_tensors(&def.inputs);
            return Err(ServingError::invalid_argument(format!("Expected one input Tensor. Found: {inputs}")));
        }
        if !(1..=2).contains(&signature.outputs.len()) {
            return Err(ServingError::invalid_argument(format!(
                "Expected one or two output Tensors, found {}: {}",
                signature.outputs.len(),
                list_tensors(&def.outputs)
            )));
        }
        let input = signature.input(INPUTS).ok_or_else(|| {
            let text = declared.text_without_head::<Self>();
            ServingError::invalid_argument(format!("No classification inputs found in SignatureDef: {text}"))
        })?;
        let output = |alias| signature.output(alias).map(Endpoint::handle);
        let (classes, scores) = (output(CLASSES), output(SCORES));
        if classes.is_none() && scores.is_none() {
            return Err(ServingError::invalid_argument(format!(
                "Expected classification signature outputs to contain at least one of \"{CLASSES}\" or \"{SCORES}\". \
                 Signature was: {}",
                declared.text_without_head::<Self>()
            )));
        }
        Ok(Classifier { input: input.handle()?, classes: classes.transpose()?, scores: scores.transpose()? })
    }

    fn suits(signature: &Signature) -> bool {
        let is_output = |output: &Endpoint| output.alias == CLASSES || output.alias == SCORES;
        takes_examples(signature)
            && (1..=2).contains(&signature.outputs.len())
            && signature.outputs.iter().any(is_output)
    }

    fn read(&self, fetched: &Fetched, examples: usize) -> Result<Classification> {
        check_count(fetched)?;
        let value = |tensor: Option<TensorHandle>| {
            tensor.map(|tensor| fetched.get(tensor).cloned().ok_or_else(missing_output)).transpose()
        };
        Classification::new(value(self.classes)?, value(self.scores)?, examples)
    }
}

/// For each example a list of classes.
#[derive(Debug)]
pub struct Classification {
    /// `[rows, columns]`, strings.
    classes: Option<Tensor>,
    /// `[rows, columns]`, floats.
    scores: Option<Tensor>,
    rows: usize,
    columns: usize,
}

impl Classification {
    /// Checks the outputs of a classifier for this number of examples. INVALID_ARGUMENT, with the original's texts, if
    /// one is not `[examples, classes]` or has the wrong type, or if they differ in the number of classes.
    pub fn new(classes: Option<Tensor>, scores: Option<Tensor>, examples: usize) -> Result<Self> {
        let width = |tensor: &Option<Tensor>, name, dtype| match tensor {
            Some(tensor) => check(tensor, name, dtype, examples).map(Some),
            None => Ok(None),
        };
        let labels = width(&classes, CLASSES, DataType::String)?;
        let numbers = width(&scores, SCORES, DataType::Float)?;
        if let (Some(labels), Some(numbers)) = (labels, numbers)
            && labels != numbers
        {
            return Err(ServingError::invalid_argument(format!(
                "Tensors class and score should match in dim_size(1). Got {labels} vs. {numbers}"
            )));
        }
        let columns = labels.or(numbers).unwrap_or(0);
        Ok(Classification { classes, scores, rows: examples, columns })
    }

    /// The number of examples.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Label and score of each class of one example, in the model's order: an empty label if the model gives none, a
    /// score of 0 if it gives none.
    pub fn row(&self, row: usize) -> impl ExactSizeIterator<Item = (&[u8], f32)> {
        let labels = match self.classes.as_ref().map(Tensor::data) {
            Some(TensorData::Strings(labels)) => Some(labels),
            _ => None,
        };
        let scores: &[u8] = self.scores.as_ref().map_or(&[], |tensor| tensor.bytes());
        let start = row * self.columns;
        (start..start + self.columns).map(move |at| {
            let label = labels.map_or(&b""[..], |labels| labels.get(at));
            (label, crate::verbs::regress::float_at(scores, at))
        })
    }
}

/// Checks one output; gives its number of classes.
fn check(tensor: &Tensor, name: &str, dtype: DataType, examples: usize) -> Result<usize> {
    let invalid = |text: String| Err(ServingError::invalid_argument(text));
    let &[batch, columns] = tensor.shape().dims() else {
        return invalid(format!("Expected Tensor shape: [batch_size num_classes] but got {}", tensor.shape()));
    };
    if tensor.dtype() != dtype {
        let (wanted, given) = (dtype.proto_name(), tensor.dtype().proto_name());
        return invalid(format!("Expected {name} Tensor of {wanted}. Got: {given}"));
    }
    if batch != examples as i64 {
        return invalid(format!("Expected {name} output batch size of {examples}. Got: {batch}"));
    }
    Ok(columns as usize)
}
