// SPDX-License-Identifier: Apache-2.0
//! Ends connections whose clients are silent where they should speak, do not read what they asked for, or are idle while
//! others need their place. One task of each lane looks at all its connections now and then; a request pays nothing for it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tensorserve_log::{Level, Limit, Line};
use tensorserve_servables::give_back_freed;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::client::{Client, Seen};
use crate::limits::Limits;
use crate::pace::MIN_BYTES_PER_SECOND;
use crate::serving::Serving;

/// Time between two looks.
const TICK: Duration = Duration::from_millis(500);

/// While others need their place, a connection is idle after this.
const IDLE_IN_SHORTAGE: Duration = Duration::from_secs(2);

/// A connection that was asked to end is cut off after this.
const GRACE: Duration = Duration::from_secs(5);

/// Connections that have ended, or bytes that are not kept any more, after which the memory of a quiet lane is given back.
const MANY_ENDED: usize = 200;
const MANY_BYTES: usize = 8 << 20;

/// Looks without much coming or going, after which a lane is quiet: whoever sends the next large message soon needs the memory.
const QUIET_LOOKS: usize = 4;

/// Few connections end if they are at most this part of those that lately did: some clients always come and go.
const QUIET_PART: usize = 32;

static LINES: Limit = Limit::every(Duration::from_secs(10));

/// The connections of a lane.
#[derive(Default)]
pub(crate) struct Watchdog {
    watched: Mutex<Vec<Entry>>,
    /// Descriptors have run out.
    shortage: Notify,
}

struct Entry {
    client: Weak<Client>,
    task: AbortHandle,
    watch: Watch,
}

/// What was seen of a connection so far.
struct Watch {
    last: Option<Seen>,
    looked: Instant,
    /// Since when it is in a head, does not read, is idle, is asked to end.
    in_head: Option<Instant>,
    unread: Option<Instant>,
    idle: Instant,
    ending: Option<Instant>,
}

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    /// It may finish its calls.
    End(Reason),
    Cut(Reason),
}

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Head,
    Unread,
    Idle,
    Shortage,
    Stays,
}

impl Reason {
    /// Goes on behind `A client that`.
    fn text(self) -> &'static str {
        match self {
            Reason::Head => "did not send the head of its request in time",
            Reason::Unread => "did not read its reply in time",
            Reason::Idle => "was idle for too long",
            Reason::Shortage => "was idle while file descriptors had run out",
            Reason::Stays => "did not end its connection when it was asked to",
        }
    }

    fn report(self) {
        LINES.say(|| Line::new(Level::Info, format!("A client that {} is disconnected.", self.text())));
    }
}

