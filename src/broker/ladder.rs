//! The steps on which a message waits after a failed attempt, each longer than the last.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::value::problem::Problems;

/// The most steps: each is a queue, a subject or a topic of its own.
const MOST: usize = 16;

/// `retry`: how long a message waits after each failed attempt. Behind the last it is a dead letter.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Ladder {
    /// The wait after the first attempt, the second, and so on.
    pub delays: Vec<crate::value::Duration>,
}

impl Ladder {
    /// What deserializing alone cannot see.
    pub fn check(&self, problems: &mut Problems) {
        if self.delays.len() > MOST {
            problems.error(
                &["delays"],
                format!("{} steps are more than {MOST}", self.delays.len()),
            );
        }
        for (place, delay) in self.delays.iter().enumerate() {
            if delay.0.is_zero() {
                problems
                    .error(&["delays", &place.to_string()], "a wait of no time is none")
                    .help("leave this step out: retries without a wait are the `retry` of a route");
            } else if let Some(before) = place.checked_sub(1).map(|place| self.delays[place])
                && *delay < before
            {
                problems
                    .warning(
                        &["delays", &place.to_string()],
                        format!("`{delay}` is shorter than `{before}`, the wait before it"),
                    )
                    .help("a message takes the steps in this order: write the shortest first");
            }
        }
    }

    /// The wait of a step, of which the first is 0. None behind the last.
    pub fn delay(&self, step: usize) -> Option<Duration> {
        self.delays.get(step).map(|delay| delay.0)
    }

    /// The step whose wait is nearest to `wanted`, among `from` and those above it. None when there are none.
    pub fn nearest(&self, wanted: Duration, from: usize) -> Option<usize> {
        (from..self.delays.len()).min_by_key(|step| self.delays[*step].0.abs_diff(wanted))
    }
}
