// SPDX-License-Identifier: Apache-2.0
//! How slow a client may be with a body: in each while of its patience it must move as much as a slow but steady pace does. What
//! went fast earns no rest.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Bytes a second that are progress.
pub(crate) const MIN_BYTES_PER_SECOND: u64 = 1024;

/// The clock of one body.
pub(crate) struct Pace {
    /// When it last had moved enough.
    since: Instant,
    /// `None` for as slow as the client likes.
    patience: Option<Duration>,
    /// When nobody waits for it any more, however fast it comes.
    deadline: Option<Instant>,
    /// Bytes since then.
    moved: usize,
}

/// The client was too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooSlow {
    Pace,
    Deadline,
}

impl Pace {
    pub(crate) fn new(start: Instant, patience: Option<Duration>, deadline: Option<Instant>) -> Self {
        Pace { since: start, patience, deadline, moved: 0 }
    }

    /// Counts bytes that came or went.
    pub(crate) fn moved(&mut self, bytes: usize) {
        self.moved += bytes;
        let Some(patience) = self.patience else { return };
        if self.moved as u64 >= patience.as_secs().max(1) * MIN_BYTES_PER_SECOND {
            self.since = tokio::time::Instant::now().into_std();
            self.moved = 0;
        }
    }

    /// What `step` gives, unless the client is too slow.
    pub(crate) async fn within<T>(&self, step: impl Future<Output = T>) -> Result<T, TooSlow> {
        let (limit, late) = match (self.paced_limit(), self.deadline) {
            (None, None) => return Ok(step.await),
            (Some(paced), Some(deadline)) if deadline < paced => (deadline, TooSlow::Deadline),
            (None, Some(deadline)) => (deadline, TooSlow::Deadline),
            (Some(paced), _) => (paced, TooSlow::Pace),
        };
        tokio::time::timeout_at(limit.into(), step).await.map_err(|_| late)
    }

    fn paced_limit(&self) -> Option<Instant> {
        self.since.checked_add(self.patience?)
    }
}

/// What a step gives if that is there already; otherwise it can be waited for.
pub(crate) async fn at_once<T>(mut step: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|cx| match step.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn ended_after(pace: &Pace) -> (Duration, TooSlow) {
        let start = tokio::time::Instant::now();
        let late = pace.within(pending::<()>()).await.unwrap_err();
        (start.elapsed(), late)
    }

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_pace_is_enough_and_a_fast_start_is_not() {
        let mut pace = Pace::new(now(), Some(30 * SECOND), None);
        for _ in 0..100 {
            tokio::time::advance(10 * SECOND).await;
            pace.moved(10 * 1024);
            assert_eq!(pace.within(ready(5)).await, Ok(5));
        }
        pace.moved(1 << 30);
        let (time, late) = ended_after(&pace).await;
        assert!(time >= 30 * SECOND && time < 31 * SECOND, "{time:?}");
        assert_eq!(late, TooSlow::Pace);
        let mut trickle = Pace::new(now(), Some(30 * SECOND), None);
        tokio::time::advance(29 * SECOND).await;
        trickle.moved(1024);
        assert!(ended_after(&trickle).await.0 < 2 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_counts_as_well() {
        let pace = Pace::new(now(), Some(30 * SECOND), Some(now() + 2 * SECOND));
        let (time, late) = ended_after(&pace).await;
        assert!(time >= 2 * SECOND && time < 3 * SECOND);
        assert_eq!(late, TooSlow::Deadline);
        let pace = Pace::new(now(), None, Some(now() + 2 * SECOND));
        assert_eq!(ended_after(&pace).await.1, TooSlow::Deadline);
        assert_eq!(Pace::new(now(), None, None).within(ready(())).await, Ok(()));
    }
}
