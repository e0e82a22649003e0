// SPDX-License-Identifier: Apache-2.0
//! Which signatures are run though nobody asked: those that clients may ask, that only compute, and that take no longer
//! than they must.

use tensorserve_tensors::DataType;

use crate::table::signature::Signature;
use crate::{DEFAULT_SIGNATURE, Servable};

/// Why a signature is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    NothingToRun,
    OtherMethod,
    Effects,
    Unprepared,
    UnknownExamples,
}

impl Obstacle {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Obstacle::NothingToRun => "it has no inputs or no outputs",
            Obstacle::OtherMethod => "its method_name is not that of predict, classify or regress",
            Obstacle::Effects => "its runs may do more than compute",
            Obstacle::Unprepared => "the model has many signatures; this one is not among those that are tried at load",
            Obstacle::UnknownExamples => "it parses examples of unknown features",
        }
    }
}

/// What keeps a signature from being run unasked; `None` if nothing does.
pub(crate) fn obstacle(servable: &Servable, signature: &Signature) -> Option<Obstacle> {
    if signature.inputs.is_empty() || signature.outputs.is_empty() {
        return Some(Obstacle::NothingToRun);
    }
    if !signature.has_known_method() && signature.name != DEFAULT_SIGNATURE {
        return Some(Obstacle::OtherMethod);
    }
    if servable.session().has_effects(&signature.name) {
        return Some(Obstacle::Effects);
    }
    if !servable.session().is_prepared(&signature.name) {
        return Some(Obstacle::Unprepared);
    }
    let has_strings = signature.inputs.iter().any(|input| input.dtype == Some(DataType::String));
    let lacks_example = has_strings && servable.session().made_up_example(&signature.name).is_none();
    lacks_example.then_some(Obstacle::UnknownExamples)
}
