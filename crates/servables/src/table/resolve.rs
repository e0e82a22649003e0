// SPDX-License-Identifier: Apache-2.0
//! Who finds the servable that a request means.

use std::sync::Arc;

use crate::metrics::ModelMetrics;
use crate::table::servable::Published;
use crate::{ModelSpec, Result, Servable, ServableHandle, ServableTable};

/// Finds the version that a request means. Verbs take any, so that a version can be asked before it is in the table.
pub trait Resolve {
    /// The version that `spec` means. Errors are for the client.
    fn resolve(&self, spec: &ModelSpec<'_>) -> Result<ServableHandle>;
}

impl Resolve for ServableTable {
    fn resolve(&self, spec: &ModelSpec<'_>) -> Result<ServableHandle> {
        ServableTable::resolve(self, spec)
    }
}

/// One version that nobody else can ask. It is meant by every request, whatever model and version that names.
pub struct SoleServable(ServableHandle);

impl SoleServable {
    /// Answers carry `model` as their model's name, and version 0.
    pub fn new(model: &str, servable: Arc<Servable>) -> Self {
        // What nobody asked for does not count.
        let metrics = Arc::new(ModelMetrics::new(Arc::default()));
        let published = Published { model: Arc::from(model), version: 0, servable, metrics };
        SoleServable(ServableHandle { entry: Arc::new(published) })
    }

    pub fn handle(&self) -> &ServableHandle {
        &self.0
    }
}

impl Resolve for SoleServable {
    fn resolve(&self, _: &ModelSpec<'_>) -> Result<ServableHandle> {
        Ok(self.0.clone())
    }
}
