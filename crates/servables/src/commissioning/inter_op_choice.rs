// SPDX-License-Identifier: Apache-2.0
//! Which thread goes through the operations of a model's long runs: the one that runs it, or those of the engine's
//! inter-op pool.
//!
//! The pool lets independent branches of a graph run side by side, and costs a hand-over for every few operations. Most
//! graphs have one branch: then runs that keep to their threads do more at load. Both are measured.

use std::time::{Duration, Instant};

use prost::Message;
use tensorserve_protos::tensorflow::ConfigProto;
use tensorserve_runtimes::{InterOp, RunOptions, RunTime};

use crate::commissioning::budget::{ProbeBudget, SHORT_RUN};
use crate::commissioning::eligibility::obstacle;
use crate::commissioning::synthetic::{SyntheticRun, Values};
use crate::{Result, Servable, Signature};

/// How much longer a run alone may take in one thread, as other runs use the other ones.
const ALLOWED: f64 = 1.2;
const BUDGET: ProbeBudget = ProbeBudget::INTER_OP;

/// Chooses the thread for long runs of a model: the one that the flag `inter_op_threading` names, else the pool if the
/// session options say how large it is, else the one that a measurement favours.
#[must_use]
pub(crate) fn choose(servable: Servable, inter_op_threading: Option<InterOp>, config_proto: &[u8]) -> Servable {
    let named = || has_own_pool(config_proto).then_some(InterOp::Pool);
    let known = servable.session().fixed_inter_op().or(inter_op_threading).or_else(named);
    let chosen = known.unwrap_or_else(|| measured(&servable));
    servable.with_inter_op_threading(chosen)
}

fn has_own_pool(config_proto: &[u8]) -> bool {
    ConfigProto::decode(config_proto).is_ok_and(|config| {
        config.inter_op_parallelism_threads != 0
            || config.use_per_session_threads
            || !config.session_inter_op_thread_pool.is_empty()
    })
}

/// By all signatures that can be run unasked with made-up inputs.
fn measured(servable: &Servable) -> InterOp {
    // Runs whose time is not known may have to be interrupted.
    if servable.session().run_time(None) > RunTime::AllocatesByValue {
        return InterOp::Pool;
    }
    let start = Instant::now();
    let harmless = servable.signatures().filter(|signature| obstacle(servable, signature).is_none());
    let in_time = harmless.take_while(|_| start.elapsed() < BUDGET.version);
    let verdicts: Vec<bool> = in_time.filter_map(|signature| keeps_up(servable, signature)).collect();
    if !verdicts.is_empty() && verdicts.iter().all(|&keeps_up| keeps_up) { InterOp::Caller } else { InterOp::Pool }
}

/// Whether a run in the calling thread is about as quick; `None` if that cannot be said.
fn keeps_up(servable: &Servable, signature: &Signature) -> Option<bool> {
    let run = |rows| SyntheticRun::new(servable, signature, rows, Values::Varied);
    let one = run(1)?;
    time(&one, InterOp::Pool).ok()?;
    let row = time(&one, InterOp::Pool).ok()?;
    // Left to the pool, where it can be interrupted.
    if row > BUDGET.slow {
        return None;
    }
    let run = if row < SHORT_RUN { run(BUDGET.rows)? } else { one };
    // Where the pool seems quicker, something else may have slowed the calling thread: that has to be seen twice.
    Some(is_near(&run).ok()? || is_near(&run).ok()?)
}

fn is_near(run: &SyntheticRun) -> Result<bool> {
    let (begin, mut pool, mut caller) = (Instant::now(), Duration::MAX, Duration::MAX);
    for _ in 0..BUDGET.runs {
        pool = pool.min(time(run, InterOp::Pool)?);
        caller = caller.min(time(run, InterOp::Caller)?);
        if begin.elapsed() > BUDGET.size {
            break;
        }
    }
    Ok(caller.as_secs_f64() <= ALLOWED * pool.as_secs_f64())
}

