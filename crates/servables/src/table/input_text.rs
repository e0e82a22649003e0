// SPDX-License-Identifier: Apache-2.0
//! What a signature takes and what a request gave, behind the original's text of an error.

use std::fmt::{self, Write as _};

use smallvec::SmallVec;
use tensorserve_tensors::{Code, DataType, Shape, Tensor};

use crate::ServingError;
use crate::execution::computation::Feeds;
use crate::table::signature::Signature;
use crate::verbs::predict::{InputValue, Inputs};

/// Each of the two lists ends behind this many bytes, however many inputs there are.
const MAX_BYTES: usize = 300;

/// Types and shapes of the tensors that a run was fed with, in the order of the signature's inputs.
pub(crate) struct Fed(SmallVec<[(DataType, Shape); 2]>);

impl Fed {
    pub(crate) fn of(feeds: &Feeds) -> Self {
        Fed(feeds.iter().map(|(_, tensor)| (tensor.dtype(), tensor.shape().clone())).collect())
    }

    /// The error of the run. Of those that say that an argument is wrong, the text goes on with the arguments.
    pub(crate) fn explain(&self, error: ServingError, signature: &Signature) -> ServingError {
        if error.code != Code::InvalidArgument {
            return error;
        }
        let tensors = signature.inputs.iter().zip(&self.0);
        let given = tensors.map(|(input, (dtype, shape))| (input.alias.as_str(), Described::Tensor(*dtype, shape)));
        explained(error, signature, &list(given))
    }
}

/// The error of a request whose inputs are not those of the signature.
#[cold]
pub(crate) fn explain_inputs(error: ServingError, signature: &Signature, inputs: &Inputs<'_>) -> ServingError {
    let given = list(inputs.iter().map(|(alias, value)| (&**alias, Described::of(value))));
    explained(error, signature, &given)
}

fn explained(error: ServingError, signature: &Signature, given: &str) -> ServingError {
    let (name, takes) = (&signature.name, &signature.takes);
    ServingError::new(error.code, format!("{} (signature {name} takes: {takes}; given: {given})", error.message))
}

/// What is known of a value that a request gave.
enum Described<'a> {
    Tensor(DataType, &'a Shape),
    Unreadable,
}

impl<'a> Described<'a> {
    fn of(value: &'a InputValue<'_>) -> Self {
        match value {
            InputValue::Tensor(tensor) => Described::tensor(tensor),
            InputValue::Wire(view) => Described::Tensor(view.dtype(), view.shape()),
            InputValue::Malformed => Described::Unreadable,
        }
    }

    fn tensor(tensor: &'a Tensor) -> Self {
        Described::Tensor(tensor.dtype(), tensor.shape())
    }
}

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Described::Tensor(dtype, shape) => write!(f, "{dtype} {shape}"),
            Described::Unreadable => f.write_str("unreadable"),
        }
    }
}

/// `a (float [2,3]), b (string [])`, and `...` where it gets too long; `none` if there is nothing.
pub(crate) fn list<'a>(entries: impl Iterator<Item = (&'a str, impl fmt::Display)>) -> String {
    let mut out = String::new();
    for (alias, value) in entries {
        let separator = if out.is_empty() { "" } else { ", " };
        let before = out.len();
        // Writing to a string cannot fail.
        let _ = write!(out, "{separator}{alias} ({value})");
        if out.len() > MAX_BYTES {
            out.truncate(before);
            out.push_str(separator);
            out.push_str("...");
            break;
        }
    }
    if out.is_empty() { "none".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut_between_their_entries() {
        let names: Vec<String> = (0..1000).map(|i| format!("input{i}")).collect();
        let text = list(names.iter().map(|name| (name.as_str(), "float [1]")));
        assert!(text.len() <= MAX_BYTES + 5);
        assert!(text.starts_with("input0 (float [1]), input1 (float [1]), "));
        assert!(text.ends_with("), ..."), "{text}");
        assert_eq!(list([("n".repeat(1000).as_str(), "int8 []")].into_iter()), "...");
    }

    #[test]
    fn no_entries_are_said_to_be_none() {
        assert_eq!(list(std::iter::empty::<(&str, &str)>()), "none");
    }
}
