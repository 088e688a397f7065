//! To which exchanges messages go on a channel that others use as well.
//!
//! An exchange that does not exist closes the channel, and so does one to which this user may not publish, or may not with
//! some routing keys. So each has to take a message that goes alone before.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many are known; messages to others always go alone. Their names may come from requests.
const MOST: usize = 64;
/// Who was there so often when a channel ended always goes alone.
const STRIKES: u8 = 3;

#[derive(Default)]
pub(super) struct Trust(Mutex<HashMap<String, Known>>);

#[derive(Default)]
struct Known {
    has_taken: bool,
    strikes: u8,
}

impl Trust {
    pub fn has(&self, exchange: &str) -> bool {
        let known = self.known();
        let known = known.get(exchange);
        known.is_some_and(|known| known.has_taken && known.strikes < STRIKES)
    }

    /// It has taken a message that went alone.
    pub fn gain(&self, exchange: &str) {
        let mut all = self.known();
        if let Some(known) = all.get_mut(exchange) {
            known.has_taken = true;
        } else if all.len() < MOST {
            let known = Known {
                has_taken: true,
                strikes: 0,
            };
            all.insert(exchange.to_owned(), known);
        }
    }

    /// A channel ended on which a message to it was under way.
    pub fn lose(&self, exchange: &str) {
        if let Some(known) = self.known().get_mut(exchange) {
            known.has_taken = false;
            known.strikes = known.strikes.saturating_add(1);
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_there_whenever_a_channel_ended_goes_alone() {
        let trust = Trust::default();
        assert!(!trust.has("a"));
        for _ in 0..STRIKES {
            trust.gain("a");
            assert!(trust.has("a"));
            trust.lose("a");
            assert!(!trust.has("a"));
        }
        trust.gain("a");
        assert!(!trust.has("a"));
    }

    #[test]
    fn no_more_are_known_than_there_is_room_for() {
        let trust = Trust::default();
        for name in 0..=MOST {
            trust.gain(&name.to_string());
        }
        assert!(trust.has("0") && !trust.has(&MOST.to_string()));
    }
}
