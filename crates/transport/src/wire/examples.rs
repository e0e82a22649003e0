// SPDX-License-Identifier: Apache-2.0
//! What the wire forms of Classify, Regress and MultiInference have in common: `tensorflow.serving.Input`, and requests and
//! responses of one model_spec.
//!
//! Examples are slices of the message as it came; no Example is decoded here.

use bytes::Bytes;
use tensorserve_servables::verbs::examples::Examples;
use tensorserve_servables::verbs::head::Answer;
use tensorserve_servables::{ModelSpec, Result};
use tensorserve_tensors::proto::wire::{LENGTH_DELIMITED, delimited_len, put_delimited_header};
use tensorserve_tensors::proto::{Malformed, Reader};

use super::model_spec;

/// A result in wire form: `ClassificationResult` or `RegressionResult`.
pub(crate) trait ResultEncoder {
    /// Bytes of the message.
    fn len(&self) -> usize;

    fn put(&self, out: &mut Vec<u8>);
}

/// A `ClassificationRequest` or `RegressionRequest`; both have the same fields.
#[derive(Default)]
pub(crate) struct Request<'a> {
    pub(crate) spec: Option<ModelSpec<'a>>,
    pub(crate) input: Input,
}

/// The response, behind what `start` puts before a message of the length that it is given.
pub(crate) fn put_response<R>(
    answer: &Answer<R>,
    result: &impl ResultEncoder,
    start: impl FnOnce(usize) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    const RESULT: u32 = 1;
    const MODEL_SPEC: u32 = 2;
    let (name, version, signature) = (answer.handle.model(), answer.handle.version(), &answer.signature.name);
    let spec_len = model_spec::len(name, version, signature);
    let mut out = start(delimited_len(RESULT, result.len()) + delimited_len(MODEL_SPEC, spec_len))?;
    put_delimited_header(&mut out, RESULT, result.len());
    result.put(&mut out);
    put_delimited_header(&mut out, MODEL_SPEC, spec_len);
    model_spec::put(&mut out, name, version, signature);
    Ok(out)
}

