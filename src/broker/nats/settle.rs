//! What became of a message is told to the server. One that moves is stored where it goes before it is acknowledged where
//! it was.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_nats::{HeaderValue, StatusCode};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::headers::{self, DEDUPLICATED, EXPECTED_STREAM, Notes};
use super::link::Link;
use super::names::Place;
use super::publish;
use super::replies::Unanswered;
use super::taken::{Left, Taken};
use super::unsettled::BACK;
use crate::broker::{Ladder, Lost, Refusal, Settle, Verdict};

const DONE: Bytes = Bytes::from_static(b"+ACK");
/// It was moved, and is not to be given out again.
const ENDED: Bytes = Bytes::from_static(b"+TERM");
/// The longest that settling may take, connecting again included.
const LIMIT: Duration = Duration::from_secs(25);
/// The longest for one answer.
const ANSWER: Duration = Duration::from_secs(5);
/// So long after no answer, it is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// What could not be settled comes again after this, not at once: whatever was wrong is still so.
const LATER: Duration = Duration::from_secs(5);

/// What settles one message.
pub(super) struct Settling {
    pub link: Arc<Link>,
    pub place: Arc<Place>,
    pub ladder: Ladder,
    pub keeps_dead_letters: bool,
    pub attempt: u32,
    /// Where it was published.
    pub subject: String,
    pub taken: Taken,
    pub left: Arc<Left>,
    /// Until it is settled, it counts as given out.
    pub _given: OwnedSemaphorePermit,
}

impl Settle for Settling {
    fn settle(self: Box<Self>, verdict: Verdict) -> BoxFuture<'static, Result<(), Lost>> {
        self.run(verdict).boxed()
    }
}

impl Settling {
    async fn run(mut self: Box<Self>, verdict: Verdict) -> Result<(), Lost> {
        let deadline = Instant::now() + LIMIT;
        let settled = match verdict {
            Verdict::Done => self.tell(DONE, deadline).await,
            Verdict::Return => self.tell(BACK, deadline).await,
            Verdict::Leave => {
                let Settling { left, taken, .. } = *self;
                left.add(taken);
                return Ok(());
            }
            Verdict::Retry { step } => self.retry(step, deadline).await,
            Verdict::DeadLetter { .. } if !self.keeps_dead_letters => {
                self.tell(ENDED, deadline).await
            }
            Verdict::DeadLetter { reason } => self.bury(reason, deadline).await,
        };
        self.taken.hold.end();
        if settled.is_err()
            && let Some(session) = self.link.session()
        {
            let later = format!("-NAK {{\"delay\":{}}}", LATER.as_nanos());
            let ack = self.taken.hold.ack.clone();
            // Unsent, it comes again as what the server hears nothing of.
            let _sent = session.send(ack, None, None, later.into()).await;
        }
        settled
    }

    async fn retry(&mut self, step: usize, deadline: Instant) -> Result<(), Lost> {
        let Some(delay) = self.ladder.delay(step) else {
            return Err(Lost(format!("the ladder has no step {}", step + 1)));
        };
        let notes = Notes {
            attempt: Some(self.attempt.saturating_add(1)),
            not_before: SystemTime::now().checked_add(delay),
            ..Notes::default()
        };
        let stream = self.place.retry_stream();
        self.copy(&stream, self.place.step(step), notes, deadline)
            .await?;
        self.tell(DONE, deadline).await
    }

    async fn bury(&mut self, reason: String, deadline: Instant) -> Result<(), Lost> {
        let notes = Notes {
            attempts: Some(self.attempt),
            reason: Some(reason),
            ..Notes::default()
        };
        let stream = self.place.dead_stream();
        self.copy(&stream, self.place.dead_letters(), notes, deadline)
            .await?;
        self.tell(ENDED, deadline).await
    }

    /// Stores a copy in `stream`. It has an id of its own, so that a copy that was stored before, and whose original was
    /// not acknowledged, is not stored twice.
    async fn copy(
        &self,
        stream: &str,
        subject: String,
        notes: Notes,
        deadline: Instant,
    ) -> Result<(), Lost> {
        let notes = Notes {
            subject: Some(self.subject.clone()),
            ..notes
        };
        let mut headers = headers::of(&self.taken.message).map_err(Lost)?;
        notes.add_to(&mut headers);
        let delivery = &self.taken.delivery;
        // On whichever step: one that fails again because it was not acknowledged may be put on another. A stream that was
        // deleted and made anew has the same numbers again, at another time.
        let id = format!(
            "{} {} {} {}",
            self.place.consumer, delivery.sequence, delivery.stored, self.taken.subject
        );
        for (name, value) in [(DEDUPLICATED, id.as_str()), (EXPECTED_STREAM, stream)] {
            let value: HeaderValue = value
                .parse()
                .map_err(|_| Lost("its subject has a line break in it".to_owned()))?;
            headers.insert(name, value);
        }
        loop {
            let session = self.session(deadline).await?;
            let body = self.taken.message.body.clone();
            let store = publish::store(&session, subject.clone().into(), headers.clone(), body);
            let refusal = match tokio::time::timeout(ANSWER, store).await {
                Ok(Ok(_stored)) => return Ok(()),
                Ok(Err(refusal)) => refusal,
                Err(_) => Refusal::Unknown("NATS does not answer".to_owned()),
            };
            match refusal {
                Refusal::Rejected(why) | Refusal::Unfit(why) | Refusal::TooLarge(why) => {
                    return Err(Lost(why));
                }
                Refusal::Unroutable(why)
                | Refusal::Blocked(why)
                | Refusal::Unavailable(why)
                | Refusal::Unknown(why) => pause(deadline, why).await?,
            }
        }
    }

    /// Tells what became of it, and waits until the server has taken that.
    async fn tell(&mut self, what: Bytes, deadline: Instant) -> Result<(), Lost> {
        // The next is on its way while the server answers: it is given out when that is done.
        self.taken.make_room();
        loop {
            let session = self.session(deadline).await?;
            let ack = self.taken.hold.ack.clone();
            let request = session.request(ack, None, what.clone());
            let why = match tokio::time::timeout(ANSWER, request).await {
                Ok(Ok(answer)) if answer.status == Some(StatusCode::NO_RESPONDERS) => {
                    "there is no such consumer any more"
                }
                Ok(Ok(_taken)) => return Ok(()),
                Ok(Err(Unanswered::Forbidden)) => "NATS does not permit to acknowledge it",
                Ok(Err(_)) => "the connection was lost",
                Err(_) => "NATS does not answer",
            };
            pause(deadline, why.to_owned()).await?;
        }
    }

    async fn session(&self, deadline: Instant) -> Result<Arc<super::session::Session>, Lost> {
        let session = self.link.session_by(deadline).await;
        session.ok_or_else(|| Lost(self.link.why_down()))
    }
}

/// # Errors
/// `why`, when there is no time for another try.
async fn pause(deadline: Instant, why: String) -> Result<(), Lost> {
    if Instant::now() + AGAIN >= deadline {
        return Err(Lost(why));
    }
    tokio::time::sleep(AGAIN).await;
    Ok(())
}
