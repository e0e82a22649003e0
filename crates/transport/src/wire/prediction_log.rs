// SPDX-License-Identifier: Apache-2.0
//! `tensorflow.serving.PredictionLog`, the record of request logs and of warm-up files, from and to the wire.

use bytes::Bytes;
use smallvec::SmallVec;
use tensorserve_tensors::proto::wire::{
    FIXED64, LENGTH_DELIMITED, VARINT, delimited_len, put_bytes, put_delimited_header, put_tag, put_varint, tag_len,
    varint_len,
};
use tensorserve_tensors::proto::{Malformed, Reader};

use crate::wire::model_spec;

/// What a record holds; the numbers are those of the fields of the oneof `log_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum LogType {
    Classify = 2,
    Regress = 3,
    MultiInference = 4,
    SessionRun = 5,
    Predict = 6,
    PredictStreamed = 7,
}

impl LogType {
    fn of_field(number: u32) -> Option<Self> {
        use LogType as T;
        let all = [T::Classify, T::Regress, T::MultiInference, T::SessionRun, T::Predict, T::PredictStreamed];
        all.into_iter().find(|log_type| *log_type as u32 == number)
    }
}

/// The request of a record, in the pieces that make up its message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LoggedRequest {
    pub(crate) log_type: LogType,
    pub(crate) pieces: SmallVec<[Bytes; 1]>,
}

/// Reads the request of a record; `None` if it has no log type. Of a oneof the last member counts, and its parts are
/// merged, as protobuf does.
pub(crate) fn parse(record: &Bytes) -> Result<Option<LoggedRequest>, Malformed> {
    let mut message = Reader::new(std::slice::from_ref(record));
    let mut found: Option<LoggedRequest> = None;
    while let Some(field) = message.field()? {
        match LogType::of_field(field.number) {
            Some(log_type) if field.wire_type == LENGTH_DELIMITED => {
                let pieces = match found.take() {
                    Some(earlier) if earlier.log_type == log_type => earlier.pieces,
                    _ => SmallVec::new(),
                };
                let found = found.insert(LoggedRequest { log_type, pieces });
                merge_request(message.delimited()?, &mut found.pieces)?;
            }
            _ => message.skip(field)?,
        }
    }
    Ok(found)
}

/// Field 1 of `ClassifyLog` and its siblings.
fn merge_request(mut log: Reader<'_>, pieces: &mut SmallVec<[Bytes; 1]>) -> Result<(), Malformed> {
    while let Some(field) = log.field()? {
        match (field.number, field.wire_type) {
            (1, LENGTH_DELIMITED) => pieces.push(log.delimited()?.to_bytes()),
            _ => log.skip(field)?,
        }
    }
    Ok(())
}

/// `LogMetadata`: what a record says beside request and response.
pub(crate) struct Metadata<'a> {
    pub(crate) model: &'a str,
    pub(crate) version: i64,
    /// Empty if the request has several.
    pub(crate) signature: &'a str,
    pub(crate) sampling_rate: f64,
    pub(crate) saved_model_tags: &'a [String],
    pub(crate) timestamp_secs: u64,
}

impl Metadata<'_> {
    const MODEL_SPEC: u32 = 1;
    const SAMPLING_CONFIG: u32 = 2;
    const SAVED_MODEL_TAGS: u32 = 3;
    const TIMESTAMP_SECS: u32 = 4;
    /// Of `SamplingConfig`.
    const SAMPLING_RATE: u32 = 1;

    fn spec_len(&self) -> usize {
        model_spec::len(self.model, self.version, self.signature)
    }

    fn sampling_len() -> usize {
        tag_len(Self::SAMPLING_RATE) + size_of::<f64>()
    }

    fn len(&self) -> usize {
        let tags: usize =
            self.saved_model_tags.iter().map(|tag| delimited_len(Self::SAVED_MODEL_TAGS, tag.len())).sum();
        delimited_len(Self::MODEL_SPEC, self.spec_len())
            + delimited_len(Self::SAMPLING_CONFIG, Self::sampling_len())
            + tags
            + tag_len(Self::TIMESTAMP_SECS)
            + varint_len(self.timestamp_secs)
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_delimited_header(out, Self::MODEL_SPEC, self.spec_len());
        model_spec::put(out, self.model, self.version, self.signature);
        put_delimited_header(out, Self::SAMPLING_CONFIG, Self::sampling_len());
        put_tag(out, Self::SAMPLING_RATE, FIXED64);
        out.extend_from_slice(&self.sampling_rate.to_le_bytes());
        self.saved_model_tags.iter().for_each(|tag| put_bytes(out, Self::SAVED_MODEL_TAGS, tag.as_bytes()));
        put_tag(out, Self::TIMESTAMP_SECS, VARINT);
        put_varint(out, self.timestamp_secs);
    }
}

