// SPDX-License-Identifier: Apache-2.0
//! What is said and counted of the tuner's decisions.

use std::time::Duration;

use tensorserve_batching::experiment::Verdict;
use tensorserve_batching::stats::add;
use tensorserve_batching::{Decision, Stats, Strategy};
use tensorserve_log::{Level, Limit, Line};

/// Logs the decisions for one queue at a limited rate, and counts all.
#[derive(Debug)]
pub(crate) struct DecisionLog {
    model: String,
    /// Those that a run can be of.
    signatures: String,
    /// For changes of the strategy, as there are several in the first seconds, and for other decisions.
    changes: Limit,
    others: Limit,
}

impl DecisionLog {
    pub(crate) fn new(model: String, signatures: String) -> Self {
        let [changes, others] = [100, 1000].map(|millis| Limit::every(Duration::from_millis(millis)));
        DecisionLog { model, signatures, changes, others }
    }

    /// Takes a decision in. A change of the strategy is of interest to whoever runs the server, the others to whoever asks why
    /// there was none.
    #[cold]
    pub(crate) fn decided(&self, decision: &Decision, stats: &Stats) {
        let (count, level, limit) = match decision {
            Decision::Compared { verdict: Verdict::Better, .. } => (&stats.better, Level::Info, &self.changes),
            Decision::Compared { verdict: Verdict::Worse, .. } => (&stats.worse, Level::Debug, &self.others),
            Decision::Compared { verdict: Verdict::Unclear, .. } => (&stats.unclear, Level::Debug, &self.others),
            Decision::LoadChanged { .. } => (&stats.load_changed, Level::Debug, &self.others),
        };
        add(count, 1);
        limit.say(|| {
            let DecisionLog { model, signatures, .. } = self;
            let line = Line::new(level, format!("Batching of {model} ({signatures}): {}", text(decision)));
            line.with("model", model).with("signature", signatures)
        });
    }
}

fn text(decision: &Decision) -> String {
    match decision {
        Decision::Compared { candidate, used, verdict, ratio, pairs } => {
            let (candidate, used, least, most) = (words(*candidate), words(*used), ratio.start(), ratio.end());
            let consequence = match verdict {
                Verdict::Better => format!("{candidate} from now on, instead of {used}:"),
                Verdict::Worse => format!("{used} still, {candidate} is worse:"),
                Verdict::Unclear => format!("{used} still, {candidate} is not clearly better:"),
            };
            format!("{consequence} {least:.2} to {most:.2} times the rows in {pairs} pairs of windows.")
        }
        Decision::LoadChanged { before, now } => {
            format!("the load has changed, from {before:.0} to {now:.0} rows a second: strategies are compared anew.")
        }
    }
}

/// A strategy in words.
pub(crate) fn words(Strategy { max_in_flight, linger }: Strategy) -> String {
    let lingering = if linger { ", which linger" } else { "" };
    match max_in_flight {
        0 => "each request on its own".to_owned(),
        1 => format!("one batch at once{}", if linger { ", which lingers" } else { "" }),
        number => format!("{number} batches at once{lingering}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_counted_and_told_with_their_evidence() {
        let (log, stats) = (DecisionLog::new("m".to_owned(), "s".to_owned()), Stats::default());
        let compared = |verdict| Decision::Compared {
            candidate: Strategy { max_in_flight: 2, linger: true },
            used: Strategy::UNBATCHED,
            verdict,
            ratio: 1.25..=1.5,
            pairs: 2,
        };
        log.decided(&compared(Verdict::Better), &stats);
        log.decided(&compared(Verdict::Unclear), &stats);
        log.decided(&Decision::LoadChanged { before: 100.0, now: 200.0 }, &stats);
        let counts = [stats.better, stats.worse, stats.unclear, stats.load_changed].map(|count| count.into_inner());
        assert_eq!(counts, [1, 0, 1, 1]);
        assert_eq!(
            text(&compared(Verdict::Better)),
            "2 batches at once, which linger from now on, instead of each request on its own: 1.25 to 1.50 times the rows in \
             2 pairs of windows."
        );
    }
}
