//! What the word of a breaker says: in its two lowest bits the state, above them since when it is open.

use super::thresholds::Thresholds;

pub const CLOSED: u64 = 0;
pub const HALF_OPEN: u64 = 1;
pub const OPEN: u64 = 2;
pub const FORCED_CLOSED: u64 = 3;

/// The word of a breaker that an operator holds open: no opening packs to it.
pub const FORCED_OPEN: u64 = u64::MAX << 2 | OPEN;

pub fn mode(word: u64) -> u64 {
    word & 3
}

/// When a breaker opened, and what matters for how long: not how long, as that may change meanwhile.
#[derive(Clone, Copy)]
pub struct Opening {
    pub began: u64,
    pub openings: u32,
    /// What is taken off so that many breakers do not all try again at once, in parts of 2560.
    pub spread: u8,
}

/// More do not matter: 32 doublings reach any limit.
const MOST_OPENINGS: u32 = 63;

impl Opening {
    pub fn pack(self) -> u64 {
        let openings = u64::from(self.openings.min(MOST_OPENINGS));
        self.began << 14 | openings << 8 | u64::from(self.spread)
    }

    fn unpack(packed: u64) -> Self {
        Opening {
            began: packed >> 14,
            openings: (packed >> 8 & 63) as u32,
            spread: packed as u8,
        }
    }

    /// It lasts between 90 and 100 % of what [`Thresholds::recovery`] says.
    fn until(self, thresholds: &Thresholds) -> u64 {
        let nominal = thresholds.recovery(self.openings);
        let taken_off = nominal / 2560 * u64::from(self.spread);
        self.began.saturating_add(nominal - taken_off)
    }
}

/// How long a breaker with this word, which is open, will stay so. None when it has been open for long enough.
pub fn wait(word: u64, now: u64, thresholds: &Thresholds) -> Option<u64> {
    if word == FORCED_OPEN {
        // Nobody knows when the operator lets go of it.
        return Some(thresholds.recovery);
    }
    let until = Opening::unpack(word >> 2).until(thresholds);
    until.checked_sub(now).filter(|wait| *wait > 0)
}