/// A record. `request` and `response` are messages in pieces.
pub(crate) fn encode(
    metadata: Option<&Metadata<'_>>,
    log_type: LogType,
    request: &[Bytes],
    response: Option<&[Bytes]>,
) -> Vec<u8> {
    const LOG_METADATA: u32 = 1;
    let pieces_len = |pieces: &[Bytes]| pieces.iter().map(Bytes::len).sum::<usize>();
    let (request_len, response_len) = (pieces_len(request), response.map(pieces_len));
    let log_len = delimited_len(1, request_len) + response_len.map_or(0, |len| delimited_len(2, len));
    let metadata_len = metadata.map_or(0, |metadata| delimited_len(LOG_METADATA, metadata.len()));
    let mut out = Vec::with_capacity(metadata_len + delimited_len(log_type as u32, log_len));
    if let Some(metadata) = metadata {
        put_delimited_header(&mut out, LOG_METADATA, metadata.len());
        metadata.put(&mut out);
    }
    put_delimited_header(&mut out, log_type as u32, log_len);
    put_delimited_header(&mut out, 1, request_len);
    request.iter().for_each(|piece| out.extend_from_slice(piece));
    if let (Some(response), Some(len)) = (response, response_len) {
        put_delimited_header(&mut out, 2, len);
        response.iter().for_each(|piece| out.extend_from_slice(piece));
    }
    out
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use tensorserve_protos::tensorflow::serving::prediction_log::LogType as Member;
    use tensorserve_protos::tensorflow::serving::{
        ModelSpec, PredictLog, PredictRequest, PredictResponse, PredictionLog, RegressLog,
    };

    use super::*;

    fn request(name: &str) -> PredictRequest {
        let spec = ModelSpec { name: name.to_owned(), ..Default::default() };
        PredictRequest { model_spec: Some(spec), ..Default::default() }
    }

    #[test]
    fn the_record_is_the_one_that_protobuf_reads() {
        let tags = ["serve".to_owned(), "gpu".to_owned()];
        let metadata = Metadata {
            model: "m",
            version: 3,
            signature: "s",
            sampling_rate: 0.25,
            saved_model_tags: &tags,
            timestamp_secs: 1_700_000_000,
        };
        let sent: Bytes = request("a name").encode_to_vec().into();
        let pieces = [sent.slice(..3), sent.slice(3..)];
        let record = encode(Some(&metadata), LogType::Predict, &pieces, Some(&[Bytes::new()]));
        let read = PredictionLog::decode(&*record).unwrap();
        let (log_metadata, spec) = (read.log_metadata.unwrap(), |m: &_| Option::clone(m).unwrap());
        let logged: ModelSpec = spec(&log_metadata.model_spec);
        assert_eq!((logged.name.as_str(), logged.signature_name.as_str()), ("m", "s"));
        assert_eq!(log_metadata.sampling_config.unwrap().sampling_rate, 0.25);
        assert_eq!((log_metadata.saved_model_tags, log_metadata.timestamp_secs), (tags.to_vec(), 1_700_000_000));
        let expected = PredictLog { request: Some(request("a name")), response: Some(PredictResponse::default()) };
        assert_eq!(read.log_type, Some(Member::PredictLog(expected)));
    }

    #[test]
    fn requests_are_found() {
        let log = PredictLog { request: Some(request("x")), response: Some(PredictResponse::default()) };
        let record: Bytes =
            PredictionLog { log_type: Some(Member::PredictLog(log)), ..Default::default() }.encode_to_vec().into();
        let found = parse(&record).unwrap().unwrap();
        assert_eq!(found.log_type, LogType::Predict);
        assert_eq!(PredictRequest::decode(found.pieces[0].clone()).unwrap(), request("x"));
        assert_eq!(parse(&Bytes::new()), Ok(None));
        assert!(parse(&record.slice(..record.len() - 1)).is_err());
    }

    #[test]
    fn the_last_log_type_counts() {
        let predict = encode(None, LogType::Predict, &[Bytes::from_static(b"one")], None);
        let regress = RegressLog::default();
        let regress =
            PredictionLog { log_type: Some(Member::RegressLog(regress)), ..Default::default() }.encode_to_vec();
        let found = parse(&[predict.clone(), regress].concat().into()).unwrap().unwrap();
        assert_eq!((found.log_type, found.pieces.len()), (LogType::Regress, 0));
        let found = parse(&[predict.clone(), predict].concat().into()).unwrap().unwrap();
        assert_eq!(found.pieces.concat(), b"oneone");
    }
}
