// SPDX-License-Identifier: Apache-2.0
//! One request as the metrics count it: once, however it ends.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tensorserve_servables::metrics::{Entry, ModelMetrics, RequestPhase};
use tensorserve_servables::{Code, ModelSpec, Result, ServableHandle, ServableTable};

use crate::access::{Answered, Timing};
use crate::serving::Serving;

/// Counts its request when it is dropped; as CANCELLED if nobody has closed it.
pub(crate) struct Account<'a> {
    table: &'a ServableTable,
    /// `None` if the request does not count.
    entry: Option<Entry>,
    /// The model's name as far as it is known without a version that answers.
    name: Cow<'a, str>,
    model: Option<Arc<ModelMetrics>>,
    /// The version, if it is to be told.
    answered: Answered,
    tells_version: bool,
    start: Instant,
    /// When its last byte had come, and when its model had answered.
    received: Option<Instant>,
    computed: Option<Instant>,
    end: Option<Instant>,
    code: Code,
}

impl<'a> Account<'a> {
    /// The request has come right now.
    pub(crate) fn open(serving: &'a Serving, entry: Option<Entry>, name: Cow<'a, str>) -> Self {
        let table = &serving.table;
        let tells_version = !serving.options.access_log.is_off();
        Account {
            table,
            entry,
            name,
            model: None,
            answered: None,
            tells_version,
            start: Instant::now(),
            received: None,
            computed: None,
            end: None,
            code: Code::Cancelled,
        }
    }

    /// When the request came.
    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// The last byte of the request has come.
    pub(crate) fn received(&mut self) {
        self.received = Some(Instant::now());
    }

    /// Its model has answered.
    pub(crate) fn computed(&mut self) {
        self.computed = Some(Instant::now());
    }

    /// Counts it with what it is answered. Gives what can be told of it.
    pub(crate) fn close(mut self, code: Code) -> (Timing, Answered) {
        self.code = code;
        let end = Instant::now();
        self.end = Some(end);
        let phases = self.phases(end).map(|phases| phases.map(|(phase, time)| (phase.name(), time)));
        let unanswered = || (self.tells_version && !self.name.is_empty()).then(|| (self.name.to_string(), None));
        let answered = self.answered.take().or_else(unanswered);
        (Timing { total: end - self.start, phases }, answered)
    }

    /// What it has gone through; `None` if its model has not answered.
    fn phases(&self, end: Instant) -> Option<[(RequestPhase, Duration); 3]> {
        let (received, computed) = (self.received?, self.computed?);
        Some([
            (RequestPhase::Receive, received - self.start),
            (RequestPhase::Compute, computed - received),
            (RequestPhase::Reply, end - computed),
        ])
    }

    /// Counts it for the model of this version; nothing has to be looked up then.
    pub(crate) fn answered_by(&mut self, handle: &ServableHandle) {
        self.enter(Arc::clone(handle.metrics()));
        if self.tells_version {
            self.answered = Some((handle.model().to_owned(), Some(handle.version())));
        }
    }

    /// Finds the version in the table, and notes which model the request is for.
    pub(crate) fn resolve(&mut self, spec: &ModelSpec<'_>) -> Result<ServableHandle> {
        let found = self.table.resolve(spec);
        match &found {
            Ok(handle) => self.answered_by(handle),
            Err(_) => self.note(Asked::Unknown(spec.name.to_string())),
        }
        found
    }

    /// It is the model's from now on.
    fn enter(&mut self, model: Arc<ModelMetrics>) {
        if self.entry.is_some() {
            model.entered();
        }
        if let Some(before) = self.model.replace(model)
            && self.entry.is_some()
        {
            before.left();
        }
    }

    /// Notes which model the request is for, as another thread found out.
    pub(crate) fn note(&mut self, asked: Asked) {
        match asked {
            Asked::Nothing => {}
            Asked::Known(handle) => self.answered_by(&handle),
            Asked::Unknown(name) => {
                self.enter(self.table.metrics().of_requested(&name));
                if self.tells_version {
                    self.answered = Some((name, None));
                }
            }
        }
    }
}

/// What a request asked for that was read on another thread.
#[derive(Default)]
pub(crate) enum Asked {
    #[default]
    Nothing,
    Known(ServableHandle),
    Unknown(String),
}

impl Asked {
    /// Finds the version in the table.
    pub(crate) fn resolve(&mut self, table: &ServableTable, spec: &ModelSpec<'_>) -> Result<ServableHandle> {
        let found = table.resolve(spec);
        *self = match &found {
            Ok(handle) => Asked::Known(handle.clone()),
            Err(_) => Asked::Unknown(spec.name.to_string()),
        };
        found
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        let Some(entry) = self.entry else { return };
        let model = match self.model.take() {
            Some(model) => {
                model.left();
                model
            }
            None => self.table.metrics().of_requested(&self.name),
        };
        if self.code != Code::Ok {
            return model.failed(self.code);
        }
        let end = self.end.unwrap_or_else(Instant::now);
        model.succeeded(entry, end - self.start);
        // Status and metadata have no phases.
        self.phases(end).iter().flatten().for_each(|(phase, time)| model.passed(*phase, *time));
    }
}
