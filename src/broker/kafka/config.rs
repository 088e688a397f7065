//! What is created in Kafka: topics with their ladders and dead letters.

use serde::{Deserialize, Serialize};

use crate::broker::Ladder;
use crate::tls::{MinVersion, outbound};
use crate::value::problem::Problems;

/// The longest name of a topic, with room for what stands behind it in those of its retries.
const LONGEST: usize = 249 - ".retry.16".len();

/// `[brokers.NAME.topics.TOPIC]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TopicConfig {
    /// Default: what the broker gives to a new topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u16>,
    /// On how many brokers it is, with its retries and dead letters. Default: what the broker gives to a new topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u8>,
    /// How long a message waits after each failed attempt.
    #[serde(default)]
    pub retry: Ladder,
    /// Keep what cannot be delivered in a topic of its own.
    #[serde(default = "yes")]
    pub dead_letter: bool,
}

impl TopicConfig {
    /// What deserializing alone cannot see. `name` is that of the topic.
    pub fn check(&self, name: &str, problems: &mut Problems) {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > LONGEST || !name.chars().all(fits) {
            problems
                .error(&[], format!("`{name}` is no name for a topic"))
                .help(format!(
                    "at most {LONGEST} letters, digits, `.`, `_` and `-`: its retries have longer names"
                ));
        }
        if self.partitions == Some(0) {
            problems.error(&["partitions"], "a topic has at least one partition");
        }
        if self.replicas == Some(0) {
            problems.error(&["replicas"], "a topic is on at least one broker");
        }
        problems.within(&["retry"], |problems| self.retry.check(problems));
    }
}

/// Reports what of `tls` the client of Kafka cannot do.
pub fn check_tls(tls: &outbound::Config, problems: &mut Problems) {
    for (key, is_there) in [
        ("crl", tls.crl.is_some()),
        ("identity", tls.identity.is_some()),
        ("min_version", tls.min_version != MinVersion::default()),
    ] {
        if is_there {
            problems.error(&[key], format!("`{key}` is not built for Kafka"));
        }
    }
}

fn yes() -> bool {
    true
}
