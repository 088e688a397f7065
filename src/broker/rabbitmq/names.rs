//! What the queues and the exchange around a queue are called.

use lapin::types::ShortString;

/// The queue on which messages of `queue` wait for a step, of which the first is 0.
pub(super) fn step(queue: &str, step: usize) -> String {
    format!("{queue}.retry.{}", step + 1)
}

/// The exchange that leads to the dead letters of `queue`.
pub(super) fn letters_exchange(queue: &str) -> String {
    format!("{queue}.dlx")
}

/// The queue with the dead letters of `queue`.
pub(super) fn letters(queue: &str) -> String {
    format!("{queue}.dlq")
}

/// As AMQP sends a name.
///
/// # Errors
/// When it is longer than AMQP lets it be, in a sentence.
pub(super) fn short(text: &str) -> Result<ShortString, String> {
    ShortString::try_new(text)
        .map_err(|_| format!("a name or key of {} bytes is longer than 255", text.len()))
}
