// SPDX-License-Identifier: Apache-2.0
//! The bodies of Classify and Regress responses.

use crate::{Result, ServingError};

use super::float_text::write_f32;
use super::writer::Writer;

const RESULTS: &[u8] = b"results";

/// Encodes a classification: for each example a list of pairs, label and score.
///
/// # Errors
/// INVALID_ARGUMENT if there are no examples, RESOURCE_EXHAUSTED as soon as the text has more than `max_bytes`.
pub fn encode_classifications<'a, R>(examples: impl ExactSizeIterator<Item = R>, max_bytes: usize) -> Result<Vec<u8>>
where
    R: IntoIterator<Item = (&'a [u8], f32)>,
{
    check_not_empty(examples.len(), "ClassificationResults")?;
    let mut writer = start(max_bytes);
    writer.set_single_line(true);
    for classes in examples {
        writer.check_size()?;
        writer.start_array();
        for (label, score) in classes {
            writer.start_array();
            writer.string(label);
            writer.value(|out| write_f32(score, out));
            writer.end_array();
        }
        writer.end_array();
    }
    // The original goes back to many lines before it closes this list, but not before it closes that of a regression.
    writer.set_single_line(false);
    finish(writer)
}

/// Encodes a regression: a number for each example.
///
/// # Errors
/// INVALID_ARGUMENT if there are no examples, RESOURCE_EXHAUSTED if the text has more than `max_bytes`.
pub fn encode_regressions(values: impl ExactSizeIterator<Item = f32>, max_bytes: usize) -> Result<Vec<u8>> {
    check_not_empty(values.len(), "RegressionResults")?;
    let mut writer = start(max_bytes);
    writer.set_single_line(true);
    for value in values {
        writer.value(|out| write_f32(value, out));
    }
    finish(writer)
}

fn check_not_empty(examples: usize, what: &str) -> Result<()> {
    if examples > 0 {
        return Ok(());
    }
    Err(ServingError::invalid_argument(format!("Cannot convert empty {what} to JSON")))
}

fn start(max_bytes: usize) -> Writer {
    let mut writer = Writer::within(max_bytes);
    writer.start_object();
    writer.key(RESULTS);
    writer.start_array();
    writer
}

fn finish(mut writer: Writer) -> Result<Vec<u8>> {
    writer.end_array();
    writer.end_object();
    writer.check_size()?;
    Ok(writer.into_bytes())
}
