// SPDX-License-Identifier: Apache-2.0
//! The constants that steer what is learned here: how runs are expected to take time, and how batches are sized.

use std::time::Duration;

/// How [`CostModel`](crate::CostModel) learns what runs take, and what follows from that.
#[derive(Clone, Copy, Debug)]
pub struct CostSettings {
    /// Samples that an average rests on. Each has 1/8 of the weight, so that a change is known after about 20, and counts for at
    /// most 8 times the mean, so that one that was held up at most doubles it. An experiment that stays unclear has as many
    /// windows.
    pub samples: u32,
    /// Runs that take less time than this happen on the lane that read their request. A hand-over to another thread costs 10
    /// to 20 µs, and other requests of the lane do not notice this much.
    pub inline_always: Duration,
    /// Runs that take less than this happen there as well if no other request waits for the lane. A longer run would hold up
    /// the input and output of requests that come meanwhile.
    pub inline_alone: Duration,
    /// What takes longer than this was held up noticeably: a run on a lane is a surprise, and a tuner's window in which nothing is
    /// done for this long, where something usually is, does not count. It is about the time that Linux gives to another process.
    pub surprise: Duration,
    /// Runs that happen on execution threads after the first surprise; twice as many after each further one. A model that
    /// surprises once in 1,000 runs holds up a lane for 1 % of the time at most.
    pub back_off_runs: u32,
    /// A batch that lingers does so for at most this part of the time that its run takes, so that a request never waits for
    /// long beside what it takes anyway.
    pub linger: f64,
    /// And for at most this: clients do not take longer to read an answer and to send the next request.
    pub longest_linger: Duration,
}

impl CostSettings {
    pub const DEFAULT: CostSettings = CostSettings {
        samples: 8,
        inline_always: Duration::from_micros(40),
        inline_alone: Duration::from_micros(250),
        surprise: Duration::from_millis(10),
        back_off_runs: 1000,
        linger: 0.5,
        longest_linger: Duration::from_millis(20),
    };
}

/// How [`Tuner`](crate::Tuner) measures and compares strategies.
#[derive(Clone, Copy, Debug)]
pub struct TunerSettings {
    /// The least time over which rows are counted. Shorter windows mostly show which batch happened to end in them.
    pub window: Duration,
    /// The least number of rows of a window; requests that run on their own are reported once for this number of rows. An odd
    /// row at one end then makes 6 % of the rate at most.
    pub rows: u64,
    /// The gain, as a part of the rate, that batches have to be worth: what is simpler is preferred to what is not better by
    /// this much. It is also the least difference between two windows that is taken for chance.
    pub margin: f64,
    /// Standard errors by which a mean has to be clear of a bound. With 1 some comparisons of equals are called, which costs nothing,
    /// as they are equal; with 2 a better strategy is found too late on a machine that stands still now and then.
    pub doubt: f64,
    /// If the strategy in use does at least this many times more or less than when another one lost against it, there is another
    /// load, and the other one has not lost any more. Smaller changes happen on any busy machine.
    pub change: f64,
}

impl TunerSettings {
    pub const DEFAULT: TunerSettings =
        TunerSettings { window: Duration::from_millis(25), rows: 16, margin: 0.03, doubt: 1.0, change: 1.5 };
}
