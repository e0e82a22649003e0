// SPDX-License-Identifier: Apache-2.0
//! Whose turn it is: items that wait, by group (model) and priority.
//!
//! The most urgent priority goes first, unless it leaves the others nothing, see [`Turns`]. The groups' shares are of
//! measured run time: each has a clock that runs at the time its jobs took divided by its weight, and the one furthest
//! behind goes next. Unlike rounds with a quantum (deficit round robin) that needs no idea of how long a job will take,
//! and a group that was idle for long has nothing saved up.
//!
//! Pure: it is told the time, holds no lock and starts nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ewma::Ewma;
use crate::priority::{Priority, Turns};
use crate::source::{Entry, Job};

/// Idle groups are forgotten once there are more than this.
const REMEMBERED_GROUPS: usize = 256;

/// What a thread takes.
pub(crate) enum Item {
    Run(Job),
    /// A source to ask for work.
    Ask(Arc<Entry>),
}

/// An item that was taken out to be run.
pub(crate) struct Turn {
    pub(crate) group: Arc<str>,
    pub(crate) priority: Priority,
    /// What the group was charged in advance.
    pub(crate) charged: f64,
    pub(crate) item: Item,
}

/// Items that wait, and who is to be served next.
pub(crate) struct Shares {
    weights: HashMap<Arc<str>, f64>,
    /// Jobs of each group that may run at once.
    group_limit: usize,
    groups: HashMap<Arc<str>, Group>,
    /// Items that wait, by priority.
    waiting: [usize; 3],
    /// Sources whose work waits for their own jobs to end. They are passed over as well.
    busy: [usize; 3],
    turns: Turns,
    /// Items that were taken out and have not ended.
    running: usize,
    /// The clock of the group that was last served: where one that was idle joins.
    clock: f64,
}

struct Group {
    items: [VecDeque<Item>; 3],
    clock: f64,
    weight: f64,
    running: usize,
    /// Seconds that its jobs took lately.
    usual: Ewma,
}

impl Shares {
    /// Groups without a weight have 1.
    pub(crate) fn new(weights: HashMap<Arc<str>, f64>, group_limit: usize) -> Self {
        let (groups, turns) = (HashMap::new(), Turns::default());
        Shares {
            weights,
            group_limit: group_limit.max(1),
            groups,
            waiting: [0; 3],
            busy: [0; 3],
            turns,
            running: 0,
            clock: 0.0,
        }
    }

    pub(crate) fn weights(&self) -> &HashMap<Arc<str>, f64> {
        &self.weights
    }

    /// What counts from now on: what groups have had so far stays as it was charged.
    pub(crate) fn set_weights(&mut self, weights: HashMap<Arc<str>, f64>) {
        for (name, group) in &mut self.groups {
            group.weight = weight_of(&weights, name);
        }
        self.weights = weights;
    }

    /// Items that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.iter().sum()
    }

    /// Whether one of a group's items may run beside those of it that run.
    pub(crate) fn has_room(&self, group: &str) -> bool {
        self.groups.get(group).is_some_and(|group| group.running < self.group_limit)
    }

    /// Whether an item that waits may run.
    pub(crate) fn has_work(&self) -> bool {
        let has_items = |group: &Group| group.items.iter().any(|items| !items.is_empty());
        self.groups.values().any(|group| group.running < self.group_limit && has_items(group))
    }

    pub(crate) fn push(&mut self, group: &Arc<str>, priority: Priority, item: Item) {
        let (clock, weights) = (self.clock, &self.weights);
        let group = match self.groups.get_mut(group) {
            Some(group) => group,
            None => self.groups.entry(Arc::clone(group)).or_insert_with_key(|name| Group::new(weights, name)),
        };
        if group.is_idle() {
            group.clock = group.clock.max(clock);
        }
        if let Item::Ask(entry) = &item {
            self.busy[priority as usize] -= usize::from(entry.set_busy(priority, false));
        }
        group.items[priority as usize].push_back(item);
        self.waiting[priority as usize] += 1;
    }

    /// The next item: of the most urgent priority that may run, of the group that is furthest behind.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Turn> {
        if self.waiting == [0; 3] {
            return None;
        }
        let order =
            self.turns.order([0, 1, 2].map(|level| self.waiting[level] + self.busy[level] > 0), self.running, now);
        let limit = self.group_limit;
        let found = order.into_iter().find_map(|priority| {
            let may_run = |group: &Group| group.running < limit && !group.items[priority as usize].is_empty();
            let waits = self.groups.iter().filter(|(_, group)| may_run(group));
            let (name, _) = waits.min_by(|(_, a), (_, b)| a.clock.total_cmp(&b.clock))?;
            Some((priority, Arc::clone(name)))
        });
        let (priority, name) = found?;
        let group = self.groups.get_mut(&name)?;
        let item = group.items[priority as usize].pop_front()?;
        self.waiting[priority as usize] -= 1;
        self.clock = group.clock;
        let charged = group.usual.mean().unwrap_or(0.0) / group.weight;
        group.clock += charged;
        group.running += 1;
        self.running += 1;
        Some(Turn { group: name, priority, charged, item })
    }

    /// Replaces what a group was charged in advance by what its job took.
    pub(crate) fn charge(&mut self, name: &str, priority: Priority, charged: f64, took: Duration) {
        self.turns.had(priority, took);
        self.running -= 1;
        let Some(group) = self.groups.get_mut(name) else { return };
        let took = took.as_secs_f64();
        group.clock += took / group.weight - charged;
        group.usual.add(took);
        group.running -= 1;
        self.forget_idle_groups();
    }

    /// Gives back what a group was charged in advance: there was no job.
    pub(crate) fn refund(&mut self, name: &str, charged: f64) {
        self.running -= 1;
        let Some(group) = self.groups.get_mut(name) else { return };
        group.clock -= charged;
        group.running -= 1;
        self.forget_idle_groups();
    }

    /// A source has work of a priority that waits for its own jobs to end.
    pub(crate) fn set_busy(&mut self, entry: &Entry, priority: Priority) {
        self.busy[priority as usize] += usize::from(!entry.set_busy(priority, true));
    }

    /// Takes out all that waits.
    pub(crate) fn clear(&mut self) -> Vec<Item> {
        self.waiting = [0; 3];
        std::mem::take(&mut self.groups).into_values().flat_map(|group| group.items).flatten().collect()
    }

    fn forget_idle_groups(&mut self) {
        if self.groups.len() > REMEMBERED_GROUPS {
            let clock = self.clock;
            self.groups.retain(|_, group| !group.is_idle() || group.clock > clock);
        }
    }
}

