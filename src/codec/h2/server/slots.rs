//! What is under way for the streams of a connection: a future that answers, and then the body of its answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::time::Instant;

use super::body::InterimSender;
use super::side::Server;
use crate::codec::h2::ready::{self, Ready};
use crate::codec::h2::sending::{Sending, Sent};
use crate::codec::h2::shared::Shared;
use crate::net::timer;

/// Slots that an idle connection keeps.
const KEPT: usize = 2;

/// Slots by the keys of their streams. One that was used is used again, with all that was allocated for it.
pub(super) struct Slots<A>(Vec<Slot<A>>);

pub(super) struct Slot<A> {
    /// The stream; 0 when there is none.
    pub id: u32,
    pub to_head: bool,
    /// When the exchange must be over.
    pub deadline: Option<Instant>,
    pub sending: Option<Sending>,
    /// Waits for its turn to send.
    pub queued: bool,
    /// When what is under way must be polled again, though nobody wakes it.
    pub wake_by: Option<Instant>,
    answering: Pin<Box<Option<A>>>,
    ready: ready::Slot,
    interim: Arc<InterimSender>,
}

impl<A> Slots<A> {
    pub fn new() -> Self {
        Slots(Vec::new())
    }

    /// The slot of a stream that begins, and what sends its interim answers.
    pub fn begin(
        &mut self,
        shared: &Arc<Shared<Server>>,
        key: u32,
        id: u32,
    ) -> (&mut Slot<A>, Arc<InterimSender>) {
        while self.0.len() <= key as usize {
            let key = self.0.len() as u32;
            self.0.push(Slot::new(shared, key));
        }
        let slot = &mut self.0[key as usize];
        slot.id = id;
        match Arc::get_mut(&mut slot.interim) {
            Some(interim) => interim.id = id,
            // Somebody still holds that of an earlier stream.
            None => {
                slot.interim = Arc::new(InterimSender {
                    shared: shared.clone(),
                    key,
                    id,
                });
            }
        }
        let interim = slot.interim.clone();
        (slot, interim)
    }

    pub fn get(&mut self, key: u32) -> Option<&mut Slot<A>> {
        self.0.get_mut(key as usize).filter(|slot| slot.id > 0)
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Slot<A>)> {
        (0..)
            .zip(&mut self.0)
            .filter(|(_, slot): &(u32, &mut Slot<A>)| slot.id > 0)
    }

    /// Gives back what an idle connection need not keep.
    pub fn trim(&mut self) {
        self.0.truncate(KEPT);
        self.0.shrink_to(KEPT);
    }
}

impl<A> Slot<A> {
    fn new(shared: &Arc<Shared<Server>>, key: u32) -> Self {
        Slot {
            id: 0,
            to_head: false,
            deadline: None,
            sending: None,
            queued: false,
            wake_by: None,
            answering: Box::pin(None),
            ready: Ready::slot(&shared.ready, key),
            interim: Arc::new(InterimSender {
                shared: shared.clone(),
                key,
                id: 0,
            }),
        }
    }

    pub fn answer(&mut self, answering: A) {
        self.answering.set(Some(answering));
    }

    /// Drops all that is under way.
    pub fn clear(&mut self) {
        self.id = 0;
        self.deadline = None;
        self.sending = None;
        self.queued = false;
        self.wake_by = None;
        self.answering.set(None);
    }

    /// The answer, once it has begun.
    pub fn poll_answer<R>(&mut self) -> Option<R>
    where
        A: Future<Output = R>,
    {
        let mut cx = self.ready.context();
        let answering = self.answering.as_mut().as_pin_mut()?;
        let (polled, wake_by) = timer::part(cx.waker(), || answering.poll(&mut cx));
        self.wake_by = wake_by;
        let Poll::Ready(answer) = polled else {
            return None;
        };
        self.answering.set(None);
        Some(answer)
    }

    pub fn poll_send(&mut self, shared: &Shared<Server>, key: u32) -> Option<Sent> {
        let sending = self.sending.as_mut()?;
        let mut cx = self.ready.context();
        let (sent, wake_by) = timer::part(cx.waker(), || {
            sending.poll_send(&mut cx, shared, key, self.id)
        });
        self.wake_by = wake_by;
        Some(sent)
    }
}
