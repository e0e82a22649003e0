// SPDX-License-Identifier: Apache-2.0
//! What GetModelStatus reports: the state of every version ever seen, as the control plane last told it.
//!
//! Kept here and not asked for in Python, so that probes are answered even while Python is busy.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use tokio::sync::watch;

use crate::{Code, Result, ServingError};

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

/// The states of all versions of all models.
#[derive(Default)]
pub struct StatusBoard {
    models: RwLock<HashMap<String, BTreeMap<i64, VersionStatus>>>,
    /// Models that are not wanted any more, however their versions ended.
    withdrawn: RwLock<HashSet<String>>,
    /// Tells of every change; the value says whether the server drains.
    changes: watch::Sender<bool>,
}

impl StatusBoard {
    /// Records the state of a version; `code` OK means that it did not fail.
    pub fn set(&self, model: &str, version: i64, state: VersionState, code: Code, message: String) {
        let error = (code != Code::Ok).then(|| ServingError::new(code, message));
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

    /// From here on the server finishes what it has begun, and health checks are told so.
    pub fn drain(&self) {
        self.changes.send_replace(true);
    }

    /// Hears of every change from now on. Its value says whether the server drains.
    pub fn changes(&self) -> watch::Receiver<bool> {
        self.changes.subscribe()
    }

    pub(crate) fn is_withdrawn(&self, model: &str) -> bool {
        self.withdrawn.read().unwrap_or_else(PoisonError::into_inner).contains(model)
    }

    pub(crate) fn is_draining(&self) -> bool {
        *self.changes.borrow()
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
