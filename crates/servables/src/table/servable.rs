// SPDX-License-Identifier: Apache-2.0
//! One loaded version of a model.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use tensorserve_protos::tensorflow::SignatureDef;
use tensorserve_runtimes::{InterOp, Session};

use crate::batching::batcher::{Batcher, Batching};
use crate::execution::run_profile::RunProfile;
use crate::metrics::ModelMetrics;
use crate::table::signature::Signature;
use crate::table::signature_text::list_signatures;
use crate::{Result, ServingError};

/// What TensorFlow notes the initialization and the training of a model by; their outputs are ops that give no tensor.
const INTERNAL_SIGNATURES: [&str; 2] = ["__saved_model_init_op", "__saved_model_train_op"];

/// Whether a signature is TensorFlow's own, which no request can use.
pub(crate) fn is_internal(name: &str) -> bool {
    INTERNAL_SIGNATURES.contains(&name)
}

/// A loaded model: its session, and its signatures resolved for requests.
pub struct Servable {
    session: Arc<dyn Session>,
    signatures: BTreeMap<String, Arc<Signature>>,
    multi_inference_profile: RunProfile,
    inter_op_threading: InterOp,
    /// Set if requests are to be merged.
    batcher: OnceLock<Batcher>,
}

impl Servable {
    /// Resolves every signature of the session's model.
    pub fn new(session: Arc<dyn Session>) -> Self {
        let resolve =
            |(name, def): (&String, &SignatureDef)| (name.clone(), Arc::new(Signature::resolve(name, def, &*session)));
        let signatures = session.signature_defs().iter().map(resolve).collect();
        let multi_inference_profile = RunProfile::new(session.run_time(None));
        let inter_op_threading = InterOp::Pool;
        Servable { session, signatures, multi_inference_profile, inter_op_threading, batcher: OnceLock::new() }
    }

    /// The same, with another thread for long runs than those of the engine's inter-op pool.
    #[must_use]
    pub fn with_inter_op_threading(self, inter_op_threading: InterOp) -> Self {
        Servable { inter_op_threading, ..self }
    }

    /// Which thread goes through the operations of long runs that need not be interrupted.
    pub fn inter_op_threading(&self) -> InterOp {
        self.inter_op_threading
    }

    pub fn session(&self) -> &dyn Session {
        &*self.session
    }

    /// What is wrong with the model though it could be loaded, each in one line for the log.
    pub fn warnings(&self) -> Vec<String> {
        let defs = self.session.signature_defs();
        let public = self.signatures.values().filter(|signature| !is_internal(&signature.name));
        let of = |signature: &Arc<Signature>| defs.get(&signature.name).map(|def| signature.warnings(def));
        public.filter_map(of).flatten().chain(self.session.warnings().iter().cloned()).collect()
    }

    /// The signature of this name.
    pub fn signature(&self, name: &str) -> Option<&Arc<Signature>> {
        self.signatures.get(name)
    }

    pub(crate) fn signatures(&self) -> impl Iterator<Item = &Arc<Signature>> {
        self.signatures.values()
    }

    /// From now on requests are merged in this way; done once, before the version is published. INVALID_ARGUMENT for
    /// parameters that no queue can have.
    pub fn enable_batching(&self, batching: Batching) -> Result<()> {
        let batcher = Batcher::new(batching, self)?;
        self.batcher.set(batcher).map_err(|_| ServingError::failed_precondition("batching is set up already"))
    }

    pub(crate) fn batcher(&self) -> Option<&Batcher> {
        self.batcher.get()
    }

    /// Of runs for several signatures at once.
    pub(crate) fn multi_inference_profile(&self) -> &RunProfile {
        &self.multi_inference_profile
    }

    /// All signatures of the model, internal ones too.
    pub fn signature_defs(&self) -> &BTreeMap<String, SignatureDef> {
        self.session.signature_defs()
    }
}

/// Keeps a version alive for one request: an unload waits until the last handle is gone.
#[derive(Clone)]
pub struct ServableHandle {
    pub(crate) entry: Arc<Published>,
}

/// A version in the table.
pub(crate) struct Published {
    pub(crate) model: Arc<str>,
    pub(crate) version: i64,
    pub(crate) servable: Arc<Servable>,
    /// Where its requests are counted.
    pub(crate) metrics: Arc<ModelMetrics>,
}

impl ServableHandle {
    pub fn model(&self) -> &str {
        &self.entry.model
    }

    /// The share of the execution threads that the model's runs take from.
    pub(crate) fn group(&self) -> &Arc<str> {
        &self.entry.model
    }

    pub fn version(&self) -> i64 {
        self.entry.version
    }

    pub fn servable(&self) -> &Servable {
        &self.entry.servable
    }

    /// Where the model's requests are counted.
    pub fn metrics(&self) -> &Arc<ModelMetrics> {
        &self.entry.metrics
    }

    /// The signature for a Predict request.
    pub fn predict_signature(&self, name: &str) -> Result<Arc<Signature>> {
        self.servable().signature(name).cloned().ok_or_else(|| {
            let known = list_signatures(self);
            ServingError::failed_precondition(format!("Serving signature key \"{name}\" not found.{known}"))
        })
    }
}
