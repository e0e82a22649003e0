// SPDX-License-Identifier: Apache-2.0
//! Where a small model computes: in the thread that runs it, or in the pool that all models share.
//!
//! Runs that keep to their threads do not wait for each other, so they do more at load, up to several times. The pool
//! makes a single run of a larger model faster. Both are measured where the difference could matter.

use std::time::{Duration, Instant};

use tensorserve_runtimes::{InterOp, IntraOp, LoadRequest, RunOptions, Runtime};

use crate::commissioning::budget::{ProbeBudget, SHORT_RUN};
use crate::commissioning::eligibility::obstacle;
use crate::commissioning::synthetic::{SyntheticRun, Values};
use crate::{Result, Servable, Signature};

const BUDGET: ProbeBudget = ProbeBudget::INTRA_OP;
/// Rows of the runs that are compared.
const ROWS: [usize; 2] = [1, BUDGET.rows];
/// How much longer a run may take in one thread: one row alone, and many rows.
const ALLOWED: [f64; 2] = [1.1, 1.3];

/// For each size of [`ROWS`] the quickest run.
type Times = [Duration; 2];

/// Loads a model so that it computes in the better place. `request.intra_op` is not looked at.
pub(crate) fn load(runtime: &dyn Runtime, request: &LoadRequest) -> Result<Servable> {
    let load = |intra_op| runtime.load(&LoadRequest { intra_op, ..request.clone() }).map(Servable::new);
    let alone = load(IntraOp::Caller)?;
    if alone.session().intra_op() == IntraOp::SharedPool {
        return Ok(alone);
    }
    let times = measure(&alone);
    if !times.is_empty() && times.iter().flatten().all(|&time| time < SHORT_RUN) {
        return Ok(alone);
    }
    // What is loaded already is good, whatever hinders another load.
    let Ok(shared) = load(IntraOp::SharedPool) else { return Ok(alone) };
    let keeps_up =
        !times.is_empty() && times.iter().zip(measure(&shared)).all(|(alone, shared)| is_near(alone, &shared));
    Ok(if keeps_up { alone } else { shared })
}

fn is_near(alone: &Times, shared: &Times) -> bool {
    let pairs = alone.iter().zip(shared).zip(ALLOWED);
    let is_near = |((alone, shared), allowed): ((&Duration, &Duration), f64)| {
        *alone < SHORT_RUN || alone.as_secs_f64() <= allowed * shared.as_secs_f64()
    };
    pairs.into_iter().all(is_near)
}

/// The times of each signature that can be run unasked with made-up inputs.
fn measure(servable: &Servable) -> Vec<Times> {
    let start = Instant::now();
    let harmless = servable.signatures().filter(|signature| obstacle(servable, signature).is_none());
    let in_time = harmless.take_while(|_| start.elapsed() < BUDGET.version);
    in_time.filter_map(|signature| times(servable, signature)).collect()
}