fn weight_of(weights: &HashMap<Arc<str>, f64>, name: &str) -> f64 {
    weights.get(name).copied().filter(|weight| *weight > 0.0).unwrap_or(1.0)
}

impl Group {
    fn new(weights: &HashMap<Arc<str>, f64>, name: &str) -> Self {
        let weight = weight_of(weights, name);
        Group { items: Default::default(), clock: 0.0, weight, running: 0, usual: Ewma::new() }
    }

    fn is_idle(&self) -> bool {
        self.running == 0 && self.items.iter().all(VecDeque::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_weights_count_for_groups_that_are_there() {
        let mut shares = Shares::new(HashMap::new(), 1);
        let names: [Arc<str>; 2] = ["heavy".into(), "light".into()];
        let jobs_of_heavy = |shares: &mut Shares, jobs: usize| {
            let mut turns = 0;
            for _ in 0..jobs {
                let turn = shares.next(Instant::now()).expect("both have work");
                shares.charge(&turn.group, turn.priority, turn.charged, Duration::from_secs(1));
                turns += usize::from(turn.group == names[0]);
            }
            turns
        };
        for name in &names {
            (0..20).for_each(|_| shares.push(name, Priority::Default, Item::Run(Box::new(|| ()))));
        }
        assert_eq!(jobs_of_heavy(&mut shares, 4), 2);
        shares.set_weights(HashMap::from([(Arc::clone(&names[0]), 3.0)]));
        assert!((5..=7).contains(&jobs_of_heavy(&mut shares, 8)), "three of four");
    }

    const MILLI: Duration = Duration::from_millis(1);

    /// The seconds of a processor that each of two models had at each priority, if both always have more to do at each. The runs
    /// of the second one take four times as long.
    fn simulate(processors: usize, weights: HashMap<Arc<str>, f64>) -> HashMap<(Arc<str>, Priority), f64> {
        let (mut shares, start) = (Shares::new(weights, usize::MAX), Instant::now());
        let models = [("a", MILLI), ("b", 4 * MILLI)].map(|(name, took)| (Arc::<str>::from(name), took));
        let push = |shares: &mut Shares, model: &Arc<str>, priority| {
            shares.push(model, priority, Item::Run(Box::new(|| {})));
        };
        for (model, _) in &models {
            for priority in Priority::ALL {
                (0..=processors).for_each(|_| push(&mut shares, model, priority));
            }
        }
        let mut running: Vec<(Instant, Turn)> = Vec::new();
        let (mut now, mut times) = (start, HashMap::new());
        while now < start + 20_000 * MILLI {
            while running.len() < processors {
                let turn = shares.next(now).expect("there is always more");
                push(&mut shares, &turn.group, turn.priority);
                running.push((now, turn));
            }
            let took = |turn: &Turn| if turn.group == models[0].0 { models[0].1 } else { models[1].1 };
            let first = (0..running.len()).min_by_key(|&at| running[at].0 + took(&running[at].1)).unwrap();
            let (began, turn) = running.swap_remove(first);
            now = began + took(&turn);
            shares.charge(&turn.group, turn.priority, turn.charged, now - began);
            *times.entry((turn.group, turn.priority)).or_default() += (now - began).as_secs_f64();
        }
        times
    }

    #[test]
    fn models_share_any_number_of_processors_by_their_weights() {
        for processors in [1, 2, 8, 32] {
            let times = simulate(processors, HashMap::from([(Arc::from("a"), 3.0)]));
            let of =
                |name: &str| -> f64 { times.iter().filter(|((model, _), _)| &**model == name).map(|it| it.1).sum() };
            let ratio = of("a") / of("b");
            assert!((2.5..3.5).contains(&ratio), "{ratio} on {processors} processors: {times:?}");
        }
    }

    #[test]
    fn no_priority_starves_on_any_number_of_processors() {
        for processors in [1, 2, 8, 32] {
            let times = simulate(processors, HashMap::new());
            let of = |wanted| -> f64 { times.iter().filter(|((_, it), _)| *it == wanted).map(|it| it.1).sum() };
            let all: f64 = times.values().sum();
            let [high, default, low] = Priority::ALL.map(|priority| of(priority) / all);
            assert!(high > 0.8, "{high} {default} {low} on {processors} processors");
            assert!(default > 0.02 && low > 0.02, "{high} {default} {low} on {processors} processors");
        }
    }
}
