// SPDX-License-Identifier: Apache-2.0
//! One request as the metrics count it: once, however it ends.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use tensorserve_servables::metrics::{Entry, ModelMetrics};
use tensorserve_servables::{Code, ModelSpec, Result, ServableHandle, ServableTable};

/// Counts its request when it is dropped; as CANCELLED if nobody has closed it.
pub(crate) struct Account<'a> {
    table: &'a ServableTable,
    /// `None` if the request does not count.
    entry: Option<Entry>,
    /// The model's name as far as it is known without a version that answers.
    name: Cow<'a, str>,
    model: Option<Arc<ModelMetrics>>,
    start: Instant,
    code: Code,
}

impl<'a> Account<'a> {
    /// The request has come right now.
    pub(crate) fn open(table: &'a ServableTable, entry: Option<Entry>, name: Cow<'a, str>) -> Self {
        Account { table, entry, name, model: None, start: Instant::now(), code: Code::Cancelled }
    }

    /// When the request came.
    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// Counts it with what it is answered.
    pub(crate) fn close(mut self, code: Code) {
        self.code = code;
    }

    /// Counts it for the model of this version; nothing has to be looked up then.
    pub(crate) fn answered_by(&mut self, handle: &ServableHandle) {
        self.model = Some(Arc::clone(handle.metrics()));
    }

    /// Finds the version in the table, and notes which model the request is for.
    pub(crate) fn resolve(&mut self, spec: &ModelSpec<'_>) -> Result<ServableHandle> {
        let found = self.table.resolve(spec);
        match &found {
            Ok(handle) => self.answered_by(handle),
            Err(_) => self.model = Some(self.table.metrics().of_requested(&spec.name)),
        }
        found
    }

    /// Notes which model the request is for, as another thread found out.
    pub(crate) fn note(&mut self, asked: Asked) {
        match asked {
            Asked::Nothing => {}
            Asked::Known(handle) => self.answered_by(&handle),
            Asked::Unknown(name) => self.model = Some(self.table.metrics().of_requested(&name)),
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
        let model = self.model.take().unwrap_or_else(|| self.table.metrics().of_requested(&self.name));
        match self.code {
            Code::Ok => model.succeeded(entry, self.start.elapsed()),
            code => model.failed(code),
        }
    }
}
