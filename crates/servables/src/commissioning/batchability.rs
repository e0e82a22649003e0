// SPDX-License-Identifier: Apache-2.0
//! Whether the requests of a signature may share a run, and if not, why.
//!
//! The signature says what is possible: a known rank with an open first dimension everywhere. What the model makes of
//! it is seen by running rows together and apart, once, on made-up inputs.

use std::fmt;
use std::time::Instant;

use tensorserve_batching::split;
use tensorserve_runtimes::{InterOp, RunOptions, Session, TensorHandle};
use tensorserve_tensors::{DataType, Tensor, TensorData};

use crate::commissioning::budget::ProbeBudget;
use crate::commissioning::eligibility::{Obstacle, obstacle};
use crate::commissioning::synthetic::{self, Values};
use crate::execution::computation::Feeds;
use crate::table::signature::{Endpoint, Signature};
use crate::{Result, Servable};

const BUDGET: ProbeBudget = ProbeBudget::BATCHABILITY;
/// Rows that are compared.
const ROWS: usize = BUDGET.rows;
/// Kernels add up in another order for other numbers of rows.
const TOLERANCE: f64 = 1e-4;

/// What is known of a signature.
#[derive(Clone, Debug, PartialEq)]
pub enum Batchability {
    /// Rows gave the same together and apart.
    Seen,
    /// The signature allows it; the comparison could not be made for this reason.
    Declared(String),
    /// Its requests are run apart for this reason.
    Not(String),
}

impl Batchability {
    pub(crate) fn may_batch(&self) -> bool {
        !matches!(self, Batchability::Not(_))
    }
}

impl fmt::Display for Batchability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Batchability::Seen => f.write_str("rows gave the same together and apart"),
            Batchability::Declared(reason) => write!(f, "the signature allows it; not compared: {reason}"),
            Batchability::Not(reason) => write!(f, "served unbatched: {reason}"),
        }
    }
}

/// Finds out. With `compare` it runs the model a few times; without, the signature's word is taken.
pub(crate) fn examine(signature: &Signature, servable: &Servable, compare: bool) -> Batchability {
    if signature.inputs.is_empty() {
        return Batchability::Not("it has no inputs".to_owned());
    }
    if servable.session().run_time(Some(&signature.name)).may_wait() {
        return Batchability::Not("its runs may wait for other runs".to_owned());
    }
    if !signature.may_batch {
        return Batchability::Not("an input or output does not declare a rank with an open first dimension".to_owned());
    }
    if !compare {
        return Batchability::Declared("the parameters ask for batches".to_owned());
    }
    match obstacle(servable, signature) {
        None => {}
        // Classifiers and their like: rows are examples.
        Some(unknown @ Obstacle::UnknownExamples) => return Batchability::Declared(unknown.reason().to_owned()),
        Some(obstacle) => return Batchability::Not(obstacle.reason().to_owned()),
    }
    let Some(together) = synthetic::inputs(servable, signature, ROWS, Values::Varied) else {
        return Batchability::Declared("its inputs could not be made up".to_owned());
    };
    let (outputs, fetches): (Vec<&Endpoint>, Vec<TensorHandle>) = signature.fetchable().unzip();
    match first_difference(servable.session(), &together, &fetches) {
        Ok(None) => Batchability::Seen,
        Ok(Some(at)) => {
            let alias = outputs.get(at).map_or("", |output| output.alias.as_str());
            Batchability::Not(format!("rows of output {alias} are not the same together and apart"))
        }
        Err(error) => Batchability::Declared(error.message),
    }
}

/// The place of an output that differs.
fn first_difference(session: &dyn Session, feeds: &Feeds, fetches: &[TensorHandle]) -> Result<Option<usize>> {
    let end = Instant::now() + BUDGET.size;
    let run = |feeds: &Feeds| {
        let timeout = crate::execution::executor::timeout_left(Some(end))?;
        session.run(feeds, fetches, &RunOptions { timeout, inter_op: InterOp::Pool })
    };
    let row_of = |row: usize| feeds.iter().map(|(handle, all)| (*handle, split::rows(all, row..row + 1))).collect();
    let apart = (0..ROWS).map(|row| run(&row_of(row))).collect::<Result<Vec<_>>>()?;
    let together = run(feeds)?;
    let is_same = |at: usize| {
        split::check_rows(&together[at], ROWS).is_ok()
            && apart
                .iter()
                .enumerate()
                .all(|(row, apart)| is_close(&split::rows(&together[at], row..row + 1), &apart[at]))
    };
    Ok((0..fetches.len()).find(|&at| !is_same(at)))
}

fn is_close(a: &Tensor, b: &Tensor) -> bool {
    if a.dtype() != b.dtype() || a.shape() != b.shape() {
        return false;
    }
    match (a.data(), b.data()) {
        (TensorData::Strings(a), TensorData::Strings(b)) => (0..a.len()).all(|at| a.get(at) == b.get(at)),
        (TensorData::Plain(plain_a), TensorData::Plain(plain_b)) => match a.dtype() {
            DataType::Float => numbers::<4>(plain_a, plain_b, |bytes| f64::from(f32::from_le_bytes(bytes))),
            DataType::Double => numbers::<8>(plain_a, plain_b, f64::from_le_bytes),
            // What has few digits differs by whole ones of them.
            DataType::Half | DataType::Bfloat16 | DataType::Complex64 | DataType::Complex128 => true,
            _ => plain_a == plain_b,
        },
        _ => false,
    }
}

/// Whether all numbers are the same but for rounding.
fn numbers<const SIZE: usize>(a: &[u8], b: &[u8], read: impl Fn([u8; SIZE]) -> f64) -> bool {
    let values = |bytes: &[u8]| bytes.as_chunks::<SIZE>().0.iter().map(|chunk| read(*chunk)).collect::<Vec<f64>>();
    let (a, b) = (values(a), values(b));
    let largest =
        a.iter().chain(&b).filter(|value| value.is_finite()).fold(0.0, |most: f64, value| most.max(value.abs()));
    let close = |(a, b): (&f64, &f64)| a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= TOLERANCE * largest;
    a.iter().zip(&b).all(close)
}
