//! What is created in Kafka: topics with their ladders and dead letters.

use serde::{Deserialize, Serialize};

use crate::broker::Ladder;
use crate::value::problem::Problems;

/// `[brokers.NAME.topics.TOPIC]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TopicConfig {
    /// Default: what the broker gives to a new topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u16>,
    /// How long a message waits after each failed attempt.
    #[serde(default)]
    pub retry: Ladder,
    /// Keep what cannot be delivered in a topic of its own.
    #[serde(default = "yes")]
    pub dead_letter: bool,
}

impl TopicConfig {
    /// What deserializing alone cannot see. `name` is that of the topic.
    pub fn check(&self, _name: &str, problems: &mut Problems) {
        if self.partitions == Some(0) {
            problems.error(&["partitions"], "a topic has at least one partition");
        }
        problems.within(&["retry"], |problems| self.retry.check(problems));
    }
}

fn yes() -> bool {
    true
}
