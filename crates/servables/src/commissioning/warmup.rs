// SPDX-License-Identifier: Apache-2.0
//! Runs a version once before anyone asks it, with inputs that are made up from its signatures.
//!
//! What the first run of a signature must do (allocate, choose and compile kernels) is then done.

use std::time::{Duration, Instant};

use tensorserve_runtimes::{InterOp, RunOptions};

use crate::commissioning::budget::ProbeBudget;
use crate::commissioning::eligibility::obstacle;
use crate::commissioning::synthetic::{SyntheticRun, Values};
use crate::table::signature::Signature;
use crate::{Servable, ServingError};

/// The outcome for one signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ran(Duration),
    /// Nothing is wrong with a model that refuses zeros.
    Failed(ServingError),
    /// Says why.
    Skipped(&'static str),
}

/// Runs each signature that clients may ask once, and gives the outcome. A signature is left out if its runs may do
/// more than compute.
pub fn synthesize(servable: &Servable) -> Vec<(String, Outcome)> {
    within(servable, &ProbeBudget::WARM_UP)
}

fn within(servable: &Servable, budget: &ProbeBudget) -> Vec<(String, Outcome)> {
    let start = Instant::now();
    let run = |name: &String| {
        let signature = servable.signature(name)?;
        let outcome = match obstacle(servable, signature) {
            Some(obstacle) => Outcome::Skipped(obstacle.reason()),
            None if start.elapsed() >= budget.version => Outcome::Skipped("there was no time left"),
            None => {
                let left = budget.run.min(budget.version.saturating_sub(start.elapsed()));
                run_once(servable, signature, budget.rows, left)
            }
        };
        Some((name.clone(), outcome))
    };
    servable.signature_defs().keys().filter_map(run).collect()
}

fn run_once(servable: &Servable, signature: &Signature, rows: usize, timeout: Duration) -> Outcome {
    let Some(run) = SyntheticRun::new(servable, signature, rows, Values::Zeros) else {
        return Outcome::Skipped("its inputs cannot be made up");
    };
    // In the pool, where a run can be interrupted.
    match run.time(&RunOptions { timeout: Some(timeout), inter_op: InterOp::Pool }) {
        Ok(took) => Outcome::Ran(took),
        Err(error) => Outcome::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use tensorserve_protos::tensorflow::tensor_info::Encoding;
    use tensorserve_protos::tensorflow::{SignatureDef, TensorInfo, TensorShapeProto};
    use tensorserve_runtimes::{Session, TensorHandle};
    use tensorserve_tensors::{DataType, Result, Tensor};

    use super::*;
    use crate::DEFAULT_SIGNATURE;

    /// Resolves any name, and notes how often it ran; signatures called `train` have effects.
    #[derive(Default)]
    struct Recorder {
        defs: BTreeMap<String, SignatureDef>,
        runs: Arc<Mutex<usize>>,
        failure: Option<ServingError>,
    }

    impl Session for Recorder {
        fn signature_defs(&self) -> &BTreeMap<String, SignatureDef> {
            &self.defs
        }

        fn resolve(&self, tensor_name: &str) -> Result<TensorHandle> {
            Ok(TensorHandle(tensor_name.len()))
        }

        fn has_effects(&self, signature: &str) -> bool {
            signature == "train"
        }

        fn run(&self, feeds: &[(TensorHandle, Tensor)], _: &[TensorHandle], _: &RunOptions) -> Result<Vec<Tensor>> {
            *self.runs.lock().unwrap() += 1;
            match &self.failure {
                Some(error) => Err(error.clone()),
                None => Ok(vec![feeds[0].1.clone()]),
            }
        }
    }

    fn def(method_name: &str, inputs: usize) -> SignatureDef {
        let info = TensorInfo {
            dtype: DataType::Float as i32,
            encoding: Some(Encoding::Name("x:0".to_owned())),
            tensor_shape: Some(TensorShapeProto { unknown_rank: true, ..Default::default() }),
        };
        SignatureDef {
            inputs: (0..inputs).map(|at| (format!("x{at}"), info.clone())).collect(),
            outputs: [("y".to_owned(), info)].into(),
            method_name: method_name.to_owned(),
            ..Default::default()
        }
    }

    fn outcomes(
        defs: &[(&str, SignatureDef)],
        failure: Option<ServingError>,
        version: Duration,
    ) -> (Vec<Outcome>, usize) {
        let defs = defs.iter().map(|(name, def)| ((*name).to_owned(), def.clone())).collect();
        let recorder = Recorder { defs, failure, ..Default::default() };
        let runs = Arc::clone(&recorder.runs);
        let servable = Servable::new(Arc::new(recorder));
        let budget = ProbeBudget { version, ..ProbeBudget::WARM_UP };
        let outcomes = within(&servable, &budget).into_iter().map(|(_, outcome)| outcome).collect();
        let runs = *runs.lock().unwrap();
        (outcomes, runs)
    }

    const PREDICT: &str = "tensorflow/serving/predict";
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn what_clients_may_ask_is_run_once() {
        let defs = [("a", def(PREDICT, 2)), (DEFAULT_SIGNATURE, def("", 1))];
        let (outcomes, runs) = outcomes(&defs, None, MINUTE);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Ran(_))), "{outcomes:?}");
        assert_eq!(runs, 2);
    }

    #[test]
    fn what_may_do_more_than_compute_is_not_run() {
        let defs = [("other", def("my/method", 1)), ("source", def(PREDICT, 0)), ("train", def(PREDICT, 1))];
        let (outcomes, runs) = outcomes(&defs, None, MINUTE);
        let reasons: Vec<_> = outcomes.iter().map(|outcome| format!("{outcome:?}")).collect();
        assert!(reasons[0].contains("method_name") && reasons[1].contains("no inputs"), "{reasons:?}");
        assert!(reasons[2].contains("more than compute"), "{reasons:?}");
        assert_eq!(runs, 0);
    }

    #[test]
    fn a_failure_is_only_told() {
        let error = ServingError::invalid_argument("zeros are not welcome");
        let (outcomes, _) = outcomes(&[("a", def(PREDICT, 1))], Some(error.clone()), MINUTE);
        assert_eq!(outcomes, [Outcome::Failed(error)]);
    }

    #[test]
    fn no_run_begins_after_the_time_is_over() {
        let (outcomes, runs) = outcomes(&[("a", def(PREDICT, 1))], None, Duration::ZERO);
        assert_eq!((outcomes, runs), (vec![Outcome::Skipped("there was no time left")], 0));
    }
}