impl Watchdog {
    /// Watches a connection until its task ends.
    pub(crate) fn add(&self, client: &Arc<Client>, task: AbortHandle) {
        let entry = Entry { client: Arc::downgrade(client), task, watch: Watch::new(Instant::now()) };
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// Ends what is idle at once, since others need the place.
    pub(crate) fn make_room(&self) {
        self.shortage.notify_one();
    }

    /// Looks at all connections for as long as the lane lives.
    pub(crate) async fn run(self: Arc<Self>, serving: Arc<Serving>) {
        let mut flood = Flood::default();
        loop {
            let short = tokio::time::timeout(TICK, self.shortage.notified()).await.is_ok();
            let ended = self.look(&serving.options.limits, short, Instant::now());
            if flood.is_over(ended, serving.memory.used()) {
                give_back_freed();
                serving.executor.give_back_freed();
            }
        }
    }

    /// Gives the number of connections that have ended since the last look.
    fn look(&self, limits: &Limits, short: bool, now: Instant) -> usize {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let before = watched.len();
        watched.retain_mut(|entry| {
            if entry.task.is_finished() {
                return false;
            }
            let Some(client) = entry.client.upgrade() else { return false };
            match entry.watch.look(client.seen(), limits, short, now) {
                Verdict::Keep => {}
                Verdict::End(reason) => {
                    reason.report();
                    client.end();
                }
                Verdict::Cut(reason) => {
                    reason.report();
                    client.lane.serving.connections_cut.fetch_add(1, Ordering::Relaxed);
                    entry.task.abort();
                }
            }
            true
        });
        before - watched.len()
    }
}

/// What has ended lately and was not given back.
#[derive(Default)]
struct Flood {
    ended: usize,
    most_kept: usize,
    quiet_looks: usize,
}

impl Flood {
    /// Whether much has ended and hardly any more does, so that it is time to give memory back.
    fn is_over(&mut self, ended: usize, kept: usize) -> bool {
        // What ended long ago counts less and less, so that a steady coming and going is no flood.
        self.ended = self.ended - self.ended.div_ceil(QUIET_PART / 2) + ended;
        self.most_kept = self.most_kept.max(kept);
        let is_much = self.ended >= MANY_ENDED || self.most_kept >= MANY_BYTES;
        let is_quiet = ended <= self.ended.max(MANY_ENDED) / QUIET_PART && kept <= self.most_kept.max(MANY_BYTES) / 4;
        self.quiet_looks = if is_much && is_quiet { self.quiet_looks + 1 } else { 0 };
        let is_over = self.quiet_looks >= QUIET_LOOKS;
        if is_over {
            *self = Flood { most_kept: kept, ..Flood::default() };
        }
        is_over
    }
}

impl Watch {
    fn new(now: Instant) -> Self {
        Watch { last: None, looked: now, in_head: None, unread: None, idle: now, ending: None }
    }

