// SPDX-License-Identifier: Apache-2.0
//! Whether something serves, as health checks see it: worked out from the [`StatusBoard`].

use std::collections::BTreeMap;

use crate::table::status::{StatusBoard, VersionState, VersionStatus};

/// Names that stand for the models as a whole. The short ones are the original's.
const INFERENCE_SERVICES: [&str; 4] =
    ["", "PredictionService", "tensorflow.serving.PredictionService", "tensorflow.serving.SessionService"];

/// Names of what answers whatever the models do.
const OTHER_SERVICES: [&str; 5] = [
    "ModelService",
    "tensorflow.serving.ModelService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// Is up while the process is, and as ready as [`StatusBoard::is_ready`] says. A model of such a name has no service.
const LIVE: &str = "live";
const READY: &str = "ready";

/// The answer to a health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Serving,
    NotServing,
}

impl Health {
    fn when(serving: bool) -> Self {
        if serving { Health::Serving } else { Health::NotServing }
    }
}

impl StatusBoard {
    /// The health of a service or of the model of that name; `None` if there is neither. The empty name means the whole
    /// server. While the server leaves, nothing but `live` serves.
    pub fn health(&self, service: &str) -> Option<Health> {
        match service {
            LIVE => return Some(Health::Serving),
            READY => return Some(Health::when(self.is_ready())),
            _ => {}
        }
        let health = if INFERENCE_SERVICES.contains(&service) {
            Health::when(self.all_serve())
        } else if OTHER_SERVICES.contains(&service) {
            Health::Serving
        } else {
            self.with_models(|models| models.get(service).map(model_health))?
        };
        Some(if self.is_leaving() { Health::NotServing } else { health })
    }

    /// The health of every name that [`StatusBoard::health`] knows.
    pub fn all_health(&self) -> BTreeMap<String, Health> {
        let mut names: Vec<String> = self.with_models(|models| models.keys().cloned().collect());
        names.extend(
            INFERENCE_SERVICES.iter().chain(&OTHER_SERVICES).chain(&[LIVE, READY]).map(|&name| name.to_owned()),
        );
        names.into_iter().filter_map(|name| self.health(&name).map(|health| (name, health))).collect()
    }

    /// Every model has a version that answers, not counting those that were taken away on purpose, unless that is all
    /// there is. A server that was given no model at all does what it was told to.
    fn all_serve(&self) -> bool {
        self.with_models(|models| {
            let is_wanted =
                |(name, versions): &(&String, &Versions)| !was_taken_away(versions) && !self.is_withdrawn(name);
            let mut wanted = models.iter().filter(is_wanted).peekable();
            models.is_empty()
                || wanted.peek().is_some() && wanted.all(|(_, versions)| model_health(versions) == Health::Serving)
        })
    }
}

type Versions = BTreeMap<i64, VersionStatus>;

fn model_health(versions: &Versions) -> Health {
    Health::when(versions.values().any(|v| v.state == VersionState::Available))
}

fn was_taken_away(versions: &Versions) -> bool {
    versions.values().all(|v| v.state == VersionState::End && v.error.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    fn set(board: &StatusBoard, model: &str, version: i64, state: VersionState) {
        board.set(model, version, state, Code::Ok, String::new());
    }

    #[test]
    fn a_model_serves_while_a_version_is_available() {
        let board = StatusBoard::default();
        assert_eq!(board.health("m"), None);
        set(&board, "m", 1, VersionState::Loading);
        assert_eq!(board.health("m"), Some(Health::NotServing));
        set(&board, "m", 1, VersionState::Available);
        set(&board, "m", 2, VersionState::Loading);
        assert_eq!(board.health("m"), Some(Health::Serving));
        set(&board, "m", 1, VersionState::Unloading);
        assert_eq!(board.health("m"), Some(Health::NotServing));
    }

    #[test]
    fn the_server_serves_when_every_model_does() {
        let board = StatusBoard::default();
        for name in INFERENCE_SERVICES {
            assert_eq!(board.health(name), Some(Health::Serving), "{name}: no model was asked for");
        }
        set(&board, "a", 1, VersionState::Available);
        board.set("b", 1, VersionState::End, Code::NotFound, "no such file".to_owned());
        for name in INFERENCE_SERVICES {
            assert_eq!(board.health(name), Some(Health::NotServing), "{name}: b failed");
        }
        assert_eq!(board.health("ModelService"), Some(Health::Serving));
        set(&board, "b", 2, VersionState::Available);
        assert_eq!(board.health(""), Some(Health::Serving));
    }

    #[test]
    fn a_model_that_was_taken_away_is_not_missed_unless_it_was_the_only_one() {
        let board = StatusBoard::default();
        set(&board, "a", 1, VersionState::Available);
        set(&board, "b", 1, VersionState::End);
        assert_eq!(board.health(""), Some(Health::Serving));
        assert_eq!(board.health("b"), Some(Health::NotServing));
        set(&board, "a", 1, VersionState::End);
        assert_eq!(board.health(""), Some(Health::NotServing));
    }

    #[test]
    fn nothing_serves_while_the_server_leaves_or_drains() {
        let board = StatusBoard::default();
        set(&board, "m", 1, VersionState::Available);
        for step in [StatusBoard::leave, StatusBoard::drain] {
            step(&board);
            let mut health = board.all_health();
            assert_eq!(health.remove(LIVE), Some(Health::Serving));
            assert!(health.values().all(|&health| health == Health::NotServing));
            assert_eq!(health.len(), INFERENCE_SERVICES.len() + OTHER_SERVICES.len() + 2);
        }
        assert_eq!(board.health("unknown"), None);
    }

    #[test]
    fn changes_can_be_waited_for() {
        let board = StatusBoard::default();
        let mut changes = board.changes();
        assert!(!changes.has_changed().unwrap());
        set(&board, "m", 1, VersionState::Available);
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        board.drain();
        assert!(changes.has_changed().unwrap());
    }

    #[test]
    fn a_model_that_failed_and_was_taken_away_is_not_waited_for() {
        let board = StatusBoard::default();
        set(&board, "good", 1, VersionState::Available);
        board.set("bad", 1, VersionState::End, Code::DataLoss, "corrupt".to_owned());
        assert_eq!(board.health(""), Some(Health::NotServing));
        board.withdraw("bad");
        assert_eq!(board.health(""), Some(Health::Serving));
        set(&board, "bad", 2, VersionState::Start);
        assert_eq!(board.health(""), Some(Health::NotServing));
    }
}
