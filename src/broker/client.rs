//! What publishes to a broker and consumes from it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Consumer, DeadLetter, Destination, Ladder, Message, Source, State};

/// How often is looked whether a client has tried to connect.
const LOOK: Duration = Duration::from_millis(10);

/// One broker. It connects by itself, and again for as long as it lives, and declares what the config names each time.
/// All of it may be called from any thread.
pub trait Client: Send + Sync {
    /// Publishes, and completes when the broker has said what became of it: at once where there is no connection. Whoever
    /// calls bounds the time; a future that is dropped leaves it open whether the message was stored.
    ///
    /// # Errors
    /// Why it is not known to be stored.
    fn publish(
        &self,
        to: Destination,
        message: Message,
    ) -> BoxFuture<'_, Result<Confirmed, Refusal>>;

    /// Begins to consume: at most `prefetch` messages are taken and not yet settled.
    fn consume(&self, from: &Source, prefetch: u16) -> Box<dyn Consumer>;

    /// The steps on which the messages of `from` wait after a failed attempt.
    fn ladder(&self, from: &Source) -> Ladder;

    /// Whether messages of `from` that cannot be delivered are kept as dead letters.
    fn keeps_dead_letters(&self, from: &Source) -> bool;

    /// How many messages wait to be delivered, those on the ladder's steps not counted. None where that is not known.
    fn waiting(&self, from: &Source) -> BoxFuture<'_, Option<u64>>;

    /// The first `limit` of the dead letters of `from`, which stay where they are.
    ///
    /// # Errors
    /// Why they cannot be read, in a sentence.
    fn dead_letters(
        &self,
        from: &Source,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<DeadLetter>, String>>;

    /// Puts the first `limit` dead letters back to where they were to be delivered from, as if they were new, and says how
    /// many. None is lost if that is cut short; one may be there twice.
    ///
    /// # Errors
    /// Why that cannot be, in a sentence.
    fn replay(&self, from: &Source, limit: usize) -> BoxFuture<'_, Result<usize, String>>;

    /// Deletes the first `limit` dead letters, and says how many.
    ///
    /// # Errors
    /// Why that cannot be, in a sentence.
    fn discard(&self, from: &Source, limit: usize) -> BoxFuture<'_, Result<usize, String>>;

    /// How it is now.
    fn state(&self) -> State;

    /// Completes when the first try to connect has ended, well or badly; at once when that is long ago. Whoever calls
    /// bounds the time.
    fn tried(&self) -> BoxFuture<'_, ()> {
        async {
            while self.state().is_new() {
                tokio::time::sleep(LOOK).await;
            }
        }
        .boxed()
    }

    /// Who does its work until it has connected, if anybody does.
    fn stand_in(&self) -> Option<Arc<dyn Client>> {
        None
    }

    /// Waits until all that was published is confirmed or given up, and ends the connections. Nothing works afterwards.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// What the broker said of a message that it has stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// It says that it had a message of this id before, which proves that it had, and not that it still has.
    pub duplicate: bool,
}

/// Why a message is not known to be stored. The sentence is safe to show to a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It leads to no queue, stream or topic.
    Unroutable(String),
    /// A queue or stream refused it: it is full, or has other rules.
    Rejected(String),
    /// The message itself cannot be sent: a name in it is none, for one.
    Unfit(String),
    /// It is larger than the broker takes.
    TooLarge(String),
    /// The broker takes no messages now: an alarm.
    Blocked(String),
    /// There is no connection, and the message was not sent.
    Unavailable(String),
    /// It was sent, and the answer did not come: it may be stored.
    Unknown(String),
}

impl Refusal {
    /// What it is called in answers and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Refusal::Unroutable(_) => "message_unroutable",
            Refusal::Rejected(_) => "message_rejected",
            Refusal::Unfit(_) => "message_unfit",
            Refusal::TooLarge(_) => "message_too_large",
            Refusal::Blocked(_) => "broker_blocked",
            Refusal::Unavailable(_) => "broker_unavailable",
            Refusal::Unknown(_) => "confirm_unknown",
        }
    }

    /// The sentence.
    pub fn why(&self) -> &str {
        match self {
            Refusal::Unroutable(why)
            | Refusal::Rejected(why)
            | Refusal::Unfit(why)
            | Refusal::TooLarge(why)
            | Refusal::Blocked(why)
            | Refusal::Unavailable(why)
            | Refusal::Unknown(why) => why,
        }
    }
}
