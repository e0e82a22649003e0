// SPDX-License-Identifier: Apache-2.0
//! Run options in their serialized form, `tensorflow.RunOptions`.

use std::time::Duration;

use prost::encoding::{int32, int64};

use super::functions::TfBuffer;
use crate::{InterOp, RunOptions};

const TIMEOUT_IN_MS: u32 = 2;
const INTER_OP_THREAD_POOL: u32 = 3;
/// The pool number that stands for the calling thread.
const CALLING_THREAD: i32 = -1;

/// Two fields: for each a byte for its number and the longest integer.
const CAPACITY: usize = 22;

/// The serialized options of one run, made without an allocation.
pub(super) struct SerializedRunOptions {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl SerializedRunOptions {
    /// `None` if TensorFlow's defaults apply.
    ///
    /// A time limit is rounded up to milliseconds and to at least one, because 0 stands for no limit.
    pub(super) fn new(options: &RunOptions) -> Option<Self> {
        let mut bytes = [0; CAPACITY];
        let mut rest = &mut bytes[..];
        if let Some(timeout) = options.timeout {
            int64::encode(TIMEOUT_IN_MS, &timeout_millis(timeout), &mut rest);
        }
        if options.inter_op == InterOp::Caller {
            int32::encode(INTER_OP_THREAD_POOL, &CALLING_THREAD, &mut rest);
        }
        let len = CAPACITY - rest.len();
        (len > 0).then_some(SerializedRunOptions { bytes, len })
    }

    /// A buffer to pass to TensorFlow, over bytes that live as long as `self`.
    pub(super) fn buffer(&self) -> TfBuffer {
        TfBuffer { data: self.bytes.as_ptr().cast(), length: self.len, deallocator: None }
    }
}

/// TensorFlow counts the limit in microseconds, so a longer one than their number allows is the longest.
fn timeout_millis(timeout: Duration) -> i64 {
    const LONGEST: i64 = i64::MAX / 1_000_000;
    i64::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(LONGEST).clamp(1, LONGEST)
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use tensorserve_protos::tensorflow;

    use super::*;

    fn decoded(inter_op: InterOp, timeout: Option<Duration>) -> tensorflow::RunOptions {
        let serialized = SerializedRunOptions::new(&RunOptions { timeout, inter_op }).expect("options");
        tensorflow::RunOptions::decode(&serialized.bytes[..serialized.len]).expect("a valid message")
    }

    #[test]
    fn the_calling_thread_is_pool_minus_one() {
        let expected = tensorflow::RunOptions { inter_op_thread_pool: -1, ..Default::default() };
        assert_eq!(decoded(InterOp::Caller, None), expected);
        let expected = tensorflow::RunOptions { timeout_in_ms: i64::MAX / 1_000_000, ..expected };
        assert_eq!(decoded(InterOp::Caller, Some(Duration::MAX)), expected);
    }

    #[test]
    fn the_pool_without_a_time_limit_is_the_default() {
        assert!(SerializedRunOptions::new(&RunOptions { timeout: None, inter_op: InterOp::Pool }).is_none());
    }

    #[test]
    fn time_limits_are_whole_milliseconds_and_never_zero() {
        for (timeout, expected) in [
            (Duration::ZERO, 1),
            (Duration::from_micros(1), 1),
            (Duration::from_millis(20), 20),
            (Duration::from_micros(20_001), 21),
            (Duration::MAX, i64::MAX / 1_000_000),
        ] {
            assert_eq!(decoded(InterOp::Pool, Some(timeout)).timeout_in_ms, expected, "{timeout:?}");
        }
    }
}
