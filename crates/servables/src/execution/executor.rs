// SPDX-License-Identifier: Apache-2.0
//! Which thread a run happens on, and how many runs happen at once.
//!
//! A run that is known to be short happens right where the request was read: a hand-over to another thread would cost
//! more than the run. Any other run happens on an execution thread, so that it never holds up the input and output of
//! other requests. Runs that may last until their deadline use the engine's inter-op pool, where they can be interrupted;
//! other long ones use what suits the model.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tensorserve_batching::{Pool, Priority};
pub use tensorserve_runtimes::{InterOp, RunOptions, RunTime};
use tokio::sync::oneshot;

use crate::execution::admission::{Admission, Admitted, InFlightLimits};
use crate::execution::run_profile::{RunProfile, run_options};
use crate::{Code, Result, ServingError};

/// Whether other requests wait for the thread that read this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneLoad {
    Alone,
    Others,
}

/// How many runs may happen at once if nothing else is said: two for each CPU that this process may use, by its
/// affinity and its control group.
pub fn default_threads() -> usize {
    2 * usable_cpus()
}

/// The CPUs that this process may use.
pub(crate) fn usable_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How a client wants its request treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Urgency {
    /// When it stops waiting.
    pub deadline: Option<Instant>,
    pub priority: Priority,
}

/// What is known of a job before it runs.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Of jobs of its kind, by the bytes of their inputs.
    pub profile: &'a RunProfile,
    pub input_bytes: usize,
    /// The model whose share of the execution threads it takes from.
    pub group: &'a Arc<str>,
    pub load: LaneLoad,
    pub urgency: Urgency,
    /// The engine's threads for long runs of its model.
    pub inter_op_threading: InterOp,
}

/// Runs jobs, long ones on a bounded number of execution threads.
#[derive(Clone)]
pub struct Executor {
    threads: Pool,
    batch_threads: Pool,
    /// For runs that may wait for other runs, so that they take nobody's place meanwhile.
    waiting_threads: Pool,
    admission: Arc<Admission>,
}

/// Runs that may wait happen at once up to this number, and up to that for each signature: those that the first ones wait
/// for may be of another signature.
const WAITING_RUNS: usize = 256;
const WAITING_RUNS_OF_SIGNATURE: usize = 32;

impl Executor {
    /// At most `threads.limit()` jobs run at once on execution threads; batches with fixed parameters run on
    /// `batch_threads`.
    pub fn new(threads: Pool, batch_threads: Pool) -> Self {
        let waiting_threads =
            Pool::new("tensorserve-wait", WAITING_RUNS, HashMap::new()).with_group_limit(WAITING_RUNS_OF_SIGNATURE);
        Executor { threads, batch_threads, waiting_threads, admission: Arc::default() }
    }

    /// The same, with limits to how many requests may be in flight.
    pub fn with_limits(self, limits: InFlightLimits) -> Self {
        Executor { admission: Arc::new(Admission::new(limits)), ..self }
    }

    /// The models' shares of the execution threads from now on; those without a weight have 1.
    pub fn set_weights(&self, weights: HashMap<Arc<str>, f64>) {
        self.threads.set_weights(weights);
    }

    /// Counts a request for a model as in flight. UNAVAILABLE if there are as many as may be.
    pub(crate) fn admit(&self, model: &Arc<str>, priority: Priority) -> Result<Option<Admitted>> {
        self.admission.admit(model, priority)
    }

    /// The threads of long runs.
    pub(crate) fn threads(&self) -> &Pool {
        &self.threads
    }

    /// The threads of batches with fixed parameters.
    pub(crate) fn batch_threads(&self) -> &Pool {
        &self.batch_threads
    }

    /// Lets the threads that have no work give back the memory that they freed.
    pub fn give_back_freed(&self) {
        for pool in [&self.threads, &self.batch_threads, &self.waiting_threads] {
            pool.rest(tensorserve_runtimes::allocator::give_back_freed);
        }
    }

    /// Drops the jobs that wait; those that run go on, and no further ones do.
    pub fn stop(&self) {
        self.threads.stop();
        self.batch_threads.stop();
        self.waiting_threads.stop();
    }

