//! After a 101, or a 2xx to CONNECT: raw bytes both ways.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::time::Instant;

use crate::http::message::Upgraded;
use crate::net::buffer;
use crate::net::io::Io;
use crate::net::timer::Deadline;

/// Connects a caller with the upstream that has switched protocols for it, to the end of both. `early` are bytes that
/// the caller sent behind its request.
pub async fn serve(caller: &Io, early: Bytes, upgraded: Upgraded) {
    if let Err(error) = tunnel(caller, early, upgraded).await {
        tracing::debug!(%error, "an upgraded connection broke");
    }
}

/// How a tunnel came to its end without a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Both sides have ended it.
    Closed,
    /// Nothing has passed for the time that this may last.
    Idle,
}

/// Copies bytes both ways until both directions have ended, or nothing has passed for the tunnel's `idle_limit`.
///
/// The end of one direction is passed on as such and leaves the other open. No buffer is held while nothing passes.
/// What passes is counted.
pub(super) async fn tunnel(caller: &Io, early: Bytes, upgraded: Upgraded) -> io::Result<End> {
    let (upstream, passed) = (&upgraded.io, &upgraded.passed);
    let mut there = Direction::new(early);
    let mut back = Direction::new(upgraded.early);
    let mut idle = Deadline::new();
    poll_fn(|cx| {
        let moved_there = there.poll_copy(caller, upstream, cx);
        passed.count_from_caller(std::mem::take(&mut there.passed));
        let moved_there = moved_there?;
        let moved_back = back.poll_copy(upstream, caller, cx);
        passed.count_to_caller(std::mem::take(&mut back.passed));
        let moved_back = moved_back?;
        if there.ended && back.ended {
            return Poll::Ready(Ok(End::Closed));
        }
        if let Some(limit) = upgraded.idle_limit {
            if moved_there || moved_back || !idle.is_set() {
                idle.set(Instant::now() + limit);
            }
            ready!(idle.poll_passed(cx));
            return Poll::Ready(Ok(End::Idle));
        }
        Poll::Pending
    })
    .await
}

struct Direction {
    early: Bytes,
    buffer: BytesMut,
    source_ended: bool,
    ended: bool,
    /// Bytes that were handed on and are not counted yet.
    passed: usize,
}

impl Direction {
    fn new(early: Bytes) -> Self {
        Direction {
            early,
            buffer: BytesMut::new(),
            source_ended: false,
            ended: false,
            passed: 0,
        }
    }

    /// Copies what can be copied now; says whether anything moved.
    fn poll_copy(&mut self, from: &Io, to: &Io, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut moved = false;
        while !self.ended {
            while self.early.has_remaining() {
                match write(to, &self.early, cx)? {
                    Some(written) => {
                        self.early.advance(written);
                        self.passed += written;
                    }
                    None => return Ok(moved),
                }
                moved = true;
            }
            while !self.buffer.is_empty() {
                match write(to, &self.buffer, cx)? {
                    Some(written) => {
                        self.buffer.advance(written);
                        self.passed += written;
                    }
                    None => return Ok(moved),
                }
                moved = true;
            }
            if self.source_ended {
                // The other side may be gone already, which is as good.
                let _ = to.shutdown_write();
                self.ended = true;
                moved = true;
                break;
            }
            buffer::give_read(std::mem::take(&mut self.buffer));
            if from.poll_read_ready(cx)?.is_pending() {
                break;
            }
            self.buffer = buffer::take_read();
            match from.poll_read(cx, &mut self.buffer) {
                Poll::Ready(Ok(0)) => self.source_ended = true,
                Poll::Ready(Ok(_)) => moved = true,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {}
            }
        }
        Ok(moved)
    }
}

fn write(to: &Io, bytes: &[u8], cx: &mut Context<'_>) -> io::Result<Option<usize>> {
    match to.poll_write_vectored(cx, &[io::IoSlice::new(bytes)]) {
        Poll::Ready(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
        Poll::Ready(Ok(written)) => Ok(Some(written)),
        Poll::Ready(Err(error)) => Err(error),
        Poll::Pending => Ok(None),
    }
}
