// SPDX-License-Identifier: Apache-2.0
//! The verb Regress: examples in, a number for each out.

use smallvec::SmallVec;
use tensorserve_runtimes::TensorHandle;
use tensorserve_tensors::{DataType, Tensor};

use crate::execution::computation::Fetched;
use crate::metrics::Api;
use crate::table::signature::Signature;
use crate::table::signature_text::list_tensors;
use crate::verbs::head::{Declared, Head, INPUTS, check_count, missing_output, takes_examples};
use crate::{Result, ServingError};

const OUTPUTS: &str = "outputs";

/// The head of a regressor.
pub struct Regressor {
    input: TensorHandle,
    output: TensorHandle,
}

impl Head for Regressor {
    type Output = Regression;

    const METHOD: &'static str = "tensorflow/serving/regress";

    const API: Api = Api::Regress;

    fn input(&self) -> TensorHandle {
        self.input
    }

    fn outputs(&self) -> SmallVec<[TensorHandle; 2]> {
        SmallVec::from_elem(self.output, 1)
    }

    fn find(declared: &Declared<'_>, check_method: bool) -> Result<Self> {
        let Declared { signature, def, .. } = declared;
        let invalid = |text: String| Err(ServingError::invalid_argument(text));
        if check_method && signature.method_name != Self::METHOD {
            return invalid(format!(
                "Expected regression signature method_name to be {}. Was: {}",
                Self::METHOD,
                signature.method_name
            ));
        }
        for (what, infos) in [("input", &def.inputs), ("output", &def.outputs)] {
            if infos.len() != 1 {
                return invalid(format!("Expected one {what} Tensor. Found: {}", list_tensors(infos)));
            }
        }
        let Some(input) = signature.input(INPUTS) else {
            let text = declared.text_without_head::<Self>();
            return invalid(format!("No regression inputs found in SignatureDef: {text}"));
        };
        let Some(output) = signature.output(OUTPUTS) else {
            let text = declared.text_without_head::<Self>();
            return invalid(format!("No regression outputs found in SignatureDef: {text}"));
        };
        Ok(Regressor { input: input.handle()?, output: output.handle()? })
    }

    fn suits(signature: &Signature) -> bool {
        takes_examples(signature) && matches!(&signature.outputs[..], [output] if output.alias == OUTPUTS)
    }

    fn read(&self, fetched: &Fetched, examples: usize) -> Result<Regression> {
        check_count(fetched)?;
        Regression::new(fetched.get(self.output).cloned().ok_or_else(missing_output)?, examples)
    }
}

/// A number for each example.
#[derive(Debug)]
pub struct Regression {
    /// `[rows]` or `[rows, 1]`, floats.
    values: Tensor,
}

impl Regression {
    /// Checks the output of a regressor for this number of examples. INVALID_ARGUMENT, with the original's texts, if it is
    /// neither `[examples]` nor `[examples, 1]`, or not of type float.
    pub fn new(values: Tensor, examples: usize) -> Result<Self> {
        let invalid = |text: String| Err(ServingError::invalid_argument(text));
        let (&[batch] | &[batch, 1]) = values.shape().dims() else {
            return invalid(format!(
                "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {}",
                values.shape()
            ));
        };
        if batch != examples as i64 {
            return invalid(format!("Input batch size did not match output batch size: {examples} vs. {batch}"));
        }
        if values.dtype() != DataType::Float {
            let given = values.dtype().proto_name();
            return invalid(format!("Expected output Tensor of DT_FLOAT.  Got: {given}"));
        }
        Ok(Regression { values })
    }

    /// The numbers, in the order of the examples.
    pub fn values(&self) -> impl ExactSizeIterator<Item = f32> {
        let bytes = self.values.bytes();
        (0..bytes.len() / size_of::<f32>()).map(|at| float_at(bytes, at))
    }
}

/// Element `at` of a float tensor's bytes; 0 behind their end.
pub(crate) fn float_at(bytes: &[u8], at: usize) -> f32 {
    let element = bytes.get(at * size_of::<f32>()..).and_then(|rest| rest.first_chunk());
    element.map_or(0.0, |bytes| f32::from_le_bytes(*bytes))
}
