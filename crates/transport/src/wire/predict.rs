// SPDX-License-Identifier: Apache-2.0
//! `PredictRequest` and `PredictResponse` in binary form, which gRPC carries and REST may.

use std::borrow::Cow;

use bytes::Bytes;
use smallvec::SmallVec;
use tensorserve_servables::verbs::predict::{Answer, InputValue, Inputs};
use tensorserve_servables::{ModelSpec, Result};
use tensorserve_tensors::proto::encode::Encoder;
use tensorserve_tensors::proto::wire::{LENGTH_DELIMITED, delimited_len, put_bytes, put_delimited_header};
use tensorserve_tensors::proto::{Malformed, Reader, TensorEncoding, TensorView, Weight};
use tensorserve_tensors::{Tensor, TensorData};

use crate::wire::model_spec;

/// An entry of two bytes takes a hundred times that here; this bounds what the entries of a request can take.
pub(crate) const MAX_ENTRIES: usize = 1 << 14;

/// A `PredictRequest` whose tensors still lie in the message.
#[derive(Default)]
pub struct PredictRequest<'a> {
    pub spec: Option<ModelSpec<'a>>,
    pub inputs: Inputs<'a>,
    pub output_filter: SmallVec<[Cow<'a, str>; 2]>,
}

/// Messages below this are read where they arrive.
const SMALL_BYTES: usize = 16 << 10;

/// Whether a message is read in a few steps, as those are whose bytes are nearly all elements of tensors.
pub(crate) fn is_quickly_read(pieces: &[Bytes]) -> bool {
    const FIELDS: usize = 512;
    let message = Reader::new(pieces);
    message.len() < SMALL_BYTES || count_fields(message, 0, &mut { FIELDS }).is_some()
}

/// Counts the fields of a request (depth 0), its inputs (1) and their tensors (2); `None` if there are more than are `left`.
fn count_fields(mut message: Reader<'_>, depth: usize, left: &mut usize) -> Option<()> {
    const INPUTS: [u32; 2] = [2, 2];
    while let Some(field) = message.field().ok()? {
        *left = left.checked_sub(1)?;
        if INPUTS.get(depth) == Some(&field.number) && field.wire_type == LENGTH_DELIMITED {
            count_fields(message.delimited().ok()?, depth + 1, left)?;
        } else {
            message.skip(field).ok()?;
        }
    }
    Some(())
}

/// Whether a reply takes so long to write that other requests should not wait for it.
pub(crate) fn is_long(answer: &Answer, encoding: TensorEncoding) -> bool {
    const COPIED: usize = 1 << 20;
    const WRITTEN: usize = 128 << 10;
    let mut share = 0;
    for (_, tensor) in answer.outputs() {
        let is_copied = encoding == TensorEncoding::Content || tensor.dtype().is_copied_to_wire();
        share += match tensor.data() {
            TensorData::Plain(bytes) if is_copied => bytes.len() / (COPIED / WRITTEN),
            TensorData::Plain(bytes) => bytes.len(),
            // Each is looked up and copied on its own.
            TensorData::Strings(strings) if strings.len() > WRITTEN / 32 => WRITTEN,
            TensorData::Strings(strings) => {
                (0..strings.len()).map(|at| 32 + strings.get(at).len() / (COPIED / WRITTEN)).sum()
            }
        };
    }
    share >= WRITTEN
}

impl PredictRequest<'_> {
    /// What its tensors take together.
    pub(crate) fn weight(&self) -> Weight {
        weight(&self.inputs)
    }
}

/// What the tensors of inputs that are still on the wire take together.
pub(crate) fn weight(inputs: &Inputs<'_>) -> Weight {
    let none = Weight { bytes: 0, is_quick: true };
    inputs.iter().fold(none, |sum, (_, value)| match value {
        InputValue::Wire(view) => {
            let Weight { bytes, is_quick } = view.weight();
            Weight { bytes: sum.bytes.saturating_add(bytes), is_quick: sum.is_quick && is_quick }
        }
        _ => sum,
    })
}

/// Reads a message that lies in `pieces`.
pub fn parse(pieces: &[Bytes]) -> Result<PredictRequest<'_>, Malformed> {
    let mut message = Reader::new(pieces);
    let mut request = PredictRequest::default();
    while let Some(field) = message.field()? {
        match field.number {
            1 if field.wire_type == LENGTH_DELIMITED => {
                model_spec::parse(message.delimited()?, request.spec.get_or_insert_default())?;
            }
            2 if field.wire_type == LENGTH_DELIMITED => add_input(&mut request.inputs, message.delimited()?)?,
            3 if request.output_filter.len() == MAX_ENTRIES => return Err(Malformed("it has too many output filters")),
            3 if field.wire_type == LENGTH_DELIMITED => request.output_filter.push(message.delimited()?.to_text()?),
            _ => message.skip(field)?,
        }
    }
    keep_last_of_each(&mut request.inputs);
    Ok(request)
}

