// SPDX-License-Identifier: Apache-2.0
//! Whether a server is ready for requests, and why not: worked out from the [`StatusBoard`].

use std::time::Duration;

use crate::table::status::{LoadProgress, Phase, Readiness, StatusBoard, VersionState, VersionStatus};

/// What a server says of its readiness.
#[derive(Clone, Debug)]
pub struct ReadinessReport {
    pub mode: Readiness,
    pub phase: Phase,
    /// Every reason why it is not ready; empty if it is.
    pub reasons: Vec<String>,
    /// Its models, by name.
    pub models: Vec<ModelReadiness>,
}

/// The same of one model.
#[derive(Clone, Debug)]
pub struct ModelReadiness {
    pub name: String,
    /// The highest first.
    pub versions: Vec<VersionProgress>,
}

/// A version, and how far its loading is.
#[derive(Clone, Debug)]
pub struct VersionProgress {
    pub status: VersionStatus,
    /// Set while it loads.
    pub load: Option<LoadReport>,
}

/// A load that goes on.
#[derive(Clone, Copy, Debug)]
pub struct LoadReport {
    /// The size of the version's files; `None` while it is not known.
    pub bytes: Option<u64>,
    /// Since its first attempt began.
    pub time: Duration,
}

impl ModelReadiness {
    pub fn is_ready(&self) -> bool {
        self.versions.iter().any(|version| version.status.state == VersionState::Available)
    }
}

impl ReadinessReport {
    pub fn is_ready(&self) -> bool {
        self.reasons.is_empty()
    }
}

impl StatusBoard {
    /// Whether the server is ready: as [`StatusBoard::readiness`], without the details.
    pub fn is_ready(&self) -> bool {
        self.phase() == Phase::Serving
            && match self.readiness_mode() {
                Readiness::Any => self.with_models(|models| {
                    models.values().any(|versions| versions.values().any(|v| v.state == VersionState::Available))
                        || models.is_empty() && self.with_configured(|names| names.is_empty())
                }),
                Readiness::All => true,
            }
            && self.waiting_models().is_empty()
    }

    /// Whether the server is ready, why not, and what its models do.
    pub fn readiness(&self) -> ReadinessReport {
        let mode = self.readiness_mode();
        let phase = self.phase();
        let mut reasons = Vec::new();
        match phase {
            Phase::Starting => reasons.push("the models are loaded for the first time".to_owned()),
            Phase::Serving => {}
            Phase::Leaving | Phase::Draining => reasons.push("the server is stopping".to_owned()),
        }
        let waiting = self.waiting_models();
        if waiting.is_empty() && phase == Phase::Serving && !self.is_ready() {
            reasons.push("no model has a version that answers".to_owned());
        }
        reasons.extend(waiting.into_iter().map(|name| format!("model {name} has no version that answers")));
        ReadinessReport { mode, phase, reasons, models: self.model_readiness() }
    }

    /// Whether a model answers and the server takes requests; `None` if it is neither configured nor known.
    pub fn model_is_ready(&self, model: &str) -> Option<bool> {
        let answers = self.with_models(|models| {
            models.get(model).map(|versions| versions.values().any(|v| v.state == VersionState::Available))
        });
        let known = answers.or_else(|| self.with_configured(|names| names.contains(model)).then_some(false))?;
        Some(known && matches!(self.phase(), Phase::Starting | Phase::Serving))
    }

    /// The models that are required and do not answer, by name.
    fn waiting_models(&self) -> Vec<String> {
        let missing = |name: &String| {
            self.with_models(|models| {
                !models.get(name).is_some_and(|versions| versions.values().any(|v| v.state == VersionState::Available))
            })
        };
        let mut waiting: Vec<_> = self.with_required(|names| names.iter().cloned().collect());
        waiting.retain(missing);
        waiting.sort();
        waiting
    }

    fn model_readiness(&self) -> Vec<ModelReadiness> {
        let mut models: Vec<_> = self.with_models(|models| {
            let row = |(name, versions): (&String, &std::collections::BTreeMap<i64, VersionStatus>)| ModelReadiness {
                name: name.clone(),
                versions: versions.values().rev().map(|v| self.progress(name, v)).collect(),
            };
            models.iter().map(row).collect()
        });
        let known: Vec<_> = models.iter().map(|model| model.name.clone()).collect();
        self.with_configured(|names| {
            let unseen = names.iter().filter(|name| !known.contains(name));
            models.extend(unseen.map(|name| ModelReadiness { name: name.clone(), versions: Vec::new() }));
        });
        models.sort_by(|a, b| a.name.cmp(&b.name));
        models
    }

