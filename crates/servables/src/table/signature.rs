// SPDX-License-Identifier: Apache-2.0
//! A signature, with its tensors resolved in the loaded graph.

use std::collections::BTreeMap;

use prost::Message;
use tensorserve_protos::tensorflow::tensor_info::Encoding;
use tensorserve_protos::tensorflow::{SignatureDef, TensorInfo, TensorProto};
use tensorserve_runtimes::{Session, TensorHandle};
use tensorserve_tensors::proto::{Reader, TensorView};
use tensorserve_tensors::{Code, DataType, Tensor};

use crate::execution::run_profile::RunProfile;
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
    tensor: Result<TensorHandle>,
}

impl Endpoint {
    /// What a run feeds or fetches for it. The error, with the original's code and text, if it is no dense tensor of the
    /// graph: then other inputs and outputs of the signature can be had without it.
    pub fn handle(&self) -> Result<TensorHandle> {
        self.tensor.clone()
    }
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
    /// Of runs of this signature, by the bytes of their inputs.
    pub profile: RunProfile,
}

impl Signature {
    pub(crate) fn resolve(name: &str, def: &SignatureDef, session: &dyn Session) -> Self {
        Signature {
            name: name.to_owned(),
            method_name: def.method_name.clone(),
            inputs: endpoints(&def.inputs, session),
            outputs: endpoints(&def.outputs, session),
            takes: list_tensors(&def.inputs),
            defaults: def.defaults.iter().filter_map(default_value).collect(),
            may_batch: session.may_batch(def),
            profile: RunProfile::new(session.run_time(Some(name))),
        }
    }

    /// Whether some request can get an answer: every input can be fed, and some output fetched.
    pub fn is_usable(&self) -> bool {
        self.inputs.iter().all(|input| input.tensor.is_ok()) && self.outputs.iter().any(|output| output.tensor.is_ok())
    }

    /// The tensors of the outputs that can be fetched.
    pub(crate) fn fetchable(&self) -> impl Iterator<Item = (&Endpoint, TensorHandle)> {
        self.outputs.iter().filter_map(|output| Some((output, output.handle().ok()?)))
    }

    /// A line for the log for each input and output that requests cannot have, and for each default that cannot be read.
    pub(crate) fn warnings(&self, def: &SignatureDef) -> Vec<String> {
        let name = &self.name;
        let endpoints =
            self.inputs.iter().map(|end| ("Input", end)).chain(self.outputs.iter().map(|end| ("Output", end)));
        let unresolved = endpoints.filter_map(|(kind, end)| {
            let error = end.tensor.as_ref().err()?;
            Some(format!("{kind} {} of signature {name} cannot be used: {}", end.alias, error.message))
        });
        let unread = def.defaults.keys().filter(|alias| self.default_for(alias).is_none());
        unresolved
            .chain(unread.map(|alias| format!("The default of input {alias} of signature {name} cannot be read")))
            .collect()
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

fn endpoints(infos: &BTreeMap<String, TensorInfo>, session: &dyn Session) -> Vec<Endpoint> {
    let endpoint = |(alias, info): (&String, &TensorInfo)| Endpoint {
        alias: alias.clone(),
        tensor_name: tensor_name(info).to_owned(),
        dtype: DataType::from_i32(info.dtype),
        tensor: resolve(info, session),
    };
    infos.iter().map(endpoint).collect()
}

/// The empty name, which no tensor has, for what consists of several.
fn tensor_name(info: &TensorInfo) -> &str {
    if let Some(Encoding::Name(name)) = &info.encoding { name } else { "" }
}

/// The original asks the graph for whatever name there is, when a request comes. INVALID_ARGUMENT with its text.
fn resolve(info: &TensorInfo, session: &dyn Session) -> Result<TensorHandle> {
    let name = tensor_name(info);
    let reason = match &info.encoding {
        Some(Encoding::Name(_)) => match session.resolve(name) {
            Err(error) if error.code == Code::NotFound => "the graph has no such tensor",
            known => return known,
        },
        Some(Encoding::CooSparse(_)) => "it is a sparse tensor, and requests carry dense ones",
        Some(Encoding::CompositeTensor(_)) => "it is a ragged or other composite tensor, and requests carry dense ones",
        None => "the signature names no tensor",
    };
    let id = if name.contains(':') { name.to_owned() } else { format!("{name}:0") };
    Err(ServingError::invalid_argument(format!(
        "Tensor {id}, specified in either feed_devices or fetch_devices was not found in the Graph ({reason})"
    )))
}

/// One that cannot be read is missing from the signature.
fn default_value((alias, value): (&String, &TensorProto)) -> Option<(String, Tensor)> {
    let bytes = [value.encode_to_vec().into()];
    let tensor = TensorView::parse(Reader::new(&bytes)).and_then(|view| view.to_tensor());
    Some((alias.clone(), tensor.ok()?))
}
