// SPDX-License-Identifier: Apache-2.0
//! The input of a classifier or regressor: serialized `tensorflow.Example` messages.

use bytes::Bytes;
use tensorserve_tensors::{Shape, Tensor};

use crate::{Result, ServingError};

/// A context is repeated for each example; this bounds what a small request can make us allocate.
pub const MAX_CONTEXT_BYTES: usize = 256 << 20;

/// The examples of a request, as they came; nobody has looked into them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examples {
    /// A serialized Example whose features all examples share; empty if there is none.
    pub context: Bytes,
    pub list: Vec<Bytes>,
}

impl Examples {
    /// The DT_STRING tensor `[examples]` that a graph parses. A feature that stands in the context and in an example is
    /// taken from the example: messages that follow each other are merged, and the later entry of a map wins.
    ///
    /// # Errors
    /// INVALID_ARGUMENT if there are no examples, or if their contexts have more than [`MAX_CONTEXT_BYTES`] together.
    pub(crate) fn into_tensor(self) -> Result<Tensor> {
        if self.list.is_empty() {
            return Err(ServingError::invalid_argument("Input is empty."));
        }
        let shape = Shape::new(&[self.list.len() as i64]).unwrap_or_default();
        let elements = if self.context.is_empty() { self.list } else { with_context(&self.context, &self.list)? };
        Ok(Tensor::strings(shape, elements))
    }
}

fn with_context(context: &[u8], examples: &[Bytes]) -> Result<Vec<Bytes>> {
    let contexts_len = context.len().saturating_mul(examples.len());
    if contexts_len > MAX_CONTEXT_BYTES {
        return Err(ServingError::invalid_argument(format!(
            "a context of {} bytes for each of {} examples exceeds {MAX_CONTEXT_BYTES} bytes; send fewer examples at once",
            context.len(),
            examples.len()
        )));
    }
    let mut joined = Vec::with_capacity(contexts_len + examples.iter().map(Bytes::len).sum::<usize>());
    for example in examples {
        joined.extend_from_slice(context);
        joined.extend_from_slice(example);
    }
    let mut joined = Bytes::from(joined);
    Ok(examples.iter().map(|example| joined.split_to(context.len() + example.len())).collect())
}

#[cfg(test)]
mod tests {
    use tensorserve_tensors::TensorData;

    use super::*;

    fn elements(examples: Examples) -> Vec<Vec<u8>> {
        let tensor = examples.into_tensor().unwrap();
        let TensorData::Strings(strings) = tensor.data() else { panic!("not strings") };
        assert_eq!(tensor.shape().dims(), [strings.len() as i64]);
        (0..strings.len()).map(|i| strings.get(i).to_vec()).collect()
    }

    #[test]
    fn examples_are_elements_as_they_are() {
        let list = vec![Bytes::from_static(b"one"), Bytes::new(), Bytes::from_static(b"three")];
        assert_eq!(elements(Examples { context: Bytes::new(), list }), [&b"one"[..], b"", b"three"]);
    }

    #[test]
    fn the_context_stands_before_each_example() {
        let list = vec![Bytes::from_static(b"one"), Bytes::new()];
        assert_eq!(elements(Examples { context: Bytes::from_static(b"c:"), list }), [&b"c:one"[..], b"c:"]);
    }

    #[test]
    fn a_context_alone_is_no_input() {
        let error = Examples { context: Bytes::from_static(b"c"), list: Vec::new() }.into_tensor().unwrap_err();
        assert_eq!(error, ServingError::invalid_argument("Input is empty."));
    }

    #[test]
    fn repeated_contexts_are_bounded() {
        let context = Bytes::from(vec![0; 1 << 20]);
        let error = Examples { context, list: vec![Bytes::new(); 257] }.into_tensor().unwrap_err();
        assert!(error.message.starts_with("a context of 1048576 bytes for each of 257 examples"), "{error}");
    }
}
