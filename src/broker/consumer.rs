//! Messages on their way from a broker, and what is made of each.

use futures_util::future::BoxFuture;

use super::Message;

/// What takes messages from one source. It attaches by itself, and again whenever the connection comes back.
///
/// To pause is to close it and to consume anew: what it has taken and nobody has seen goes back uncounted.
pub trait Consumer: Send {
    /// The next message; pending while there is none. It is not lost when the future is dropped.
    fn next(&mut self) -> BoxFuture<'_, Delivery>;

    /// Why no messages can come now, in a sentence; None while it is attached.
    fn trouble(&self) -> Option<String>;

    /// Takes no more, and hands back what it has taken and [`Consumer::next`] has not given out. Deliveries given out
    /// can still be settled, for as long as the client lives.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// A message, to be settled by a [`Verdict`]. Dropped before that, it goes back uncounted, as far as the broker lets it.
pub struct Delivery {
    pub message: Message,
    /// How often its delivery was tried, this time included: 1, 2, ...
    pub attempt: u32,
    /// It was given out before, by what the broker says or the client knows, and may have been dealt with.
    pub redelivered: bool,
    /// Whatever was tried before of the same key comes first, when order is asked for: Kafka's key, a subject, a routing key.
    pub key: Option<String>,
    pub settle: Box<dyn Settle>,
}

/// What tells the broker what became of a message.
pub trait Settle: Send {
    /// Completes when the broker has taken it: a message that moves is stored where it goes before it is acknowledged
    /// where it was.
    ///
    /// # Errors
    /// When that is not certain: the message will come again.
    fn settle(self: Box<Self>, verdict: Verdict) -> BoxFuture<'static, Result<(), Lost>>;
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was delivered.
    Done,
    /// It waits on a step of the ladder, of which the first is 0, and comes again with `attempt + 1`.
    Retry { step: usize },
    /// It is kept among the dead letters. `reason` is a word for labels.
    DeadLetter { reason: String },
    /// It goes back to where it was, as if it had never been taken, or behind others where the broker puts what comes back.
    Return,
    /// It goes back when its consumer closes, which is to be next, and before all that was behind it: none of those that its
    /// consumer has given out may be under way.
    Leave,
}

/// Why it is not certain that the broker has taken a verdict, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost(pub String);