fn times(servable: &Servable, signature: &Signature) -> Option<Times> {
    let options = RunOptions { timeout: None, inter_op: InterOp::Caller };
    let mut times = Times::default();
    for (at, rows) in ROWS.into_iter().enumerate() {
        if at > 0 && times[0] > BUDGET.slow {
            times[at] = times[0];
            break;
        }
        let run = SyntheticRun::new(servable, signature, rows, Values::Varied)?;
        let begin = Instant::now();
        let mut quickest = Duration::MAX;
        for _ in 0..BUDGET.runs {
            quickest = quickest.min(run.time(&options).ok()?);
            if begin.elapsed() > BUDGET.size {
                break;
            }
        }
        times[at] = quickest;
    }
    Some(times)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use tensorserve_protos::tensorflow::SignatureDef;
    use tensorserve_runtimes::{Session, TensorHandle};
    use tensorserve_tensors::Tensor;

    use super::*;
    use crate::commissioning::fixture;

    /// Milliseconds of a run of 1 and of 64 rows.
    type Millis = [u64; 2];

    /// An engine whose sessions take as long as they are told in each place.
    #[derive(Default)]
    struct Engine {
        alone: Millis,
        shared: Millis,
        only_shared: bool,
        effects: bool,
        fails_in_pool: bool,
        loads: AtomicUsize,
    }

    struct Model {
        defs: BTreeMap<String, SignatureDef>,
        intra_op: IntraOp,
        millis: Millis,
        effects: bool,
    }

    impl Runtime for Engine {
        fn name(&self) -> &str {
            "engine"
        }

        fn version(&self) -> &str {
            "1"
        }

        fn load(&self, request: &LoadRequest) -> Result<Arc<dyn Session>> {
            self.loads.fetch_add(1, Ordering::Relaxed);
            if self.fails_in_pool && request.intra_op == IntraOp::SharedPool {
                return Err(crate::ServingError::internal("no second load"));
            }
            let intra_op = if self.only_shared { IntraOp::SharedPool } else { request.intra_op };
            let millis = if intra_op == IntraOp::Caller { self.alone } else { self.shared };
            let defs = fixture::signature_defs();
            Ok(Arc::new(Model { defs, intra_op, millis, effects: self.effects }))
        }
    }

    impl Session for Model {
        fn signature_defs(&self) -> &BTreeMap<String, SignatureDef> {
            &self.defs
        }

        fn resolve(&self, tensor_name: &str) -> Result<TensorHandle> {
            Ok(TensorHandle(usize::from(tensor_name == "y:0")))
        }

        fn run(&self, feeds: &[(TensorHandle, Tensor)], _: &[TensorHandle], _: &RunOptions) -> Result<Vec<Tensor>> {
            let rows = feeds[0].1.shape().num_elements();
            thread::sleep(Duration::from_millis(self.millis[usize::from(rows > 1)]));
            Ok(vec![feeds[0].1.clone()])
        }

        fn intra_op(&self) -> IntraOp {
            self.intra_op
        }

        fn has_effects(&self, _: &str) -> bool {
            self.effects
        }
    }

    /// Where the model computes, and how often it was loaded for that.
    fn chosen(engine: &Engine) -> (IntraOp, usize) {
        let request = LoadRequest {
            path: PathBuf::new(),
            tags: Vec::new(),
            config_proto: Vec::new(),
            niceness: 0,
            intra_op: IntraOp::SharedPool,
        };
        let servable = load(engine, &request).unwrap();
        (servable.session().intra_op(), engine.loads.load(Ordering::Relaxed))
    }

    #[test]
    fn quick_models_and_those_that_keep_up_stay_in_their_threads() {
        assert_eq!(chosen(&Engine::default()), (IntraOp::Caller, 1));
        assert_eq!(chosen(&Engine { alone: [0, 5], shared: [0, 20], ..Engine::default() }), (IntraOp::Caller, 2));
    }

    #[test]
    fn models_whose_single_runs_gain_by_the_pool_get_it() {
        assert_eq!(chosen(&Engine { alone: [10, 10], shared: [2, 10], ..Engine::default() }), (IntraOp::SharedPool, 2));
        assert_eq!(chosen(&Engine { alone: [0, 20], shared: [0, 4], ..Engine::default() }), (IntraOp::SharedPool, 2));
    }

    #[test]
    fn many_rows_of_a_slow_model_are_not_tried() {
        let minute = 60_000;
        let engine = Engine { alone: [30, minute], shared: [90, minute], ..Engine::default() };
        assert_eq!(chosen(&engine), (IntraOp::Caller, 2));
    }

    #[test]
    fn a_model_that_is_loaded_stays_if_it_cannot_be_loaded_again() {
        let engine = Engine { alone: [10, 10], fails_in_pool: true, ..Engine::default() };
        assert_eq!(chosen(&engine), (IntraOp::Caller, 2));
    }

    #[test]
    fn what_cannot_be_measured_or_chosen_is_left_to_the_pool() {
        assert_eq!(chosen(&Engine { effects: true, ..Engine::default() }), (IntraOp::SharedPool, 2));
        assert_eq!(chosen(&Engine { only_shared: true, ..Engine::default() }), (IntraOp::SharedPool, 1));
    }
}
