//! The topics and groups that belong to another.

use super::TopicConfig;

/// Where the messages of `topic` wait on a step of the ladder, of which the first is 0.
pub(super) fn retry(topic: &str, step: usize) -> String {
    format!("{topic}.retry.{}", step + 1)
}

/// The dead letters of `topic`.
pub(super) fn dead(topic: &str) -> String {
    format!("{topic}.dlq")
}

/// The group that tells how many of the dead letters of `group` were replayed or deleted.
pub(super) fn replay(group: &str) -> String {
    format!("{group}.replay")
}

/// What a consumer of `topic` reads: the topic itself and the steps of its ladder.
pub(super) fn read(topic: &str, config: Option<&TopicConfig>) -> Vec<String> {
    let steps = config.map_or(0, |config| config.retry.delays.len());
    let steps = (0..steps).map(|step| retry(topic, step));
    std::iter::once(topic.to_owned()).chain(steps).collect()
}
