// SPDX-License-Identifier: Apache-2.0
//! TensorFlow Serving's `BatchingParameters`, with its defaults, meaning and error texts.

use std::time::Duration;

use tensorserve_tensors::{Result, ServingError};

/// Rows of a batch if nothing else is said.
pub const DEFAULT_MAX_BATCH_SIZE: i64 = 1000;
/// Batches in a queue if nothing else is said.
pub const DEFAULT_MAX_ENQUEUED_BATCHES: i64 = 10;

/// How the queues of one model version behave; numbers are as they were written, checked by [`Parameters::check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Rows of a batch at most, and of a request.
    pub max_batch_size: i64,
    /// How long the first request of a batch waits for others.
    pub batch_timeout_micros: i64,
    /// Batches of a queue, the open one included.
    pub max_enqueued_batches: i64,
    /// Batches are padded up to the next of these row counts; ascending, none means no padding.
    pub allowed_batch_sizes: Vec<i64>,
    /// Requests of different shapes are padded to the largest one, instead of being batched apart.
    pub pad_variable_length_inputs: bool,
    /// Requests may be split over batches.
    pub enable_large_batch_splitting: bool,
    /// Rows of a batch at most where requests may be split; `None` means `max_batch_size`.
    pub max_execution_batch_size: Option<i64>,
}

impl Default for Parameters {
    fn default() -> Self {
        Parameters {
            max_batch_size: DEFAULT_MAX_BATCH_SIZE,
            batch_timeout_micros: 0,
            max_enqueued_batches: DEFAULT_MAX_ENQUEUED_BATCHES,
            allowed_batch_sizes: Vec::new(),
            pad_variable_length_inputs: false,
            enable_large_batch_splitting: false,
            max_execution_batch_size: None,
        }
    }
}

impl Parameters {
    /// INVALID_ARGUMENT, with the original's texts, for parameters that no queue can have.
    pub fn check(&self) -> Result<()> {
        let invalid = |text: String| Err(ServingError::invalid_argument(text));
        if self.max_batch_size <= 0 {
            return invalid(format!("max_batch_size must be positive; was {}", self.max_batch_size));
        }
        if self.batch_timeout_micros < 0 {
            return invalid(format!("batch_timeout_micros must be non-negative; was {}", self.batch_timeout_micros));
        }
        if self.max_enqueued_batches < 0 || self.max_enqueued_batches == 0 && self.enable_large_batch_splitting {
            return invalid(format!("max_enqueued_batches must be positive; was {}", self.max_enqueued_batches));
        }
        self.check_allowed_sizes()?;
        let execution = self.execution_batch_size();
        if self.enable_large_batch_splitting && (execution <= 0 || self.max_batch_size < execution) {
            return invalid(format!(
                "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to \
                 max_execution_batch_size.{}{execution}",
                self.max_batch_size
            ));
        }
        Ok(())
    }

    fn check_allowed_sizes(&self) -> Result<()> {
        let sizes = &self.allowed_batch_sizes;
        match sizes.last() {
            Some(&last) if last != self.max_batch_size => Err(ServingError::invalid_argument(format!(
                "Last entry in allowed_batch_sizes must match max_batch_size; last entry was {last}; expected {}",
                self.max_batch_size
            ))),
            Some(_) if !sizes.windows(2).all(|pair| pair[0] < pair[1]) || sizes[0] <= 0 => {
                Err(ServingError::invalid_argument(format!(
                    "allowed_batch_sizes must be positive and ascending; they are {sizes:?}"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Rows of a batch at most.
    pub fn execution_batch_size(&self) -> i64 {
        match self.enable_large_batch_splitting {
            true => self.max_execution_batch_size.unwrap_or(self.max_batch_size),
            false => self.max_batch_size,
        }
    }

    pub fn batch_timeout(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.batch_timeout_micros).unwrap_or(0))
    }

    /// Rows that a batch of `rows` is padded up to: the next allowed size, or what it has if it is larger than all.
    pub fn padded_rows(&self, rows: usize) -> usize {
        let size = |&size: &i64| usize::try_from(size).unwrap_or(usize::MAX);
        self.allowed_batch_sizes.iter().map(size).find(|&size| size >= rows).unwrap_or(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(change: impl FnOnce(&mut Parameters)) -> String {
        let mut parameters = Parameters::default();
        change(&mut parameters);
        parameters.check().map_or_else(|error| error.message, |()| String::new())
    }

    #[test]
    fn the_defaults_are_good() {
        assert_eq!(error_of(|_| ()), "");
        assert_eq!(error_of(|p| p.max_enqueued_batches = 0), "");
    }

    #[test]
    fn what_no_queue_can_have_is_refused_with_the_texts_of_the_original() {
        assert_eq!(error_of(|p| p.batch_timeout_micros = -1), "batch_timeout_micros must be non-negative; was -1");
        let text = error_of(|p| (p.max_enqueued_batches, p.enable_large_batch_splitting) = (0, true));
        assert_eq!(text, "max_enqueued_batches must be positive; was 0");
        let text = error_of(|p| p.allowed_batch_sizes = vec![8, 16]);
        assert_eq!(
            text,
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 16; expected 1000"
        );
        assert!(error_of(|p| p.allowed_batch_sizes = vec![8, 4, 1000]).contains("ascending"));
        let text = error_of(|p| {
            p.enable_large_batch_splitting = true;
            (p.max_batch_size, p.max_execution_batch_size) = (4, Some(8));
        });
        assert!(text.starts_with("When enable_large_batch_splitting is true, input_batch_size_limit must be greater"));
        assert!(text.ends_with("max_execution_batch_size.48"), "{text}");
    }

    #[test]
    fn batches_are_padded_to_the_next_allowed_size() {
        let parameters = Parameters { allowed_batch_sizes: vec![2, 8, 1000], ..Parameters::default() };
        assert_eq!([1, 2, 3, 9, 2000].map(|rows| parameters.padded_rows(rows)), [2, 2, 8, 1000, 2000]);
        assert_eq!(Parameters::default().padded_rows(3), 3);
    }
}
