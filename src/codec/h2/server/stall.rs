//! Watches a caller who takes nothing, and other limits that seldom come.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::codec::h2::sending::Sending;
use crate::net::timer::{self, Deadline};

/// How long a caller may take none of what is ready for it, on one stream or from the socket (CVE-2019-9517).
pub(super) const WRITE_STALL: Duration = Duration::from_secs(300);

/// The earliest of many times.
#[derive(Default)]
pub(super) struct Due {
    pub alarm: Deadline,
    at: Option<Instant>,
}

impl Due {
    pub fn expect(&mut self, at: Instant) {
        if !self.alarm.is_set() || self.at.is_none_or(|earliest| at < earliest) {
            self.at = Some(at);
            self.alarm.set(at);
        }
    }
}

/// Watches a caller who takes nothing.
#[derive(Default)]
pub(super) struct Stall {
    /// When a stream may have been blocked for too long.
    pub streams: Due,
    socket: Deadline,
    taken: u64,
}

impl Stall {
    /// A stream has something ready that the caller's window does not take.
    pub fn blocked(&mut self, sending: Option<&mut Sending>, deadline: Option<Instant>) {
        if let Some(sending) = sending
            && sending.blocked.is_none()
        {
            let now = timer::now();
            sending.blocked = Some(now);
            self.expect(now, deadline);
        }
    }

    pub fn expect(&mut self, since: Instant, deadline: Option<Instant>) {
        let over = since + WRITE_STALL;
        self.streams
            .expect(deadline.map_or(over, |deadline| deadline.min(over)));
    }

    pub fn flushed(&mut self) {
        self.socket.clear();
    }

    /// Completes when the kernel has taken nothing for too long; `taken` counts what it took.
    pub fn poll_socket(&mut self, cx: &mut Context<'_>, taken: u64) -> Poll<()> {
        if !self.socket.is_set() || self.taken != taken {
            self.taken = taken;
            self.socket.set(timer::now() + WRITE_STALL);
        }
        self.socket.poll_passed(cx)
    }
}
