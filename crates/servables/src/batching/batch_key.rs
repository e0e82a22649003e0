// SPDX-License-Identifier: Apache-2.0
//! What runs must have in common to run together: the tensors that are fed, their types and shapes, and those that
//! are fetched.

use smallvec::SmallVec;
use tensorserve_runtimes::TensorHandle;

use crate::execution::computation::{Computation, Feeds};

/// Runs with equal keys can be merged along dimension 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BatchKey {
    /// For each input in order: handle, type, rank and the dimensions behind the first.
    inputs: SmallVec<[i64; 8]>,
    pub(crate) fetches: SmallVec<[TensorHandle; 4]>,
}

impl BatchKey {
    /// The key and the rows of a run, whose feeds are put in order. `None` if its inputs do not have one number of rows,
    /// at least one. `any_shape`: shapes may differ behind dimension 0.
    pub(crate) fn of(run: &mut Computation, any_shape: bool) -> Option<(Self, usize)> {
        let rows = rows_of(&run.feeds).filter(|&rows| rows > 0)?;
        if !run.feeds.is_sorted_by_key(|(handle, _)| handle.0) {
            run.feeds.sort_by_key(|(handle, _)| handle.0);
        }
        let mut inputs = SmallVec::new();
        for (handle, tensor) in &run.feeds {
            let dims = tensor.shape().dims();
            inputs.extend([handle.0 as i64, tensor.dtype() as i64, dims.len() as i64]);
            if !any_shape {
                inputs.extend_from_slice(dims.get(1..).unwrap_or_default());
            }
        }
        let mut fetches: SmallVec<[TensorHandle; 4]> = run.fetches.iter().copied().collect();
        if !fetches.is_sorted_by(|a, b| a.0 < b.0) {
            fetches.sort_by_key(|handle| handle.0);
            fetches.dedup();
        }
        Some((BatchKey { inputs, fetches }, rows))
    }
}

/// The common size of dimension 0.
fn rows_of(feeds: &Feeds) -> Option<usize> {
    let mut sizes = feeds.iter().map(|(_, tensor)| tensor.shape().dims().first().copied());
    let first = sizes.next()??;
    sizes.all(|size| size == Some(first)).then_some(first as usize)
}
