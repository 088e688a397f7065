//! What is under way for the streams of a connection is polled, and what it has to say is written.

use std::future::Future;

use super::{Connection, STREAMS_A_TURN, answer};
use crate::codec::h2::frame::Code;
use crate::codec::h2::sending::{Sending, Sent};
use crate::http::body::Body;
use crate::http::error::{CALLER_GONE, DEADLINE_EXCEEDED, Error};
use crate::http::message::Response;

impl<F, A> Connection<'_, F, A>
where
    A: Future<Output = Box<Response>>,
{
    pub(super) fn run_woken(&mut self) {
        for _ in 0..STREAMS_A_TURN {
            let Some(key) = self.woken.pop_front() else {
                break;
            };
            let Some(slot) = self.slots.get(key) else {
                continue;
            };
            let answer = slot.poll_answer();
            if let Some(at) = slot.wake_by {
                self.due.expect(at);
            }
            match answer {
                Some(response) => self.begin_answer(key, *response),
                None => self.queue(key),
            }
        }
    }

    fn begin_answer(&mut self, key: u32, mut response: Response) {
        let Some(slot) = self.slots.get(key) else {
            return;
        };
        let id = slot.id;
        let ends = {
            let mut state = self.shared.state();
            if state.get(key, id).is_none() {
                None
            } else if response.refused == Some(CALLER_GONE) {
                state.reset(key, id, Code::CANCEL);
                None
            } else {
                Some(answer::put(&mut state, key, slot.to_head, &response))
            }
        };
        match ends {
            None => slot.clear(),
            Some(true) => {
                // Nobody gave up what is not to be sent.
                response.body.withhold();
                self.finish(key);
            }
            Some(false) => {
                let length = http_body::Body::size_hint(&response.body).exact();
                let body = std::mem::replace(&mut response.body, Body::empty());
                slot.deadline = response.deadline;
                slot.sending = Some(Sending::of(body, length));
                self.queue(key);
            }
        }
    }

    /// Puts a slot in line to send.
    fn queue(&mut self, key: u32) {
        if let Some(slot) = self.slots.get(key)
            && slot.sending.is_some()
            && !std::mem::replace(&mut slot.queued, true)
        {
            self.queue.push_back(key);
        }
    }

    /// Writes what is ready, each stream in turn.
    pub(super) fn send(&mut self) {
        let ready = self.shared.state().take_unblocked(&mut self.starved);
        for key in ready {
            self.queue(key);
        }
        for _ in 0..2 * STREAMS_A_TURN {
            let Some(key) = self.queue.pop_front() else {
                break;
            };
            let Some(slot) = self.slots.get(key) else {
                continue;
            };
            slot.queued = false;
            let Some(sent) = slot.poll_send(&self.shared, key) else {
                continue;
            };
            if let Some(at) = slot.wake_by {
                self.due.expect(at);
            }
            match sent {
                Sent::All => self.finish(key),
                Sent::Waits => {}
                Sent::Share => self.queue(key),
                Sent::Full => {
                    slot.queued = true;
                    self.queue.push_front(key);
                    break;
                }
                Sent::Blocked => self.stall.blocked(slot.sending.as_mut(), slot.deadline),
                Sent::AllBlocked => {
                    self.stall.blocked(slot.sending.as_mut(), slot.deadline);
                    self.starved.push(key);
                }
                Sent::Gone => slot.clear(),
                Sent::Failed(error) => {
                    tracing::debug!(%error, "an answer was cut");
                    self.cut(key, code_of(&error));
                }
                Sent::WrongLength => {
                    tracing::warn!("an answer is not as long as its head says; it was cut");
                    self.cut(key, Code::INTERNAL_ERROR);
                }
            }
        }
    }

    /// An answer has ended, and its stream with it.
    fn finish(&mut self, key: u32) {
        let Some(slot) = self.slots.get(key) else {
            return;
        };
        {
            let mut state = self.shared.state();
            if let Some(stream) = state.get(key, slot.id)
                && !stream.incoming.ended
            {
                // RFC 9113, section 8.1: the rest of the request is not wanted, and nothing is wrong.
                self.callers.closed_first(slot.id);
                state.reset(key, slot.id, Code::NO_ERROR);
            } else {
                state.remove(key);
            }
        }
        slot.clear();
    }

    /// Resets a stream, and drops what is under way for it.
    pub(super) fn cut(&mut self, key: u32, code: Code) {
        if let Some(slot) = self.slots.get(key) {
            self.callers.closed_first(slot.id);
            self.shared.state().reset(key, slot.id, code);
            slot.clear();
        }
    }
}

/// How a caller is told that its answer has failed. gRPC callers read a status out of it: their own deadline out of
/// CANCEL, once it is over, and else what the upstream meant by its code.
fn code_of(error: &Error) -> Code {
    match (error.reason(), error.stream_code()) {
        (DEADLINE_EXCEEDED, _) => Code::CANCEL,
        (_, Some(code)) => Code(code),
        _ => Code::INTERNAL_ERROR,
    }
}