    fn progress(&self, model: &str, status: &VersionStatus) -> VersionProgress {
        let report = |load: LoadProgress| LoadReport { bytes: load.bytes, time: load.since.elapsed() };
        VersionProgress { status: status.clone(), load: self.load_progress(model, status.version).map(report) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::Code;

    fn names(models: &[&str]) -> HashSet<String> {
        models.iter().map(|&name| name.to_owned()).collect()
    }

    fn board(mode: Readiness, models: &[&str]) -> StatusBoard {
        let board = StatusBoard::new(mode);
        let required = if mode == Readiness::All { models } else { &[] };
        board.set_configured(names(models), names(required));
        board
    }

    fn set(board: &StatusBoard, model: &str, state: VersionState) {
        board.set(model, 1, state, Code::Ok, String::new());
    }

    #[test]
    fn a_server_is_not_ready_before_its_first_attempts_are_over() {
        let board = board(Readiness::Any, &["a", "b"]);
        set(&board, "a", VersionState::Available);
        assert!(!board.is_ready());
        assert_eq!(board.readiness().reasons, ["the models are loaded for the first time"]);
        board.started();
        assert!(board.is_ready());
        assert!(board.readiness().is_ready());
    }

    #[test]
    fn any_wants_one_model_and_all_wants_each() {
        let any = board(Readiness::Any, &["a", "b"]);
        let all = board(Readiness::All, &["a", "b"]);
        for board in [&any, &all] {
            board.started();
            assert!(!board.is_ready());
            set(board, "a", VersionState::Available);
        }
        assert!(any.is_ready() && !all.is_ready());
        assert_eq!(all.readiness().reasons, ["model b has no version that answers"]);
        set(&all, "b", VersionState::Available);
        assert!(all.is_ready());
        set(&any, "a", VersionState::Unloading);
        assert_eq!(any.readiness().reasons, ["no model has a version that answers"]);
    }

    #[test]
    fn required_models_are_waited_for_and_others_are_not() {
        let board = board(Readiness::Any, &["a", "b", "c"]);
        board.set_configured(names(&["a", "b", "c"]), names(&["b"]));
        board.started();
        set(&board, "a", VersionState::Available);
        assert!(!board.is_ready());
        assert_eq!(board.readiness().reasons, ["model b has no version that answers"]);
        set(&board, "b", VersionState::Available);
        assert!(board.is_ready() && board.readiness().is_ready());
    }

    #[test]
    fn a_server_without_models_does_what_it_was_told_to() {
        for mode in [Readiness::Any, Readiness::All] {
            let board = board(mode, &[]);
            board.started();
            assert!(board.is_ready(), "{mode:?}");
        }
    }

    #[test]
    fn who_leaves_is_not_ready() {
        let board = board(Readiness::Any, &["a"]);
        set(&board, "a", VersionState::Available);
        board.started();
        assert_eq!(board.model_is_ready("a"), Some(true));
        board.leave();
        assert!(!board.is_ready());
        assert_eq!(board.model_is_ready("a"), Some(false));
        assert_eq!(board.readiness().reasons, ["the server is stopping"]);
        board.started();
        assert!(!board.is_ready(), "who leaves does not come back");
    }

    #[test]
    fn a_model_that_is_configured_is_known() {
        let board = board(Readiness::Any, &["a"]);
        assert_eq!(board.model_is_ready("a"), Some(false));
        assert_eq!(board.model_is_ready("b"), None);
        assert_eq!(board.readiness().models[0].name, "a");
    }

    #[test]
    fn loads_are_told_with_their_size_and_time() {
        let board = board(Readiness::Any, &["a"]);
        set(&board, "a", VersionState::Loading);
        board.set_load_bytes("a", 1, 12);
        let report = board.readiness();
        let load = report.models[0].versions[0].load.expect("it loads");
        assert_eq!(load.bytes, Some(12));
        set(&board, "a", VersionState::Available);
        assert!(board.readiness().models[0].versions[0].load.is_none());
    }
}
