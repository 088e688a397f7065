//! How a connection ends without losing a request (RFC 9113, section 6.8).
//!
//! The caller is told in two steps: first that it should go elsewhere, with a stream number that takes everything
//! back to nothing; and once it must have read that, up to which stream its requests are taken.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

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
    Told,
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
                self.phase = Phase::Told;
                Step::Tell
            }
            Phase::Told if !has_streams => Step::Leave,
            Phase::Warned | Phase::Told => Step::None,
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
