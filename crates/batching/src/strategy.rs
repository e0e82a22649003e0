// SPDX-License-Identifier: Apache-2.0
//! How requests of one kind may be run, and which ways to do so are near each other.

/// One way to run requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strategy {
    /// Batches that may be in flight at once; 0 if each request runs on its own.
    pub max_in_flight: usize,
    /// A batch waits, but not for long, until its share of the rows in flight has arrived.
    pub linger: bool,
}

impl Strategy {
    /// Each request on its own.
    pub const UNBATCHED: Strategy = Strategy { max_in_flight: 0, linger: false };

    /// All strategies: none batched first, then 1, 2, 4 and so on up to `most` batches in flight, with linger and without.
    pub fn all(most: usize) -> Vec<Strategy> {
        let most = most.max(1);
        let doubled = std::iter::successors(Some(1), |number| Some(number * 2)).take_while(|&number| number < most);
        let batched = doubled
            .chain([most])
            .flat_map(|max_in_flight| [false, true].map(|linger| Strategy { max_in_flight, linger }));
        std::iter::once(Strategy::UNBATCHED).chain(batched).collect()
    }

    /// Whether one step leads from one to the other, of those with up to `most` batches in flight: linger turned on or off, half
    /// or twice the batches in flight, or batching turned on or off. It is turned on at either end: requests on their own
    /// are much like many small batches.
    pub fn is_neighbour(self, other: Strategy, most: usize) -> bool {
        let (fewer, more) = (self.max_in_flight.min(other.max_in_flight), self.max_in_flight.max(other.max_in_flight));
        if self == Strategy::UNBATCHED {
            return more == 1 || more == most && more > 0;
        }
        if fewer == 0 || fewer == more {
            return self != other;
        }
        // The largest number of batches need not be a power of two.
        self.linger == other.linger && more <= 2 * fewer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbours(most: usize, strategy: Strategy) -> Vec<(usize, bool)> {
        let all = Strategy::all(most).into_iter().filter(|other| strategy.is_neighbour(*other, most));
        all.map(|Strategy { max_in_flight, linger }| (max_in_flight, linger)).collect()
    }

    #[test]
    fn numbers_are_doubled_up_to_the_most() {
        let numbers = |most| -> Vec<usize> { Strategy::all(most).iter().map(|it| it.max_in_flight).collect() };
        assert_eq!(numbers(0), [0, 1, 1]);
        assert_eq!(numbers(2), [0, 1, 1, 2, 2]);
        assert_eq!(numbers(6), [0, 1, 1, 2, 2, 4, 4, 6, 6]);
    }

    #[test]
    fn neighbours_are_one_step_apart() {
        let four = Strategy { max_in_flight: 4, linger: true };
        assert_eq!(neighbours(32, four), [(0, false), (2, true), (4, false), (8, true)]);
        assert_eq!(neighbours(6, four), [(0, false), (2, true), (4, false), (6, true)]);
        let one = Strategy { max_in_flight: 1, linger: false };
        assert_eq!(neighbours(4, one), [(0, false), (1, true), (2, false)]);
        assert_eq!(neighbours(2, Strategy::UNBATCHED), [(1, false), (1, true), (2, false), (2, true)]);
        assert_eq!(neighbours(32, Strategy::UNBATCHED), [(1, false), (1, true), (32, false), (32, true)]);
        assert_eq!(neighbours(1, Strategy::UNBATCHED), [(1, false), (1, true)]);
    }
}
