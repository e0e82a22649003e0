// SPDX-License-Identifier: Apache-2.0
//! How urgent a request is.

/// Higher ones go first; lower ones get a turn now and then, see [`Turns`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    High,
    #[default]
    Default,
    Low,
}

impl Priority {
    /// From the most urgent down.
    pub const ALL: [Priority; 3] = [Priority::High, Priority::Default, Priority::Low];

    /// The priority with this name, as clients write it.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "high" => Some(Priority::High),
            "default" => Some(Priority::Default),
            "low" => Some(Priority::Low),
            _ => None,
        }
    }
}

/// One turn in so many goes to the least urgent that wait.
const TURNS_OF_A_ROUND: u32 = 16;

/// Decides which priorities come first, turn after turn: the urgent ones, but one turn in 16 starts from the other end,
/// so that nothing waits for ever and the urgent ones lose at most a sixteenth.
#[derive(Debug, Default)]
pub struct Turns(u32);

impl Turns {
    /// The order for this turn. `contended`: more than one priority waits; else there is nothing to decide.
    pub fn order(&mut self, contended: bool) -> [Priority; 3] {
        let [high, default, low] = Priority::ALL;
        if contended {
            self.0 = (self.0 + 1) % TURNS_OF_A_ROUND;
            if self.0 == 0 {
                return [low, default, high];
            }
        }
        [high, default, low]
    }
}