fn add_input<'a>(inputs: &mut Inputs<'a>, entry: Reader<'a>) -> Result<(), Malformed> {
    if inputs.len() == MAX_ENTRIES {
        keep_last_of_each(inputs);
        // Half of them, so that repeated aliases do not make each further entry slow.
        if inputs.len() > MAX_ENTRIES / 2 {
            return Err(Malformed("it has too many inputs"));
        }
    }
    inputs.push(parse_input(entry)?);
    Ok(())
}

fn parse_input<'a>(mut entry: Reader<'a>) -> Result<(Cow<'a, str>, InputValue<'a>), Malformed> {
    let mut alias = Cow::Borrowed("");
    let mut value = None;
    while let Some(field) = entry.field()? {
        match field.number {
            1 if field.wire_type == LENGTH_DELIMITED => alias = entry.delimited()?.to_text()?,
            2 if field.wire_type == LENGTH_DELIMITED => {
                let tensor = TensorView::parse(entry.delimited()?).map_or(InputValue::Malformed, InputValue::Wire);
                // Protobuf would merge the two, which no client means.
                value = Some(if value.is_none() { tensor } else { InputValue::Malformed });
            }
            _ => entry.skip(field)?,
        }
    }
    Ok((alias, value.unwrap_or(InputValue::Malformed)))
}

/// A map's later entry replaces an earlier one of the same key.
fn keep_last_of_each(inputs: &mut Inputs<'_>) {
    if inputs.len() < 2 {
        return;
    }
    inputs.reverse();
    inputs.sort_by(|(a, _), (b, _)| a.cmp(b));
    inputs.dedup_by(|(later, _), (kept, _)| later == kept);
}

/// Named tensors with the sizes of their messages worked out: a `map<string, TensorProto>` field.
struct TensorMap<'a>(SmallVec<[(&'a str, Encoder<'a>, usize); 4]>);

impl<'a> TensorMap<'a> {
    fn new(tensors: impl Iterator<Item = (&'a str, &'a Tensor)>, encoding: TensorEncoding) -> Result<Self> {
        let entry = |(alias, tensor): (&'a str, &'a Tensor)| {
            let encoder = Encoder::new(tensor, encoding)?;
            let entry_len = delimited_len(1, alias.len()) + delimited_len(2, encoder.len());
            Ok((alias, encoder, entry_len))
        };
        tensors.map(entry).collect::<Result<_>>().map(TensorMap)
    }

    /// Bytes of the whole field `number`.
    fn len(&self, number: u32) -> usize {
        self.0.iter().map(|(_, _, entry_len)| delimited_len(number, *entry_len)).sum()
    }

    fn put(&self, out: &mut Vec<u8>, number: u32) {
        for (alias, encoder, entry_len) in &self.0 {
            put_delimited_header(out, number, *entry_len);
            put_bytes(out, 1, alias.as_bytes());
            put_delimited_header(out, 2, encoder.len());
            encoder.put(out);
        }
    }
}

/// Writes a `PredictResponse` behind what `start` puts before a message of the length that it is given.
pub fn encode(
    answer: &Answer,
    encoding: TensorEncoding,
    start: impl FnOnce(usize) -> Result<Vec<u8>>,
) -> Result<Bytes> {
    let spec = (answer.handle.model(), answer.handle.version(), answer.signature.name.as_str());
    put_response(spec, &TensorMap::new(answer.outputs(), encoding)?, start).map(Bytes::from)
}

/// The `PredictResponse` with these outputs.
pub(crate) fn encode_response(
    model: &str,
    version: i64,
    signature: &str,
    outputs: &[(String, Tensor)],
) -> Result<Vec<u8>> {
    let outputs = TensorMap::new(named(outputs), TensorEncoding::Content)?;
    put_response((model, version, signature), &outputs, |len| Ok(Vec::with_capacity(len)))
}

fn put_response(
    (model, version, signature): (&str, i64, &str),
    outputs: &TensorMap<'_>,
    start: impl FnOnce(usize) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    const OUTPUTS: u32 = 1;
    const MODEL_SPEC: u32 = 2;
    let spec_len = model_spec::len(model, version, signature);
    let mut out = start(outputs.len(OUTPUTS) + delimited_len(MODEL_SPEC, spec_len))?;
    outputs.put(&mut out, OUTPUTS);
    put_delimited_header(&mut out, MODEL_SPEC, spec_len);
    model_spec::put(&mut out, model, version, signature);
    Ok(out)
}

/// The `PredictRequest` to the latest version with these inputs.
pub(crate) fn encode_request(
    model: &str,
    signature: &str,
    inputs: &[(String, Tensor)],
    output_filter: &[String],
) -> Result<Vec<u8>> {
    const INPUTS: u32 = 2;
    const OUTPUT_FILTER: u32 = 3;
    let inputs = TensorMap::new(named(inputs), TensorEncoding::Content)?;
    let mut out = request_spec(model, signature);
    out.reserve(inputs.len(INPUTS));
    inputs.put(&mut out, INPUTS);
    output_filter.iter().for_each(|alias| put_bytes(&mut out, OUTPUT_FILTER, alias.as_bytes()));
    Ok(out)
}