    /// Runs `job` and learns its cost. DEADLINE_EXCEEDED if the deadline passes before it starts or before it ends; a job
    /// whose deadline passed, or whose request was dropped, before it got a thread is never started.
    pub async fn run<R, J>(&self, request: Request<'_>, job: J) -> Result<R>
    where
        R: Send + 'static,
        J: FnOnce(&RunOptions) -> Result<R> + Send + 'static,
    {
        self.run_timed(request, job).await.map(|(result, _)| result)
    }

    /// The same; gives the time that the job took as well.
    pub(crate) async fn run_timed<R, J>(&self, request: Request<'_>, job: J) -> Result<(R, Duration)>
    where
        R: Send + 'static,
        J: FnOnce(&RunOptions) -> Result<R> + Send + 'static,
    {
        let Request { profile, input_bytes, load, urgency: Urgency { deadline, .. }, .. } = request;
        if profile.is_inline(input_bytes, load == LaneLoad::Others) {
            timeout_left(deadline)?;
            let options = RunOptions { timeout: None, inter_op: InterOp::Caller };
            let start = Instant::now();
            let result = guarded(|| job(&options));
            let took = start.elapsed();
            if profile.cost().record_inline(input_bytes, took) {
                tensorserve_log::warning!(
                    "A run of model {} held up an I/O thread for {} ms, where short ones were seen before: the next runs of its \
                     signature happen on execution threads.",
                    request.group,
                    took.as_millis()
                );
            }
            return result.map(|result| (result, took));
        }
        let (result, took) = self.run_on_thread(request, job).await?;
        profile.cost().record_on_thread(input_bytes, took);
        result.map(|result| (result, took))
    }

    /// Runs `job`, which finds out more about a run that failed, on an execution thread.
    pub(crate) async fn run_explanation<R, J>(&self, group: &Arc<str>, urgency: Urgency, job: J) -> Result<R>
    where
        R: Send + 'static,
        J: FnOnce(&RunOptions) -> Result<R> + Send + 'static,
    {
        static PROFILE: RunProfile = RunProfile::new(RunTime::InputValues);
        let (load, inter_op_threading) = (LaneLoad::Others, InterOp::Caller);
        let request = Request { profile: &PROFILE, input_bytes: 0, group, load, urgency, inter_op_threading };
        self.run_on_thread(request, job).await?.0
    }

    /// Runs `job` on an execution thread, or on one for runs that may wait.
    async fn run_on_thread<R, J>(&self, request: Request<'_>, job: J) -> Result<(Result<R>, Duration)>
    where
        R: Send + 'static,
        J: FnOnce(&RunOptions) -> Result<R> + Send + 'static,
    {
        let Request { profile, urgency: Urgency { deadline, priority }, inter_op_threading, .. } = request;
        let (estimate, run_time) = (profile.estimate(request.input_bytes), profile.run_time());
        let (reply, answer) = oneshot::channel();
        let run = move || {
            if reply.is_closed() {
                return;
            }
            let start = Instant::now();
            let result = timeout_left(deadline)
                .and_then(|timeout| guarded(|| job(&run_options(run_time, estimate, timeout, inter_op_threading))));
            // An error means that the client has left.
            let _ = reply.send((result, start.elapsed()));
        };
        if run_time.may_wait() {
            let signature = Arc::from(format!("{} {profile:p}", request.group));
            self.waiting_threads.submit(&signature, priority, Box::new(run));
        } else {
            self.threads.submit(request.group, priority, Box::new(run));
        }
        await_reply(answer, deadline).await
    }
}

/// What a thread sends. DEADLINE_EXCEEDED if it does not by the deadline.
pub(crate) async fn await_reply<R>(answer: oneshot::Receiver<R>, deadline: Option<Instant>) -> Result<R> {
    let answered = match deadline {
        None => answer.await,
        Some(deadline) => tokio::time::timeout_at(deadline.into(), answer).await.map_err(|_| timed_out())?,
    };
    answered.map_err(|_| ServingError::new(Code::Unavailable, "the server is stopping"))
}

/// Turns a panic of one run into an error of its request; the panic itself is logged where it happens.
pub(crate) fn guarded<R>(job: impl FnOnce() -> Result<R>) -> Result<R> {
    catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|_| Err(ServingError::internal("the run failed unexpectedly")))
}

pub(crate) fn timeout_left(deadline: Option<Instant>) -> Result<Option<Duration>> {
    let Some(deadline) = deadline else { return Ok(None) };
    match deadline.checked_duration_since(Instant::now()) {
        Some(left) if !left.is_zero() => Ok(Some(left)),
        _ => Err(timed_out()),
    }
}

/// The original's error for a run that was not done at its deadline.
fn timed_out() -> ServingError {
    ServingError::new(Code::DeadlineExceeded, "Timed out waiting for notification")
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    const MICRO: Duration = Duration::from_micros(1);

    static GROUP: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("model"));

    fn executor() -> Executor {
        let pool = Pool::new("test", 1, HashMap::new());
        Executor::new(pool.clone(), pool)
    }

    fn request(profile: &RunProfile, deadline: Option<Instant>) -> Request<'_> {
        let urgency = Urgency { deadline, ..Urgency::default() };
        Request {
            profile,
            input_bytes: 0,
            group: &GROUP,
            load: LaneLoad::Alone,
            urgency,
            inter_op_threading: InterOp::Pool,
        }
    }