pub(crate) fn parse(mut message: Reader<'_>) -> Result<Request<'_>, Malformed> {
    let mut request = Request::default();
    while let Some(field) = message.field()? {
        match field.number {
            1 if field.wire_type == LENGTH_DELIMITED => {
                model_spec::parse(message.delimited()?, request.spec.get_or_insert_default())?;
            }
            2 if field.wire_type == LENGTH_DELIMITED => request.input.merge(message.delimited()?)?,
            _ => message.skip(field)?,
        }
    }
    Ok(request)
}

/// `tensorflow.serving.Input`. Of a oneof the last member counts, and its parts are merged, as protobuf does.
#[derive(Debug, Default)]
pub struct Input {
    /// The number of the member that is set; 0 for none.
    kind: u32,
    examples: Vec<Bytes>,
    /// The parts of the context, which are one message when they follow each other.
    context: Vec<Bytes>,
}

impl Input {
    const EXAMPLE_LIST: u32 = 1;
    const EXAMPLE_LIST_WITH_CONTEXT: u32 = 2;

    pub fn merge(&mut self, mut message: Reader<'_>) -> Result<(), Malformed> {
        while let Some(field) = message.field()? {
            match field.number {
                Self::EXAMPLE_LIST | Self::EXAMPLE_LIST_WITH_CONTEXT if field.wire_type == LENGTH_DELIMITED => {
                    if self.kind != field.number {
                        *self = Input { kind: field.number, ..Input::default() };
                    }
                    self.merge_list(message.delimited()?)?;
                }
                _ => message.skip(field)?,
            }
        }
        Ok(())
    }

    /// `ExampleList` is `ExampleListWithContext` without its second field.
    fn merge_list(&mut self, mut message: Reader<'_>) -> Result<(), Malformed> {
        let has_context = self.kind == Self::EXAMPLE_LIST_WITH_CONTEXT;
        while let Some(field) = message.field()? {
            match field.number {
                1 if field.wire_type == LENGTH_DELIMITED => self.examples.push(message.delimited()?.to_bytes()),
                2 if has_context && field.wire_type == LENGTH_DELIMITED => {
                    self.context.push(message.delimited()?.to_bytes());
                }
                _ => message.skip(field)?,
            }
        }
        Ok(())
    }

    /// Bytes of the contexts that the examples will have together.
    pub(crate) fn joined_bytes(&self) -> usize {
        self.context.iter().map(Bytes::len).sum::<usize>().saturating_mul(self.examples.len())
    }

    pub fn into_examples(mut self) -> Examples {
        let context = match &mut self.context[..] {
            [] => Bytes::new(),
            [whole] => std::mem::take(whole),
            parts => parts.concat().into(),
        };
        Examples { context, list: self.examples }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use tensorserve_protos::tensorflow::serving::input::Kind;
    use tensorserve_protos::tensorflow::serving::{self, ExampleList, ExampleListWithContext};
    use tensorserve_protos::tensorflow::{Example, Feature, Features, FloatList, feature};

    use super::*;

    fn example(value: f32) -> Example {
        let kind = Some(feature::Kind::FloatList(FloatList { value: vec![value] }));
        let feature = [("x".to_owned(), Feature { kind })].into();
        Example { features: Some(Features { feature }) }
    }

    fn encoded(kind: Kind) -> Vec<u8> {
        serving::Input { kind: Some(kind) }.encode_to_vec()
    }

    fn list(values: &[f32]) -> Kind {
        Kind::ExampleList(ExampleList { examples: values.iter().map(|value| example(*value)).collect() })
    }

    fn with_context(context: f32, values: &[f32]) -> Kind {
        let examples = values.iter().map(|value| example(*value)).collect();
        Kind::ExampleListWithContext(ExampleListWithContext { examples, context: Some(example(context)) })
    }

    fn read(messages: &[Vec<u8>]) -> Examples {
        let mut input = Input::default();
        for message in messages {
            input.merge(Reader::new(&[Bytes::copy_from_slice(message)])).unwrap();
        }
        input.into_examples()
    }

    fn bytes(values: &[f32]) -> Vec<Bytes> {
        values.iter().map(|value| example(*value).encode_to_vec().into()).collect()
    }

    #[test]
    fn examples_are_slices_of_the_message() {
        let message = [Bytes::from(encoded(list(&[1.0, 2.0])))];
        let mut input = Input::default();
        input.merge(Reader::new(&message)).unwrap();
        let examples = input.into_examples();
        assert_eq!(examples, Examples { context: Bytes::new(), list: bytes(&[1.0, 2.0]) });
        let range = message[0].as_ptr_range();
        assert!(examples.list.iter().all(|example| range.contains(&example.as_ptr())));
    }

    #[test]
    fn pieces_may_end_anywhere() {
        let message = encoded(with_context(3.0, &[1.0, 2.0]));
        for at in 0..message.len() {
            let (head, tail) = message.split_at(at);
            let pieces = [Bytes::copy_from_slice(head), Bytes::copy_from_slice(tail)];
            let mut input = Input::default();
            input.merge(Reader::new(&pieces)).unwrap();
            let context = example(3.0).encode_to_vec().into();
            assert_eq!(input.into_examples(), Examples { context, list: bytes(&[1.0, 2.0]) });
        }
    }

    #[test]
    fn of_two_kinds_the_last_counts_and_equal_kinds_are_merged() {
        let [a, b] = [encoded(list(&[1.0])), encoded(list(&[2.0]))];
        let c = encoded(with_context(3.0, &[4.0]));
        assert_eq!(read(&[a.clone(), b.clone()]).list, bytes(&[1.0, 2.0]));
        assert_eq!(read(&[c.clone(), a]), Examples { context: Bytes::new(), list: bytes(&[1.0]) });
        let twice = read(&[b, c.clone(), c]);
        assert_eq!(twice.list, bytes(&[4.0, 4.0]));
        assert_eq!(twice.context, [example(3.0).encode_to_vec(), example(3.0).encode_to_vec()].concat());
    }

    #[test]
    fn nothing_is_no_examples() {
        assert_eq!(read(&[]), Examples::default());
        assert_eq!(read(&[encoded(list(&[]))]), Examples::default());
    }
}
