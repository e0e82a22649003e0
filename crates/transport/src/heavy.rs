// SPDX-License-Identifier: Apache-2.0
//! Work on large bodies: parsing megabytes of JSON takes milliseconds, which the other requests of a lane must not wait for.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use tensorserve_servables::execution::executor::{InterOp, Request, RunTime};
use tensorserve_servables::execution::run_profile::RunProfile;
use tensorserve_servables::{Result, Urgency};

use crate::lane::Lane;

/// Bodies below this are worked on at once, without being asked.
const SMALL: usize = 16 << 10;

/// What work of each kind takes, by the size of its body.
pub(crate) static DECODE: RunProfile = RunProfile::new(RunTime::InputSizes);
pub(crate) static ENCODE: RunProfile = RunProfile::new(RunTime::InputSizes);
/// The size of a compressed body does not say what it takes, and that of a message does not either.
pub(crate) static INFLATE: RunProfile = RunProfile::new(RunTime::InputValues);
pub(crate) static PARSE: RunProfile = RunProfile::new(RunTime::InputValues);
/// Copying tensors takes what they have bytes, but what is freed with them may take longer.
pub(crate) static COPY: RunProfile = RunProfile::new(RunTime::InputValues);

/// Its share of the execution threads; no model has an empty name.
static GROUP: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));

/// Whether a body of this size is better worked on by [`work`].
pub(crate) fn is_large(bytes: usize) -> bool {
    bytes >= SMALL
}

/// Does `job` on an execution thread, unless work of its kind and size is known to be short. DEADLINE_EXCEEDED if `deadline`
/// passes before.
pub(crate) async fn work<R: Send + 'static>(
    lane: &Lane,
    profile: &RunProfile,
    bytes: usize,
    deadline: Option<Instant>,
    job: impl FnOnce() -> Result<R> + Send + 'static,
) -> Result<R> {
    let urgency = Urgency { deadline, ..Urgency::default() };
    let (load, inter_op_threading) = (lane.load(), InterOp::default());
    let request = Request { profile, input_bytes: bytes, group: &GROUP, load, urgency, inter_op_threading };
    lane.serving.executor.run(request, |_: &_| job()).await
}
