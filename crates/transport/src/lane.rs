// SPDX-License-Identifier: Apache-2.0
//! What the connections of one input/output thread share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tensorserve_servables::execution::executor::LaneLoad;

use crate::serving::Serving;

/// One input/output thread, as its calls see it.
pub struct Lane {
    pub serving: Arc<Serving>,
    pub(crate) connections: AtomicUsize,
    pub(crate) calls: AtomicUsize,
}

impl Lane {
    pub(crate) fn new(serving: Arc<Serving>) -> Arc<Self> {
        Arc::new(Lane { serving, connections: AtomicUsize::new(0), calls: AtomicUsize::new(0) })
    }

    /// Whether further calls wait for this lane's thread.
    pub(crate) fn load(&self) -> LaneLoad {
        if self.calls.load(Ordering::Relaxed) > 1 { LaneLoad::Others } else { LaneLoad::Alone }
    }
}
