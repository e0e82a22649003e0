// SPDX-License-Identifier: Apache-2.0
//! What GetModelStatus reports: the state of every version ever seen, as the control plane last told it.
//!
//! Kept here and not asked for in Python, so that probes are answered even while Python is busy.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::watch;

use crate::{Code, Result, ServingError};

/// When a server is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Readiness {
    /// As soon as the first attempts to load its models are over, one model answers, and those that are required do.
    #[default]
    Any,
    /// Once they are over and every required model answers, which are all unless settings say otherwise.
    All,
}

/// `tensorflow.serving.ModelVersionStatus.State`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum VersionState {
    Unknown = 0,
    Start = 10,
    Loading = 20,
    Available = 30,
    Unloading = 40,
    End = 50,
}

impl VersionState {
    /// Those that a version may be in, as metrics name them.
    pub(crate) const NAMED: [(&'static str, VersionState); 5] = [
        ("start", VersionState::Start),
        ("loading", VersionState::Loading),
        ("available", VersionState::Available),
        ("unloading", VersionState::Unloading),
        ("end", VersionState::End),
    ];

    pub fn from_i32(number: i32) -> Option<Self> {
        use VersionState::*;
        [Unknown, Start, Loading, Available, Unloading, End].into_iter().find(|s| *s as i32 == number)
    }
}

/// State of one version; `error` is set when it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionStatus {
    pub version: i64,
    pub state: VersionState,
    pub error: Option<ServingError>,
}

/// How the reason of a version begins that ended the process.
const QUARANTINED: &str = "quarantined: ";

/// Where a server is in its life. It never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// First attempts to load its models go on.
    #[default]
    Starting,
    Serving,
    /// It takes requests, and tells whoever asks to send no more.
    Leaving,
    /// It finishes what it has begun.
    Draining,
}

/// A load that goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadProgress {
    pub(crate) since: Instant,
    pub(crate) bytes: Option<u64>,
}

/// The states of all versions of all models.
#[derive(Default)]
pub struct StatusBoard {
    readiness: Readiness,
    /// The models that should answer.
    configured: RwLock<HashSet<String>>,
    /// Those of them without which the server is not ready.
    required: RwLock<HashSet<String>>,
    loads: RwLock<HashMap<(String, i64), LoadProgress>>,
    /// Of the versions that are loading or loaded.
    file_bytes: RwLock<BTreeMap<(String, i64), u64>>,
    models: RwLock<HashMap<String, BTreeMap<i64, VersionStatus>>>,
    /// Models that are not wanted any more, however their versions ended.
    withdrawn: RwLock<HashSet<String>>,
    /// Tells of every change.
    changes: watch::Sender<Phase>,
}

impl StatusBoard {
    /// An empty board.
    pub fn new(readiness: Readiness) -> Self {
        StatusBoard { readiness, ..StatusBoard::default() }
    }

    /// Records the state of a version; `code` OK means that it did not fail.
    pub fn set(&self, model: &str, version: i64, state: VersionState, code: Code, message: String) {
        let error = (code != Code::Ok).then(|| ServingError::new(code, message));
        self.follow_load(model, version, state);
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        models.entry(model.to_owned()).or_default().insert(version, VersionStatus { version, state, error });
        drop(models);
        if state == VersionState::Start {
            self.withdrawn.write().unwrap_or_else(PoisonError::into_inner).remove(model);
        }
        self.changes.send_modify(|_| ());
    }

    /// A model was taken away: health does not depend on it, until one of its versions starts again.
    pub fn withdraw(&self, model: &str) {
        if self.with_models(|models| models.contains_key(model)) {
            self.withdrawn.write().unwrap_or_else(PoisonError::into_inner).insert(model.to_owned());
            self.changes.send_modify(|_| ());
        }
    }

    /// The models that should answer, whether or not they have versions: the complete list. Those that are `required` must
    /// answer before the server is ready.
    pub fn set_configured(&self, models: HashSet<String>, required: HashSet<String>) {
        *self.configured.write().unwrap_or_else(PoisonError::into_inner) = models;
        *self.required.write().unwrap_or_else(PoisonError::into_inner) = required;
        self.changes.send_modify(|_| ());
    }