/// Field 1 of every request: a model_spec that names the latest version.
pub(crate) fn request_spec(model: &str, signature: &str) -> Vec<u8> {
    const MODEL_SPEC: u32 = 1;
    let mut out = Vec::new();
    put_delimited_header(&mut out, MODEL_SPEC, model_spec::latest_len(model, signature));
    model_spec::put_latest(&mut out, model, signature);
    out
}

fn named(tensors: &[(String, Tensor)]) -> impl Iterator<Item = (&str, &Tensor)> {
    tensors.iter().map(|(alias, tensor)| (alias.as_str(), tensor))
}

#[cfg(test)]
mod tests {
    use tensorserve_servables::VersionChoice;

    use super::*;

    fn delimited(number: u8, payload: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, payload.len() as u8], payload].concat()
    }

    /// An entry whose tensor is a scalar int32.
    fn input(alias: &str, value: u8) -> Vec<u8> {
        let tensor = delimited(2, &[0x08, 3, 0x38, value]);
        delimited(2, &[delimited(1, alias.as_bytes()), tensor].concat())
    }

    fn first_bytes(request: &PredictRequest<'_>) -> Vec<(String, Option<u8>)> {
        let value = |value: &InputValue<'_>| match value {
            InputValue::Wire(view) => view.to_tensor().ok().map(|tensor| tensor.bytes()[0]),
            _ => None,
        };
        request.inputs.iter().map(|(alias, input)| (alias.to_string(), value(input))).collect()
    }

    #[test]
    fn a_later_entry_replaces_an_earlier_one_however_many_there_are() {
        let entries: Vec<Vec<u8>> = (0..3 * MAX_ENTRIES).map(|i| input(["a", "b"][i % 2], (i % 100) as u8)).collect();
        let message = [Bytes::from([entries.concat(), input("a", 7), input("b", 8)].concat())];
        let expected = [("a".to_owned(), Some(7)), ("b".to_owned(), Some(8))];
        assert_eq!(first_bytes(&parse(&message).unwrap()), expected);
    }

    #[test]
    fn inputs_without_end_are_refused() {
        let entries: Vec<Vec<u8>> = (0..=MAX_ENTRIES).map(|i| input(&i.to_string(), 1)).collect();
        let message = [Bytes::from(entries.concat())];
        assert_eq!(parse(&message).err(), Some(Malformed("it has too many inputs")));
    }

    #[test]
    fn messages_of_few_fields_are_quickly_read_whatever_their_size() {
        let entry = |tensor: &[u8]| {
            let mut entry = delimited(1, b"x");
            put_bytes(&mut entry, 2, tensor);
            let mut field = Vec::new();
            put_bytes(&mut field, 2, &entry);
            field
        };
        let mut floats = vec![0x08, 1];
        put_bytes(&mut floats, 5, &[0; 4_000_000]);
        let is_quick = |message: Vec<u8>| is_quickly_read(&[Bytes::from(message)]);
        assert!(is_quick(entry(&floats)));
        assert!(is_quick(delimited(3, b"y").repeat(1000)));
        for many in [delimited(2, b"").repeat(20_000), delimited(3, b"y").repeat(20_000), [0x78u8, 0].repeat(20_000)] {
            assert!(!is_quick(many));
        }
        assert!(!is_quick(entry(&[0x40u8, 0].repeat(20_000))));
        let cut_off = entry(&floats)[..3_000_000].to_vec();
        assert!(!is_quick(cut_off));
    }

    #[test]
    fn output_filters_without_end_are_refused() {
        let filters = |count: usize| [Bytes::from(delimited(3, b"").repeat(count))];
        assert_eq!(parse(&filters(MAX_ENTRIES)).unwrap().output_filter.len(), MAX_ENTRIES);
        assert_eq!(parse(&filters(MAX_ENTRIES + 1)).err(), Some(Malformed("it has too many output filters")));
    }

    #[test]
    fn a_tensor_that_stands_twice_in_an_entry_is_no_tensor() {
        let tensor = delimited(2, &[0x08, 3]);
        let message = [Bytes::from(delimited(2, &[delimited(1, b"a"), tensor.clone(), tensor].concat()))];
        assert_eq!(first_bytes(&parse(&message).unwrap()), [("a".to_owned(), None)]);
    }

    #[test]
    fn parts_of_a_version_are_one_version() {
        let spec = [delimited(2, &[0x08, 5]), delimited(2, &[])].concat();
        let message = [Bytes::from(delimited(1, &spec))];
        assert_eq!(parse(&message).unwrap().spec.unwrap().version, VersionChoice::Specific(5));
    }
}
