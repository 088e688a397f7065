//! Time limits of a connection and of its streams.

use std::future::Future;
use std::task::{Context, Poll};

use super::{Connection, HEAD_TOO_SLOW};
use crate::codec::h2::ended::Broken;
use crate::codec::h2::frame::Code;
use crate::codec::h2::stall::WRITE_STALL;
use crate::http::error::{DEADLINE_EXCEEDED, Error};
use crate::http::message::Response;
use crate::net::timer;

impl<F, A> Connection<'_, F, A>
where
    A: Future<Output = Box<Response>>,
{
    /// Wakes the slots whose time has come.
    pub(super) fn wake_due(&mut self, cx: &mut Context<'_>) {
        if self.due.alarm.poll_passed(cx).is_pending() {
            return;
        }
        let now = timer::now();
        for (key, slot) in self.slots.iter_mut() {
            match slot.wake_by {
                Some(at) if at <= now => self.woken.push_back(key),
                Some(at) => self.due.expect(at),
                None => {}
            }
        }
        let _armed = self.due.alarm.poll_passed(cx);
    }

    pub(super) fn check_head(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        if self.callers.greeted && !self.reading.awaits_head() {
            self.head_by.clear();
            return Ok(());
        }
        if !self.head_by.is_set() {
            self.head_by
                .set(timer::now() + self.settings.header_timeout);
        }
        match self.head_by.poll_passed(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => Err(Broken(Code::ENHANCE_YOUR_CALM, HEAD_TOO_SLOW.why())),
        }
    }

    /// Cuts answers of which the caller has taken nothing for too long, or whose time is over.
    pub(super) fn check_stalled(&mut self, cx: &mut Context<'_>) {
        if self.stall.streams.alarm.poll_passed(cx).is_pending() {
            return;
        }
        let now = timer::now();
        let mut over = Vec::new();
        for (key, slot) in self.slots.iter_mut() {
            let Some(since) = slot.sending.as_ref().and_then(|sending| sending.blocked) else {
                continue;
            };
            let too_late = slot.deadline.is_some_and(|deadline| deadline <= now);
            if too_late && let Some(sending) = slot.sending.take() {
                sending.fail(&Error::new(
                    DEADLINE_EXCEEDED,
                    "the caller did not take the answer in time",
                ));
            }
            if too_late || since + WRITE_STALL <= now {
                over.push(key);
            } else {
                self.stall.expect(since, slot.deadline);
            }
        }
        for key in over {
            self.cut(key, Code::CANCEL);
        }
    }
}
