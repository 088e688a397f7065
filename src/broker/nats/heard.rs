//! What the server says to whoever pulls.

use async_nats::Message;

/// Where it says what is left of a pull. Where it does not, the next heartbeat that is missing tells.
const REST_OF_PULL: &str = "Nats-Pending-Messages";

/// What the server sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Message,
    /// Instead of one: the pull waits.
    NotYet,
    /// It ends, with so many messages that it has not got: as its time is over, or early.
    Over {
        rest: usize,
        is_early: bool,
    },
    /// There is no such consumer, or nobody to ask.
    Gone(String),
}

impl Heard {
    /// None for a message, which has a subject of its own, whatever status its publisher has given it.
    pub fn of(received: &Message, inbox: &str) -> Option<Self> {
        if !received.subject.starts_with(inbox) {
            return None;
        }
        let status = received.status?.as_u16();
        let description = received.description.as_deref().unwrap_or_default();
        let is_gone = || {
            ["Deleted", "Push"]
                .iter()
                .any(|word| description.contains(word))
        };
        let over = |is_early| Heard::Over {
            rest: rest(received),
            is_early,
        };
        Some(match status {
            100 => Heard::NotYet,
            404 | 408 => over(false),
            409 if !is_gone() => over(!description.contains("Batch Completed")),
            503 => Heard::Gone("there is no such consumer".to_owned()),
            _ => Heard::Gone(format!(
                "the consumer does not give anything: {description}"
            )),
        })
    }
}

/// How many messages a pull that has ended has not got.
fn rest(received: &Message) -> usize {
    let headers = received.headers.as_ref();
    let rest = headers.and_then(|headers| headers.get(REST_OF_PULL));
    rest.and_then(|rest| rest.as_str().parse().ok())
        .unwrap_or(0)
}
