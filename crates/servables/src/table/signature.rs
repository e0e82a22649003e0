// SPDX-License-Identifier: Apache-2.0
//! A signature, with its tensors resolved in the loaded graph.

use prost::Message;
use tensorserve_protos::tensorflow::{SignatureDef, TensorInfo};
use tensorserve_runtimes::{Session, TensorHandle};
use tensorserve_tensors::proto::{Reader, TensorView};
use tensorserve_tensors::{DataType, Tensor};

use crate::execution::executor::RunCost;
use crate::table::signature_text::list_tensors;
use crate::{Result, ServingError};

/// Names that `SignatureDef.method_name` may have for Predict when the check is on.
const PREDICT_METHODS: [&str; 3] =
    ["tensorflow/serving/predict", "tensorflow/serving/classify", "tensorflow/serving/regress"];

/// One input or output of a signature.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The name that clients use.
    pub alias: String,
    /// The tensor's name in the graph, such as `x:0`.
    pub tensor_name: String,
    /// The declared type; what is checked is the graph's own.
    pub dtype: Option<DataType>,
    pub handle: TensorHandle,
}

/// Inputs, outputs and default inputs, each sorted by alias.
pub struct Signature {
    pub name: String,
    pub method_name: String,
    pub inputs: Vec<Endpoint>,
    pub outputs: Vec<Endpoint>,
    /// The inputs in error texts: `a (float [-1,2]), b (string [])`.
    pub takes: String,
    /// Values for inputs that a gRPC request may leave out, sorted by alias.
    pub defaults: Vec<(String, Tensor)>,
    /// Whether requests may be merged along dimension 0.
    pub may_batch: bool,
    /// What runs of this signature cost so far.
    pub cost: RunCost,
}

impl Signature {
    pub(crate) fn resolve(name: &str, def: &SignatureDef, session: &dyn Session) -> Result<Self> {
        Ok(Signature {
            name: name.to_owned(),
            method_name: def.method_name.clone(),
            inputs: endpoints(def.inputs.iter(), session)?,
            outputs: endpoints(def.outputs.iter(), session)?,
            takes: list_tensors(&def.inputs),
            defaults: def.defaults.iter().map(default_value).collect::<Result<_>>()?,
            may_batch: session.may_batch(def),
            cost: RunCost::new(session.run_time(Some(name))),
        })
    }

    pub fn input(&self, alias: &str) -> Option<&Endpoint> {
        find(&self.inputs, alias)
    }

    pub fn output(&self, alias: &str) -> Option<&Endpoint> {
        find(&self.outputs, alias)
    }

    pub fn default_for(&self, alias: &str) -> Option<&Tensor> {
        let at = self.defaults.binary_search_by(|(a, _)| a.as_str().cmp(alias)).ok()?;
        Some(&self.defaults[at].1)
    }

    /// Whether the signature says that it is for one of the verbs.
    pub(crate) fn has_known_method(&self) -> bool {
        PREDICT_METHODS.contains(&self.method_name.as_str())
    }

    /// The error of a request that does not suit the signature, with the inputs that it has behind the text.
    pub fn explain(&self, error: ServingError) -> ServingError {
        ServingError::new(error.code, format!("{} (signature {} takes: {})", error.message, self.name, self.takes))
    }

    /// The check of `--enable_signature_method_name_check`.
    pub fn check_predict_method(&self) -> Result<()> {
        if self.has_known_method() {
            return Ok(());
        }
        Err(ServingError::internal(format!(
            "Expected prediction signature method_name to be one of {{{}}}. Was: {}",
            PREDICT_METHODS.join(", "),
            self.method_name
        )))
    }
}

fn find<'a>(endpoints: &'a [Endpoint], alias: &str) -> Option<&'a Endpoint> {
    match endpoints {
        [only] => (only.alias == alias).then_some(only),
        _ => endpoints.binary_search_by(|e| e.alias.as_str().cmp(alias)).ok().map(|at| &endpoints[at]),
    }
}

fn endpoints<'a>(
    infos: impl Iterator<Item = (&'a String, &'a TensorInfo)>,
    session: &dyn Session,
) -> Result<Vec<Endpoint>> {
    use tensorserve_protos::tensorflow::tensor_info::Encoding;
    infos
        .map(|(alias, info)| {
            let Some(Encoding::Name(tensor_name)) = &info.encoding else {
                return Err(ServingError::failed_precondition(format!("{alias} is not a dense tensor")));
            };
            Ok(Endpoint {
                alias: alias.clone(),
                tensor_name: tensor_name.clone(),
                dtype: DataType::from_i32(info.dtype),
                handle: session.resolve(tensor_name)?,
            })
        })
        .collect()
}

fn default_value((alias, value): (&String, &tensorserve_protos::tensorflow::TensorProto)) -> Result<(String, Tensor)> {
    let bytes = [value.encode_to_vec().into()];
    let tensor = TensorView::parse(Reader::new(&bytes)).and_then(|view| view.to_tensor());
    match tensor {
        Ok(tensor) => Ok((alias.clone(), tensor)),
        Err(error) => Err(ServingError::invalid_argument(format!("default value of input {alias}: {error}"))),
    }
}
