// SPDX-License-Identifier: Apache-2.0
//! Graceful stop: everyone is told once, and the stopper waits until all connections are gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

/// Tells connections to finish and waits for them.
pub struct Shutdown {
    flag: Arc<AtomicBool>,
    idle: Arc<OnceLock<Duration>>,
    told: watch::Sender<bool>,
    gone: mpsc::Receiver<()>,
    alive: mpsc::Sender<()>,
}

/// Held by each listener and connection; the stopper waits until all are dropped.
#[derive(Clone)]
pub struct ShutdownWatch {
    flag: Arc<AtomicBool>,
    idle: Arc<OnceLock<Duration>>,
    told: watch::Receiver<bool>,
    _alive: mpsc::Sender<()>,
}

impl Shutdown {
    pub fn new() -> Self {
        let (alive, gone) = mpsc::channel(1);
        Shutdown { flag: Arc::default(), idle: Arc::default(), told: watch::Sender::new(false), gone, alive }
    }

    pub fn watch(&self) -> ShutdownWatch {
        let (flag, idle) = (Arc::clone(&self.flag), Arc::clone(&self.idle));
        ShutdownWatch { flag, idle, told: self.told.subscribe(), _alive: self.alive.clone() }
    }

    /// Tells everyone to finish and waits at most `drain`; HTTP/1 clients that ask nothing may do so for `idle` more.
    /// True if all were done by then.
    pub async fn finish(self, drain: Duration, idle_time: Duration) -> bool {
        let Shutdown { flag, idle, told, mut gone, alive } = self;
        drop(alive);
        let _ = idle.set(idle_time);
        flag.store(true, Ordering::Release);
        told.send_replace(true);
        // Nobody sends; the channel ends when the last watch is dropped.
        tokio::time::timeout(drain, gone.recv()).await.is_ok()
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Shutdown::new()
    }
}

impl ShutdownWatch {
    /// Whether the server stops; costs next to nothing.
    pub fn is_told(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }

    /// How long a connection that has no way to refuse a request stays open once the server stops.
    pub fn idle_time(&self) -> Duration {
        self.idle.get().copied().unwrap_or_default()
    }

    /// Completes when the server stops.
    pub async fn told(&mut self) {
        // An error means that the stopper is gone, which is a stop as well.
        let _ = self.told.wait_for(|told| *told).await;
    }
}