    /// How large the files of a version are that loads.
    pub fn set_load_bytes(&self, model: &str, version: i64, bytes: u64) {
        let mut loads = self.loads.write().unwrap_or_else(PoisonError::into_inner);
        let key = (model.to_owned(), version);
        self.file_bytes.write().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), bytes);
        let new = LoadProgress { since: Instant::now(), bytes: None };
        loads.entry(key).or_insert(new).bytes = Some(bytes);
    }

    /// The first attempts to load the models are over.
    pub fn started(&self) {
        self.enter(Phase::Serving);
    }

    /// From here on health checks are told to send no more requests; those that come are answered.
    pub fn leave(&self) {
        self.enter(Phase::Leaving);
    }

    /// From here on the server finishes what it has begun, and health checks are told so.
    pub fn drain(&self) {
        self.enter(Phase::Draining);
    }

    /// Hears of every change from now on.
    pub fn changes(&self) -> watch::Receiver<Phase> {
        self.changes.subscribe()
    }

    /// The versions that are not loaded because they ended the process, by model and number.
    pub(crate) fn quarantined(&self) -> Vec<(String, i64)> {
        let is_quarantined = |status: &&VersionStatus| {
            let reason = status.error.as_ref().map(|error| &*error.message);
            status.state == VersionState::End && reason.is_some_and(|reason| reason.starts_with(QUARANTINED))
        };
        let mut found: Vec<_> = self.with_models(|models| {
            let of_model = |(name, versions): (&String, &BTreeMap<i64, VersionStatus>)| {
                let found = versions.values().filter(is_quarantined);
                found.map(|status| (name.clone(), status.version)).collect::<Vec<_>>()
            };
            models.iter().flat_map(of_model).collect()
        });
        found.sort();
        found
    }

    /// The state of each version that is on its way, served, or has failed, by model and number.
    pub(crate) fn states(&self) -> Vec<(String, i64, VersionState)> {
        let is_told = |status: &&VersionStatus| status.state != VersionState::End || status.error.is_some();
        let mut found: Vec<_> = self.with_models(|models| {
            let of_model = |(name, versions): (&String, &BTreeMap<i64, VersionStatus>)| {
                let told = versions.values().filter(is_told);
                told.map(|status| (name.clone(), status.version, status.state)).collect::<Vec<_>>()
            };
            models.iter().flat_map(of_model).collect()
        });
        found.sort_by(|(a, m, _), (b, n, _)| (a, m).cmp(&(b, n)));
        found
    }

    /// The size of the files of each version that is loading or loaded.
    pub(crate) fn file_bytes(&self) -> Vec<(String, i64, u64)> {
        let sizes = self.file_bytes.read().unwrap_or_else(PoisonError::into_inner);
        sizes.iter().map(|((model, version), bytes)| (model.clone(), *version, *bytes)).collect()
    }

    /// How many versions are loading.
    pub(crate) fn loading(&self) -> usize {
        self.loads.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Where the server is in its life.
    pub fn phase(&self) -> Phase {
        *self.changes.borrow()
    }

    pub(crate) fn readiness_mode(&self) -> Readiness {
        self.readiness
    }

    pub(crate) fn with_configured<R>(&self, read: impl FnOnce(&HashSet<String>) -> R) -> R {
        read(&self.configured.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn with_required<R>(&self, read: impl FnOnce(&HashSet<String>) -> R) -> R {
        read(&self.required.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn load_progress(&self, model: &str, version: i64) -> Option<LoadProgress> {
        let loads = self.loads.read().unwrap_or_else(PoisonError::into_inner);
        loads.get(&(model.to_owned(), version)).copied()
    }

    fn enter(&self, phase: Phase) {
        self.changes.send_modify(|now| *now = phase.max(*now));
    }

    fn follow_load(&self, model: &str, version: i64, state: VersionState) {
        let key = (model.to_owned(), version);
        if state == VersionState::End {
            self.file_bytes.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
        }
        let mut loads = self.loads.write().unwrap_or_else(PoisonError::into_inner);
        match state {
            VersionState::Loading => {
                loads.entry(key).or_insert(LoadProgress { since: Instant::now(), bytes: None });
            }
            _ => {
                loads.remove(&key);
            }
        }
    }

    pub(crate) fn is_withdrawn(&self, model: &str) -> bool {
        self.withdrawn.read().unwrap_or_else(PoisonError::into_inner).contains(model)
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.phase() >= Phase::Leaving
    }

    pub(crate) fn with_models<R>(&self, read: impl FnOnce(&HashMap<String, BTreeMap<i64, VersionStatus>>) -> R) -> R {
        read(&self.models.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The status of one version, or of all versions of a model from the highest down. NOT_FOUND if never seen.
    pub fn get(&self, model: &str, version: Option<i64>) -> Result<Vec<VersionStatus>> {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        let versions = models.get(model);
        match version {
            Some(version) => {
                let status = versions.and_then(|v| v.get(&version)).cloned().ok_or_else(|| {
                    ServingError::not_found(format!("Could not find version {version} of model {model}"))
                })?;
                Ok(vec![status])
            }
            None => match versions {
                Some(versions) => Ok(versions.values().rev().cloned().collect()),
                None => Err(ServingError::not_found(format!("Could not find any versions of model {model}"))),
            },
        }
    }
}
