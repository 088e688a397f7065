//! What is created in NATS: streams with their ladders and dead letters.

use std::num::{NonZeroU8, NonZeroU64};

use serde::{Deserialize, Serialize};

use super::subject::{self, OURS};
use crate::broker::Ladder;
use crate::value::problem::Problems;
use crate::value::{ByteSize, Duration};

/// `[brokers.NAME.streams.STREAM]`: it is kept in files. One that exists is left as it is, and what is otherwise in it is
/// told.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct StreamConfig {
    /// What it keeps: subjects, `*` and `>` among their tokens.
    pub subjects: Vec<String>,
    /// `"limits"`: messages stay whoever has read them. `"work-queue"`: until one consumer is done with them.
    /// `"interest"`: until all consumers that there are, are done with them.
    #[serde(default)]
    pub retention: Retention,
    /// The most messages. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_messages: Option<NonZeroU64>,
    /// The most bytes. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<ByteSize>,
    /// How old messages become. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
    /// What gives way when it is full: `"old"` messages or `"new"` ones. Default: old ones where the retention is
    /// `"limits"`, else new ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discard: Option<Discard>,
    /// On how many servers it is. Default: one.
    #[serde(default = "one")]
    pub replicas: NonZeroU8,
    /// How long the id of a message is remembered, to find out that it is published again. Default: the server's, two
    /// minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_window: Option<Duration>,
    /// How long a message waits after each failed attempt.
    #[serde(default)]
    pub retry: Ladder,
    /// Keep what cannot be delivered in a stream of its own.
    #[serde(default = "yes")]
    pub dead_letter: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Retention {
    #[default]
    Limits,
    WorkQueue,
    Interest,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Discard {
    Old,
    New,
}

/// What no stream's name and no consumer's may have in it.
const NOT_IN_NAMES: [char; 5] = ['.', '*', '>', '/', '\\'];
const LONGEST_NAME: usize = 200;

/// Whether the server takes a name for a stream or a consumer.
pub(super) fn is_name(name: &str) -> bool {
    let bad = |c: char| NOT_IN_NAMES.contains(&c) || c.is_whitespace() || c.is_control();
    !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains(bad)
}

impl StreamConfig {
    /// What deserializing alone cannot see. `name` is that of the stream.
    pub fn check(&self, name: &str, problems: &mut Problems) {
        if !is_name(name) {
            problems
                .error(&[], format!("`{name}` is no name for a stream"))
                .help("leave out blanks, `.`, `*`, `>`, `/` and `\\`");
        }
        self.check_subjects(problems);
        problems.within(&["retry"], |problems| self.retry.check(problems));
        if self.replicas.get() > 5 {
            problems.error(&["replicas"], "a stream is on at most 5 servers");
        }
        if self.retention == Retention::Interest {
            problems
                .warning(
                    &["retention"],
                    "a stream of this kind confirms a message and keeps nothing of it while nobody consumes it",
                )
                .help("publish to one with `\"work-queue\"` or `\"limits\"` what must not be lost");
        }
        let limit = match (self.max_messages, self.max_bytes) {
            (Some(_), _) => Some("max_messages"),
            (_, Some(_)) => Some("max_bytes"),
            _ => None,
        };
        if let Some(limit) = limit
            && self.discard.is_none()
            && self.retention == Retention::Limits
        {
            problems
                .warning(
                    &[limit],
                    "when this stream is full, its oldest messages are dropped, whether anyone has consumed them or not",
                )
                .help("set `discard = \"new\"` to have new ones refused, or `discard = \"old\"` if that is meant");
        }
    }

    fn check_subjects(&self, problems: &mut Problems) {
        if self.subjects.is_empty() {
            problems.error(&["subjects"], "a stream keeps at least one subject");
        }
        let all_of_ours = format!("{OURS}.>");
        for (place, pattern) in self.subjects.iter().enumerate() {
            let at = ["subjects", &place.to_string()];
            if let Some(wrong) = subject::wrong_pattern(pattern) {
                problems.error(&at, wrong);
            } else if subject::overlap(pattern, &all_of_ours) {
                problems
                    .error(
                        &at,
                        format!("`{pattern}` takes in `{OURS}.`, where the ladders and dead letters of all streams are"),
                    )
                    .help("name the first token of the subjects");
            }
        }
    }
}

fn one() -> NonZeroU8 {
    NonZeroU8::MIN
}

fn yes() -> bool {
    true
}
