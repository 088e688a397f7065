//! How a connection ends without losing a request (RFC 9113, section 6.8).
//!
//! The caller is told in two steps: first that it should go elsewhere, with a stream number that takes everything
//! back to nothing; and once it must have read that, up to which stream its requests are taken.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

use super::Connection;
use crate::codec::h2::ended::{Broken, Ended};
use crate::codec::h2::frame::{self, Code};
use crate::net::io::Io;
use crate::net::timer::{self, Deadline};

/// A connection without streams gives back what it does not need after so long.
const TRIM: Duration = Duration::from_secs(1);
/// How long a caller may take to answer the PING behind the first GOAWAY.
const PONG: Duration = Duration::from_secs(1);
/// How long, and how many bytes, a caller may go on sending what nobody reads, so that it reads the last frames
/// before the kernel resets the connection.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;

/// How far a connection is from its end.
pub(super) struct Ending {
    phase: Phase,
    alarm: Deadline,
    /// Since when there are no streams.
    idle: Option<Instant>,
}

#[derive(PartialEq, Eq)]
enum Phase {
    Serving,
    Warned,
    GoawaySent,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    None,
    Trim,
    /// The first GOAWAY, and a PING.
    Warn,
    /// The second GOAWAY.
    Tell,
    Leave,
}

impl Ending {
    pub fn new() -> Self {
        Ending {
            phase: Phase::Serving,
            alarm: Deadline::new(),
            idle: None,
        }
    }

    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        has_streams: bool,
        draining: bool,
        ponged: bool,
        idle_timeout: Duration,
    ) -> Step {
        match self.phase {
            Phase::Serving if draining => self.warn(cx),
            Phase::Serving if has_streams => {
                if self.idle.take().is_some() {
                    self.alarm.clear();
                }
                Step::None
            }
            Phase::Serving => self.poll_idle(cx, idle_timeout),
            Phase::Warned if ponged || self.alarm.poll_passed(cx).is_ready() => {
                self.phase = Phase::GoawaySent;
                Step::Tell
            }
            Phase::GoawaySent if !has_streams => Step::Leave,
            Phase::Warned | Phase::GoawaySent => Step::None,
        }
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>, idle_timeout: Duration) -> Step {
        let since = match self.idle {
            Some(since) => since,
            None => {
                let now = timer::now();
                self.idle = Some(now);
                self.alarm.set(now + TRIM.min(idle_timeout));
                now
            }
        };
        if self.alarm.poll_passed(cx).is_pending() {
            return Step::None;
        }
        if timer::now() - since >= idle_timeout {
            return self.warn(cx);
        }
        self.alarm.set(since + idle_timeout);
        let _armed = self.alarm.poll_passed(cx);
        Step::Trim
    }

    fn warn(&mut self, cx: &mut Context<'_>) -> Step {
        self.phase = Phase::Warned;
        self.alarm.set(timer::now() + PONG);
        let _armed = self.alarm.poll_passed(cx);
        Step::Warn
    }
}

impl<F, A> Connection<'_, F, A> {
    /// Writes what is gathered, and looks whether the connection is at its end.
    pub(super) fn end(&mut self, cx: &mut Context<'_>, draining: bool) -> Result<bool, Ended> {
        let mut state = self.shared.state();
        let step = self.ending.poll(
            cx,
            state.has_streams(),
            draining,
            self.callers.ponged,
            self.settings.idle_timeout,
        );
        match step {
            Step::None | Step::Leave => {}
            Step::Trim => {
                state.trim();
                self.slots.trim();
            }
            Step::Warn => {
                frame::put_goaway(state.out.buffer(), frame::MAX_31, Code::NO_ERROR);
                frame::put(state.out.buffer(), frame::PING, 0, 0, &[0; 8]);
            }
            Step::Tell => {
                self.callers.told_to_go = true;
                frame::put_goaway(state.out.buffer(), self.callers.last, Code::NO_ERROR);
                // Unless streams are left, this was the last step.
                cx.waker().wake_by_ref();
            }
        }
        state.put_window_updates();
        if state.out.is_empty() || state.out.poll_flush(self.io, cx)?.is_ready() {
            self.stall.socket.flushed();
            return Ok(step == Step::Leave);
        }
        let taken = state.out.total();
        Ok(self.stall.socket.poll(cx, taken).is_ready())
    }

    /// Says why the connection ends, as far as the kernel takes it.
    pub(super) fn put_goaway(&mut self, Broken(code, why): Broken) {
        let mut state = self.shared.state();
        frame::put_goaway_because(state.out.buffer(), self.callers.last, code, why);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let _as_far_as_it_goes = state.out.poll_flush(self.io, &mut cx);
    }
}

/// Ends the sending direction and waits for the caller to end its own, so that it reads what was sent last. `settled`:
/// not if it has sent nothing more.
pub(super) async fn linger(io: &Io, settled: bool) {
    if settled && !matches!(io.peek(), Ok(1..)) {
        return io.say_goodbye();
    }
    if io.shutdown_write().is_err() {
        return;
    }
    let mut buffer = BytesMut::with_capacity(16 << 10);
    let mut left = LINGER_BYTES;
    let discard = poll_fn(|cx| {
        while left > 0 {
            buffer.clear();
            match std::task::ready!(io.poll_read(cx, &mut buffer)) {
                Ok(0) | Err(_) => break,
                Ok(read) => left = left.saturating_sub(read),
            }
        }
        Poll::Ready(())
    });
    let _as_long_as_it_takes = tokio::time::timeout(LINGER_TIME, discard).await;
}
