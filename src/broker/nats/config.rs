//! What is created in NATS: streams with their ladders and dead letters.

use serde::{Deserialize, Serialize};

use crate::broker::Ladder;
use crate::value::problem::Problems;

/// `[brokers.NAME.streams.STREAM]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct StreamConfig {
    /// What it keeps: subjects, `*` and `>` among their tokens.
    pub subjects: Vec<String>,
    /// How long a message waits after each failed attempt.
    #[serde(default)]
    pub retry: Ladder,
    /// Keep what cannot be delivered in a stream of its own.
    #[serde(default = "yes")]
    pub dead_letter: bool,
}

impl StreamConfig {
    /// What deserializing alone cannot see. `name` is that of the stream.
    pub fn check(&self, _name: &str, problems: &mut Problems) {
        if self.subjects.is_empty() {
            problems.error(&["subjects"], "a stream keeps at least one subject");
        }
        problems.within(&["retry"], |problems| self.retry.check(problems));
    }
}

fn yes() -> bool {
    true
}
