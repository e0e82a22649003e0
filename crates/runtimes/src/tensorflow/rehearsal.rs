// SPDX-License-Identifier: Apache-2.0
//! Prepares the signatures of a new session without running them.
//!
//! TensorFlow optimizes a graph and builds its kernels at the first run of each signature, after which it looks at the
//! types of the values that are fed. A run with values of the wrong type therefore does all of the work that would make
//! the first request slow, and ends before any op.

use std::collections::BTreeMap;

use tensorserve_protos::tensorflow::SignatureDef;
use tensorserve_protos::tensorflow::tensor_info::Encoding;
use tensorserve_tensors::{AlignedBuffer, DataType, Result, Shape, Tensor};

use super::executor;
use super::session::SavedModelSession;
use crate::{RunOptions, Session, TensorHandle};

/// A model with more signatures has one prepared. TensorFlow goes through the whole graph for each, so that the time for
/// all grows with the square of their number.
const MOST: usize = 8;

/// Prepares every signature that [`is_for`] it and has inputs. Fails only if the executor of the session cannot run one
/// of them; whatever else is wrong is for the requests to find out, as it is without a rehearsal.
pub(super) fn rehearse(session: &SavedModelSession) -> Result<()> {
    let defs = session.signature_defs();
    let prepared = defs.iter().filter(|(name, def)| !def.inputs.is_empty() && is_for(name, defs));
    for (_, signature) in prepared {
        let Ok((feeds, fetches)) = wrong_call(session, signature) else { continue };
        match session.run(&feeds, &fetches, &RunOptions::default()) {
            Err(error) if executor::is_unsuited(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a signature of these is prepared at load: all of a few, of many the default one. The others are by their
/// first request.
pub(super) fn is_for(signature: &str, defs: &BTreeMap<String, SignatureDef>) -> bool {
    let with_inputs = || defs.iter().filter(|(_, def)| !def.inputs.is_empty()).map(|(name, _)| name.as_str());
    if with_inputs().take(MOST + 1).count() <= MOST {
        return true;
    }
    let first = if defs.contains_key(DEFAULT_SIGNATURE) { Some(DEFAULT_SIGNATURE) } else { with_inputs().next() };
    first == Some(signature)
}

const DEFAULT_SIGNATURE: &str = "serving_default";

type Call = (Vec<(TensorHandle, Tensor)>, Vec<TensorHandle>);

/// A call of the signature in which every value has the wrong type.
fn wrong_call(session: &SavedModelSession, signature: &SignatureDef) -> Result<Call> {
    let mut feeds = Vec::with_capacity(signature.inputs.len());
    for info in signature.inputs.values() {
        let handle = resolve(session, info.encoding.as_ref())?;
        let wrong =
            if session.dtype_number(handle)? == DataType::Bool as i32 { DataType::Float } else { DataType::Bool };
        feeds.push((handle, Tensor::plain(wrong, Shape::scalar(), AlignedBuffer::zeroed(wrong.size()))));
    }
    // A request cannot have those that cannot be fetched.
    let fetches = signature.outputs.values().filter_map(|info| resolve(session, info.encoding.as_ref()).ok());
    Ok((feeds, fetches.collect()))
}

fn resolve(session: &SavedModelSession, encoding: Option<&Encoding>) -> Result<TensorHandle> {
    match encoding {
        Some(Encoding::Name(name)) => session.resolve(name),
        // No tensor has the empty name; what cannot be fed as one tensor is not rehearsed.
        _ => session.resolve(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defs(count: usize) -> BTreeMap<String, SignatureDef> {
        let def = SignatureDef { inputs: [("x".to_owned(), Default::default())].into(), ..Default::default() };
        let init = ("__saved_model_init_op".to_owned(), SignatureDef::default());
        (0..count).map(|n| (format!("s{n:03}"), def.clone())).chain([init]).collect()
    }

    fn prepared(defs: &BTreeMap<String, SignatureDef>) -> Vec<&str> {
        let with_inputs = defs.iter().filter(|(_, def)| !def.inputs.is_empty());
        with_inputs.map(|(name, _)| name.as_str()).filter(|name| is_for(name, defs)).collect()
    }

    #[test]
    fn all_of_few_signatures_are_prepared_and_one_of_many() {
        assert_eq!(prepared(&defs(MOST)).len(), MOST);
        let mut many = defs(400);
        assert_eq!(prepared(&many), ["s000"]);
        many.insert(DEFAULT_SIGNATURE.to_owned(), many["s001"].clone());
        assert_eq!(prepared(&many), [DEFAULT_SIGNATURE]);
    }
}
