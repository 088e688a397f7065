//! What is called how in NATS.

use super::config::is_name;
use super::subject::{self, OURS};
use crate::broker::Source;

/// Where messages come from: what a consumer gets out of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub stream: String,
    /// The durable consumer.
    pub consumer: String,
    pub subject: Option<String>,
}

impl Place {
    /// # Errors
    /// What is wrong with the source, in a sentence.
    pub fn new(source: &Source) -> Result<Self, String> {
        let Source::Stream {
            stream,
            subject,
            consumer,
        } = source
        else {
            return Err("NATS has messages in streams, and nowhere else".to_owned());
        };
        for (name, what) in [(stream, "stream"), (consumer, "consumer")] {
            if !is_name(name) {
                return Err(format!("`{name}` is no name for a {what}"));
            }
        }
        if let Some(wrong) = subject.as_deref().and_then(subject::wrong_pattern) {
            return Err(wrong);
        }
        Ok(Place {
            stream: stream.clone(),
            consumer: consumer.clone(),
            subject: subject.clone(),
        })
    }

    /// Where copies wait on step `step` of the ladder, of which the first is 0. Among the subjects the first is 1, and
    /// 0 is for what waits for nothing.
    pub fn step(&self, step: usize) -> String {
        format!(
            "{OURS}.{}.{}.retry.{}",
            self.stream,
            self.consumer,
            step + 1
        )
    }

    /// Where what is replayed is put: only this consumer has to see it again.
    pub fn replayed(&self) -> String {
        format!("{OURS}.{}.{}.retry.0", self.stream, self.consumer)
    }

    /// All of its steps.
    pub fn steps(&self) -> String {
        format!("{OURS}.{}.{}.retry.*", self.stream, self.consumer)
    }

    /// Where its dead letters are.
    pub fn dead_letters(&self) -> String {
        format!("{OURS}.{}.{}.dlq", self.stream, self.consumer)
    }

    /// The stream of the ladder.
    pub fn retry_stream(&self) -> String {
        retry_stream(&self.stream)
    }

    /// The stream of the dead letters.
    pub fn dead_stream(&self) -> String {
        dead_stream(&self.stream)
    }
}

/// The stream of the ladders of all consumers of `stream`.
pub(super) fn retry_stream(stream: &str) -> String {
    format!("{stream}-retry")
}

/// The subjects of it.
pub(super) fn all_steps(stream: &str) -> String {
    format!("{OURS}.{stream}.*.retry.*")
}

/// The stream of the dead letters of all consumers of `stream`.
pub(super) fn dead_stream(stream: &str) -> String {
    format!("{stream}-dlq")
}

/// The subjects of it.
pub(super) fn all_dead_letters(stream: &str) -> String {
    format!("{OURS}.{stream}.*.dlq")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_be_several_tokens_are_none() {
        let place = |stream: &str, consumer: &str, subject: Option<&str>| {
            Place::new(&Source::Stream {
                stream: stream.to_owned(),
                subject: subject.map(str::to_owned),
                consumer: consumer.to_owned(),
            })
        };
        let good = place("orders", "billing", Some("orders.>")).unwrap();
        assert_eq!(good.step(0), "outrigger.orders.billing.retry.1");
        assert_eq!(good.dead_letters(), "outrigger.orders.billing.dlq");
        for (stream, consumer, subject) in [
            ("or.ders", "billing", None),
            ("orders", "bil.ling", None),
            ("orders", "", None),
            ("orders", "billing", Some("orders..a")),
        ] {
            assert!(place(stream, consumer, subject).is_err());
        }
    }
}
