//! Watches a peer who takes nothing of what is written to its socket.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::net::timer::{self, Deadline};

/// How long a peer may take none of what is ready for it (CVE-2019-9517).
pub(super) const WRITE_STALL: Duration = Duration::from_secs(300);

#[derive(Default)]
pub(super) struct SocketStall {
    limit: Deadline,
    /// Bytes that the kernel had taken when the limit was set.
    taken: u64,
}

impl SocketStall {
    /// All that was gathered is written.
    pub fn flushed(&mut self) {
        self.limit.clear();
    }

    /// Completes when the kernel has taken nothing for too long; `taken` counts what it took.
    pub fn poll(&mut self, cx: &mut Context<'_>, taken: u64) -> Poll<()> {
        if !self.limit.is_set() || self.taken != taken {
            self.taken = taken;
            self.limit.set(timer::now() + WRITE_STALL);
        }
        self.limit.poll_passed(cx)
    }
}