    fn look(&mut self, seen: Seen, limits: &Limits, short: bool, now: Instant) -> Verdict {
        let tick = now.saturating_duration_since(std::mem::replace(&mut self.looked, now));
        let last = self.last.replace(seen);
        let over = |since: Option<Instant>, limit: Option<Duration>| {
            since.zip(limit).is_some_and(|(since, limit)| now.saturating_duration_since(since) >= limit)
        };
        // A head that follows another one is a new head.
        let same_head = last.is_none_or(|last| last.taken == seen.taken && last.in_head);
        self.in_head = if !seen.in_head { None } else { self.in_head.filter(|_| same_head).or(Some(now)) };
        let enough = (tick.as_secs_f64() * MIN_BYTES_PER_SECOND as f64) as usize;
        let reads = last.is_none_or(|last| seen.written.wrapping_sub(last.written) >= enough);
        self.unread = if seen.unsent == 0 || reads { None } else { self.unread.or(Some(now)) };
        if seen.open > 0 || seen.unsent > 0 || last.is_none_or(|last| last.taken != seen.taken) {
            self.idle = now;
        }
        if over(self.in_head, limits.header_timeout) {
            return Verdict::Cut(Reason::Head);
        }
        if over(self.unread, limits.body_timeout) {
            return Verdict::Cut(Reason::Unread);
        }
        if over(self.ending, Some(GRACE)) && seen.open == 0 {
            return Verdict::Cut(Reason::Stays);
        }
        let idle = Some(self.idle);
        let reason = match self.ending {
            None if over(idle, limits.idle_timeout) => Reason::Idle,
            None if short && over(idle, Some(IDLE_IN_SHORTAGE)) => Reason::Shortage,
            _ => return Verdict::Keep,
        };
        self.ending = Some(now);
        Verdict::End(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const QUIET: Seen = Seen { taken: 1, open: 0, written: 0, unsent: 0, in_head: false };

    fn limits() -> Limits {
        Limits {
            header_timeout: Some(10 * SECOND),
            body_timeout: Some(20 * SECOND),
            idle_timeout: Some(100 * SECOND),
            ..Limits::default()
        }
    }

    /// Looks once a second; the first second in which the verdict is not to keep it, and that verdict.
    fn verdict(seen: impl Fn(u64) -> Seen, short: impl Fn(u64) -> bool) -> Option<(u64, Verdict)> {
        let start = Instant::now();
        let mut watch = Watch::new(start);
        (1..500).find_map(|second| {
            let now = start + second as u32 * SECOND;
            let verdict = watch.look(seen(second), &limits(), short(second), now);
            (verdict != Verdict::Keep).then_some((second, verdict))
        })
    }

    #[test]
    fn a_head_has_a_time_limit_and_a_further_head_a_new_one() {
        let head = |_| Seen { taken: 0, in_head: true, ..QUIET };
        assert_eq!(verdict(head, |_| false), Some((11, Verdict::Cut(Reason::Head))));
        let heads = |second| Seen { taken: second as usize / 7, in_head: true, ..QUIET };
        assert_eq!(verdict(heads, |_| false), None);
        let whole = |second: u64| Seen { taken: second as usize, ..QUIET };
        assert_eq!(verdict(whole, |_| false), None);
    }

    #[test]
    fn a_reply_that_nobody_reads_ends_the_connection() {
        let unread = |_| Seen { open: 1, unsent: 100_000, written: 5, ..QUIET };
        assert_eq!(verdict(unread, |_| false), Some((22, Verdict::Cut(Reason::Unread))));
        let slow = |second: u64| Seen { unsent: 100_000, written: 1024 * second as usize, ..QUIET };
        assert_eq!(verdict(slow, |_| false), None);
        let too_slow = |second: u64| Seen { unsent: 100_000, written: 100 * second as usize, ..QUIET };
        assert_eq!(verdict(too_slow, |_| false), Some((22, Verdict::Cut(Reason::Unread))));
    }

    #[test]
    fn idle_connections_end_late_or_when_others_need_their_place() {
        assert_eq!(verdict(|_| QUIET, |_| false), Some((101, Verdict::End(Reason::Idle))));
        assert_eq!(verdict(|_| QUIET, |second| second == 30), Some((30, Verdict::End(Reason::Shortage))));
        assert_eq!(verdict(|second| Seen { taken: second as usize, ..QUIET }, |_| true), None);
        assert_eq!(verdict(|_| Seen { open: 1, ..QUIET }, |_| true), None);
    }

    /// At which looks memory is given back.
    fn given_back(looks: impl IntoIterator<Item = (usize, usize)>) -> Vec<usize> {
        let mut flood = Flood::default();
        let over = looks.into_iter().map(|(ended, kept)| flood.is_over(ended, kept));
        over.enumerate().filter_map(|(at, over)| over.then_some(at)).collect()
    }

    #[test]
    fn memory_is_given_back_once_after_a_flood() {
        let quiet = [(0, 0); 20];
        assert_eq!(given_back([(50, 0), (0, 0), (500, 0), (30, 0)].into_iter().chain(quiet)), [7]);
        assert_eq!(given_back([(0, MANY_BYTES), (0, 10), (0, MANY_BYTES)].into_iter().chain(quiet)), [6]);
        assert_eq!(given_back([(50, 0), (0, MANY_BYTES - 1)].into_iter().chain(quiet)), [0; 0]);
    }

    #[test]
    fn those_who_always_come_and_go_do_not_put_it_off() {
        let steady = |from: usize| (from..from + 50).map(|look| (look % 4, 10));
        assert_eq!(given_back(steady(0).chain([(5000, 10), (3000, 10)]).chain(steady(1))), [55]);
        let many = std::iter::repeat_n((40, 0), 1000);
        assert_eq!(given_back(many), [0; 0]);
    }

    #[test]
    fn one_that_does_not_end_is_cut() {
        let start = Instant::now();
        let mut watch = Watch::new(start);
        let mut at = |second: u32| watch.look(QUIET, &limits(), true, start + second * SECOND);
        let (end, cut) = (Verdict::End(Reason::Shortage), Verdict::Cut(Reason::Stays));
        assert_eq!([at(1), at(4), at(6), at(10)], [Verdict::Keep, end, Verdict::Keep, cut]);
    }
}
