//! Watches a caller who takes nothing, and other limits that seldom come.

use tokio::time::Instant;

use crate::codec::h2::sending::Sending;
use crate::codec::h2::stall::{SocketStall, WRITE_STALL};
use crate::net::timer::{self, Deadline};

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
    pub socket: SocketStall,
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
}
