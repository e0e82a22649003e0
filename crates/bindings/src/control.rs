// SPDX-License-Identifier: Apache-2.0
//! Carries questions to the control plane in Python, and its answers back.
//!
//! Only one thread of its own waits for the interpreter. Python takes a question in, returns at once, and answers from
//! whichever thread it likes.

use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use tensorserve_servables::{Code, Result, ServingError};
use tensorserve_transport::control::{AdminReply, AdminRequest, Answer, ControlPlane, ReloadRequest};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Questions of each kind that may wait for an answer at once.
const MAX_OPEN: usize = 64;

enum Question {
    ReloadConfig(ReloadRequest),
    Admin(AdminRequest),
}

/// The control plane behind the interpreter's lock.
pub(crate) struct PythonControlPlane {
    questions: Mutex<Sender<(Question, ControlReply)>>,
    reloads: Arc<Semaphore>,
    admin: Arc<Semaphore>,
}

/// How Python answers one question. Dropped without an answer, it gives an INTERNAL error.
#[pyclass(frozen, module = "tensorserve._core")]
pub(crate) struct ControlReply {
    sender: Mutex<Option<oneshot::Sender<Result<AdminReply>>>>,
    _open: OwnedSemaphorePermit,
}

#[pymethods]
impl ControlReply {
    #[pyo3(signature = (body, status = 200, content_type = "application/json"))]
    fn send(&self, body: &[u8], status: u16, content_type: &str) {
        let body = Bytes::copy_from_slice(body);
        self.answer(Ok(AdminReply { status, content_type: content_type.to_owned(), body }));
    }

    fn fail(&self, code: i32, message: &str) {
        self.answer(Err(ServingError::new(Code::from_i32(code), message)));
    }

    #[getter]
    fn is_awaited(&self) -> bool {
        self.sender().as_ref().is_some_and(|sender| !sender.is_closed())
    }
}

impl ControlReply {
    fn sender(&self) -> std::sync::MutexGuard<'_, Option<oneshot::Sender<Result<AdminReply>>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, answer: Result<AdminReply>) {
        if let Some(sender) = self.sender().take() {
            // Nobody may be waiting any more.
            let _ = sender.send(answer);
        }
    }
}

impl PythonControlPlane {
    /// Starts the thread that hands questions to `control`. It ends when this is dropped.
    pub(crate) fn start(control: Py<PyAny>) -> PyResult<Self> {
        let (questions, inbox) = channel();
        thread::Builder::new().name("tensorserve-control".to_owned()).spawn(move || hand_over(control, inbox))?;
        let slots = || Arc::new(Semaphore::new(MAX_OPEN));
        Ok(PythonControlPlane { questions: Mutex::new(questions), reloads: slots(), admin: slots() })
    }

    fn ask(&self, question: Question) -> Answer<AdminReply> {
        let slots = match &question {
            Question::ReloadConfig(_) => &self.reloads,
            Question::Admin(_) => &self.admin,
        };
        let Ok(open) = Arc::clone(slots).try_acquire_owned() else { return Box::pin(async { Err(busy()) }) };
        let (sender, answer) = oneshot::channel();
        let reply = ControlReply { sender: Mutex::new(Some(sender)), _open: open };
        // A failure to send drops the reply, which is an answer as well.
        let _ = self.questions.lock().unwrap_or_else(PoisonError::into_inner).send((question, reply));
        Box::pin(async {
            answer
                .await
                .unwrap_or_else(|_| Err(ServingError::internal("the control plane gave no answer; see the log")))
        })
    }
}

impl ControlPlane for PythonControlPlane {
    fn reload_config(&self, request: ReloadRequest) -> Answer<Bytes> {
        let answer = self.ask(Question::ReloadConfig(request));
        Box::pin(async { answer.await.map(|reply| reply.body) })
    }

    fn admin(&self, request: AdminRequest) -> Answer<AdminReply> {
        self.ask(Question::Admin(request))
    }
}

fn busy() -> ServingError {
    ServingError::new(Code::ResourceExhausted, format!("{MAX_OPEN} requests of this kind wait already; try later"))
}

fn hand_over(control: Py<PyAny>, inbox: Receiver<(Question, ControlReply)>) {
    while let Ok((question, reply)) = inbox.recv() {
        // A panic must not be the last thing that this thread does.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| {
            Python::attach(|py| {
                if let Err(error) = call(control.bind(py), question, reply) {
                    tensorserve_log::error!("The control plane did not take in a request: {error}");
                }
            });
        }));
    }
    Python::attach(|_| drop(control));
}

fn call(control: &Bound<'_, PyAny>, question: Question, reply: ControlReply) -> PyResult<()> {
    let py = control.py();
    match question {
        Question::ReloadConfig(request) => {
            let headers = dictionary(py, request.headers)?;
            let body = PyBytes::new(py, &request.body);
            control.call_method1("reload_config", (body, headers, request.peer.name(), reply))?;
        }
        Question::Admin(request) => {
            let headers = dictionary(py, request.headers)?;
            let body = PyBytes::new(py, &request.body);
            let arguments = (request.method, request.target, headers, request.peer.name(), body, reply);
            control.call_method1("admin", arguments)?;
        }
    }
    Ok(())
}

fn dictionary<'py>(py: Python<'py>, headers: Vec<(&'static str, String)>) -> PyResult<Bound<'py, PyDict>> {
    let dictionary = PyDict::new(py);
    for (name, value) in headers {
        // Two hosts are no host that can be trusted.
        let value = match dictionary.get_item(name)? {
            Some(other) => format!("{other}, {value}"),
            None => value,
        };
        dictionary.set_item(name, value)?;
    }
    Ok(dictionary)
}
