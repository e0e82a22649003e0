// SPDX-License-Identifier: Apache-2.0
//! The servable table: the one place where the control plane and the data plane meet.
//!
//! Readers take an immutable snapshot without a lock. Writers (the control plane) replace the snapshot.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::metrics::Metrics;
use crate::table::servable::{Published, Servable, ServableHandle};
use crate::{ModelSpec, Result, ServingError, VersionChoice};

#[derive(Clone, Default)]
struct ModelEntry {
    versions: BTreeMap<i64, Arc<Published>>,
    labels: HashMap<String, i64>,
}

type Snapshot = HashMap<Arc<str>, ModelEntry>;

/// All versions that answer requests, and the labels that point to them.
#[derive(Default)]
pub struct ServableTable {
    snapshot: ArcSwap<Snapshot>,
    /// Writers take turns; readers never see this lock.
    writer: Mutex<()>,
    metrics: Metrics,
}

/// A model with all versions that answer. Holding it keeps them alive, like any handle.
pub struct ServedModel {
    pub name: String,
    /// From the lowest number up, at least one.
    pub versions: Vec<ServableHandle>,
    /// Labels, and the version that each points to.
    pub labels: BTreeMap<String, i64>,
}

/// A version taken out of the table whose last requests may still run.
pub struct Retired {
    entry: Option<Arc<Published>>,
}

impl ServableTable {
    /// The version that `spec` means. INVALID_ARGUMENT for a spec that names nothing, NOT_FOUND if it is not served.
    pub fn resolve(&self, spec: &ModelSpec<'_>) -> Result<ServableHandle> {
        if spec.name.is_empty() {
            return Err(ServingError::invalid_argument("ModelSpec has no name specified."));
        }
        let snapshot = self.snapshot.load();
        let model = snapshot.get(&*spec.name);
        let version = match &spec.version {
            VersionChoice::Latest => None,
            VersionChoice::Specific(version) => Some(*version),
            VersionChoice::Label(label) => Some(labelled_version(model, label)?),
        };
        let entry = model.and_then(|m| match version {
            None => m.versions.last_key_value().map(|(_, entry)| entry),
            Some(version) => m.versions.get(&version),
        });
        match entry {
            Some(entry) => Ok(ServableHandle { entry: Arc::clone(entry) }),
            None => Err(ServingError::not_found(match version {
                None => format!("Servable not found for request: Latest({})", spec.name),
                Some(version) => format!("Servable not found for request: Specific({}, {version})", spec.name),
            })),
        }
    }

    /// What was counted of requests to the table's models.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Every model that answers, by name.
    pub fn models(&self) -> Vec<ServedModel> {
        let snapshot = self.snapshot.load();
        let served = |(name, entry): (&Arc<str>, &ModelEntry)| {
            let handle = |published: &Arc<Published>| ServableHandle { entry: Arc::clone(published) };
            ServedModel {
                name: name.to_string(),
                versions: entry.versions.values().map(handle).collect(),
                labels: entry.labels.iter().map(|(label, version)| (label.clone(), *version)).collect(),
            }
        };
        let mut models: Vec<_> = snapshot.iter().map(served).filter(|model| !model.versions.is_empty()).collect();
        models.sort_by(|a, b| a.name.cmp(&b.name));
        models
    }

    /// Makes a version answer requests from now on. A version of the same number is replaced.
    pub fn publish(&self, model: &str, version: i64, servable: Arc<Servable>) {
        let metrics = self.metrics.of_served(model);
        self.update(|models| {
            let name: Arc<str> = Arc::from(model);
            let published = Published { model: Arc::clone(&name), version, servable, metrics };
            models.entry(name).or_default().versions.insert(version, Arc::new(published));
        });
    }

    /// Takes a version out: no new request finds it. Its requests in flight go on; see [`Retired::wait`].
    pub fn retire(&self, model: &str, version: i64) -> Retired {
        let entry = self.update(|models| {
            let entry = models.get_mut(model)?;
            let published = entry.versions.remove(&version);
            if entry.versions.is_empty() && entry.labels.is_empty() {
                models.remove(model);
            }
            published
        });
        Retired { entry }
    }

    /// Replaces all labels of a model at once.
    pub fn set_labels(&self, model: &str, labels: HashMap<String, i64>) {
        self.update(|models| {
            let entry = models.entry(Arc::from(model)).or_default();
            entry.labels = labels;
            if entry.versions.is_empty() && entry.labels.is_empty() {
                models.remove(model);
            }
        });
    }

    fn update<R>(&self, change: impl FnOnce(&mut Snapshot) -> R) -> R {
        let _turn = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&self.snapshot.load());
        let result = change(&mut next);
        self.snapshot.store(Arc::new(next));
        result
    }
}

fn labelled_version(model: Option<&ModelEntry>, label: &str) -> Result<i64> {
    let version = model.and_then(|m| m.labels.get(label).copied());
    version.ok_or_else(|| ServingError::invalid_argument(format!("Unrecognized servable version label: {label}")))
}

impl Retired {
    /// Waits until no request holds the version, then frees it in this thread. False if `timeout` came first; then the
    /// last request frees it. Unknown versions are done at once.
    pub fn wait(mut self, timeout: Option<Duration>) -> bool {
        let Some(mut entry) = self.entry.take() else { return true };
        let deadline = timeout.map(|t| Instant::now() + t);
        let mut pause = Duration::from_micros(100);
        loop {
            // Requests and snapshots that requests still read hold further references.
            match Arc::try_unwrap(entry) {
                Ok(published) => {
                    drop(published);
                    return true;
                }
                Err(shared) => entry = shared,
            }
            if deadline.is_some_and(|d| Instant::now() >= d) {
                return false;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }
}