fn time(run: &SyntheticRun, inter_op: InterOp) -> Result<Duration> {
    // Nothing interrupts a run in the calling thread; the first of each kind is one in the pool.
    run.time(&RunOptions { timeout: (inter_op == InterOp::Pool).then_some(BUDGET.run), inter_op })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use tensorserve_protos::tensorflow::SignatureDef;
    use tensorserve_runtimes::{Session, TensorHandle};
    use tensorserve_tensors::Tensor;

    use super::*;
    use crate::commissioning::fixture;

    /// Its runs take as long as they are told, in the calling thread and in the pool.
    #[derive(Clone, Default)]
    struct Engine {
        caller: Duration,
        pool: Duration,
        unbounded: bool,
        effects: bool,
        fails: bool,
        fixed: Option<InterOp>,
        defs: BTreeMap<String, SignatureDef>,
        runs: Arc<AtomicUsize>,
    }

    impl Session for Engine {
        fn signature_defs(&self) -> &BTreeMap<String, SignatureDef> {
            &self.defs
        }

        fn resolve(&self, tensor_name: &str) -> Result<TensorHandle> {
            Ok(TensorHandle(usize::from(tensor_name == "y:0")))
        }

        fn run(
            &self,
            feeds: &[(TensorHandle, Tensor)],
            _: &[TensorHandle],
            options: &RunOptions,
        ) -> Result<Vec<Tensor>> {
            self.runs.fetch_add(1, Ordering::Relaxed);
            if self.fails {
                return Err(crate::ServingError::internal("it refuses what is made up"));
            }
            let row = if options.inter_op == InterOp::Caller { self.caller } else { self.pool };
            thread::sleep(row * feeds[0].1.shape().num_elements() as u32);
            Ok(vec![feeds[0].1.clone()])
        }

        fn run_time(&self, _: Option<&str>) -> RunTime {
            if self.unbounded { RunTime::InputValues } else { RunTime::InputSizes }
        }

        fn has_effects(&self, _: &str) -> bool {
            self.effects
        }

        fn fixed_inter_op(&self) -> Option<InterOp> {
            self.fixed
        }
    }

    fn engine(caller: u64, pool: u64) -> Engine {
        let [caller, pool] = [caller, pool].map(Duration::from_micros);
        Engine { caller, pool, defs: fixture::signature_defs(), ..Engine::default() }
    }

    /// The choice, and after how many runs it was made.
    fn chosen(engine: Engine, flag: Option<InterOp>, config: &ConfigProto) -> (InterOp, usize) {
        let runs = Arc::clone(&engine.runs);
        let servable = choose(Servable::new(Arc::new(engine)), flag, &config.encode_to_vec());
        (servable.inter_op_threading(), runs.load(Ordering::Relaxed))
    }

    fn measured(engine: Engine) -> (InterOp, usize) {
        chosen(engine, None, &ConfigProto::default())
    }

    #[test]
    fn models_that_gain_nothing_by_the_pool_keep_to_their_threads() {
        assert_eq!(measured(engine(2000, 3000)).0, InterOp::Caller);
        assert_eq!(measured(engine(9000, 3000)).0, InterOp::Pool);
    }

    #[test]
    fn many_rows_are_compared_where_one_is_short() {
        assert_eq!(measured(engine(20, 90)).0, InterOp::Caller);
        assert_eq!(measured(engine(300, 20)).0, InterOp::Pool);
    }

    #[test]
    fn what_cannot_be_measured_is_left_to_the_pool() {
        assert_eq!(measured(engine(0, 2 * BUDGET.slow.as_micros() as u64)), (InterOp::Pool, 2));
        assert_eq!(measured(Engine { fails: true, ..engine(0, 3000) }), (InterOp::Pool, 1));
        assert_eq!(measured(Engine { effects: true, ..engine(0, 3000) }), (InterOp::Pool, 0));
        assert_eq!(measured(Engine { unbounded: true, ..engine(0, 3000) }), (InterOp::Pool, 0));
    }

    #[test]
    fn what_is_said_is_not_measured() {
        let default = ConfigProto::default();
        let sized = ConfigProto { inter_op_parallelism_threads: 3, ..default.clone() };
        for named in [InterOp::Caller, InterOp::Pool] {
            assert_eq!(chosen(engine(0, 3000), Some(named), &default), (named, 0));
            assert_eq!(chosen(engine(0, 3000), Some(named), &sized), (named, 0));
            let fixed = Engine { fixed: Some(InterOp::Caller), ..engine(0, 3000) };
            assert_eq!(chosen(fixed, Some(named), &default), (InterOp::Caller, 0));
        }
        assert_eq!(chosen(engine(0, 3000), None, &sized), (InterOp::Pool, 0));
        assert_eq!(chosen(engine(0, 3000), None, &ConfigProto { use_per_session_threads: true, ..default }).1, 0);
    }
}