    #[test]
    fn runs_that_wait_take_no_place_of_others() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let executor = executor();
        runtime.block_on(async {
            let (waits, put) = (RunProfile::new(RunTime::Waits), RunProfile::new(RunTime::Waits));
            let (send, receive) = std::sync::mpsc::channel::<usize>();
            let receive = Arc::new(std::sync::Mutex::new(receive));
            let waiting = (0..2 * WAITING_RUNS_OF_SIGNATURE).map(|_| {
                let receive = Arc::clone(&receive);
                executor.run(request(&waits, None), move |_: &RunOptions| {
                    let taken = receive.lock().unwrap().recv();
                    taken.map_err(|error| ServingError::internal(error.to_string()))
                })
            });
            let mut waiting: Vec<_> = waiting.map(Box::pin).collect();
            for wait in &mut waiting {
                let turn = tokio::time::timeout(Duration::ZERO, wait).await;
                assert!(turn.is_err(), "nothing was put yet");
            }
            // One thread computes, and others put what those wait for.
            let compute = RunProfile::new(RunTime::InputValues);
            assert_eq!(executor.run(request(&compute, None), |_: &RunOptions| Ok(7)).await, Ok(7));
            let mut taken = Vec::new();
            for number in 0..waiting.len() {
                let send = send.clone();
                let job = move |_: &RunOptions| send.send(number).map_err(|_| ServingError::internal("closed"));
                executor.run(request(&put, None), job).await.unwrap();
            }
            for wait in waiting {
                taken.push(wait.await.unwrap());
            }
            taken.sort_unstable();
            assert_eq!(taken, (0..2 * WAITING_RUNS_OF_SIGNATURE).collect::<Vec<_>>());
        });
    }

    #[test]
    fn an_expired_request_is_never_run() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let executor = executor();
        for profile in [RunTime::InputSizes, RunTime::InputValues, RunTime::Waits].map(RunProfile::new) {
            profile.cost().record(0, MICRO);
            let expired = Instant::now() - Duration::from_millis(1);
            let job = |_: &RunOptions| -> Result<()> { panic!("it must not run") };
            let result = runtime.block_on(executor.run(request(&profile, Some(expired)), job));
            assert_eq!(result.unwrap_err(), timed_out());
        }
    }

    #[test]
    fn a_panic_is_an_error_of_its_request() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let executor = executor();
        for profile in [RunTime::InputSizes, RunTime::InputValues, RunTime::Waits].map(RunProfile::new) {
            profile.cost().record(0, MICRO);
            let job = |_: &RunOptions| -> Result<()> { panic!("on purpose") };
            let result = runtime.block_on(executor.run(request(&profile, None), job));
            assert_eq!(result.unwrap_err().code, Code::Internal);
        }
    }
}
