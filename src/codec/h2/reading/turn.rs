//! What is read in one turn of a connection's task, and whether another would find more.

use std::task::{Context, Poll};

use super::{Reading, Role};
use crate::codec::h2::ended::Ended;
use crate::codec::h2::shared::{Shared, Side};
use crate::net::io::Io;

/// Reads in one turn before other tasks get theirs.
const READS_A_TURN: usize = 4;

/// What a turn has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    Nothing,
    Bytes,
    /// The end of the stream.
    End,
}

impl Reading {
    /// Takes in what has arrived.
    ///
    /// # Errors
    /// Why the connection must end.
    pub fn read<R: Role>(
        &mut self,
        cx: &mut Context<'_>,
        io: &Io,
        shared: &Shared<R::Side>,
        role: &mut R,
    ) -> Result<Arrived, Ended> {
        let mut arrived = Arrived::Nothing;
        self.unread = true;
        for _ in 0..READS_A_TURN {
            if !self.more {
                if shared.state().out.waiting() > self.max_waiting {
                    break;
                }
                match self.input.poll_fill(io, cx)? {
                    Poll::Pending => {
                        self.unread = false;
                        break;
                    }
                    Poll::Ready(0) => return Ok(Arrived::End),
                    Poll::Ready(_) => arrived = Arrived::Bytes,
                }
            }
            self.more = role.greet(&mut self.input)? && self.handle(&mut shared.state(), role)?;
        }
        self.input.release();
        Ok(arrived)
    }

    /// Whether another turn would find something to read, or to send where something is `queued`.
    pub fn has_more<S: Side>(&self, shared: &Shared<S>, queued: bool) -> bool {
        if self.more {
            return true;
        }
        if !self.unread && !queued {
            return false;
        }
        let state = shared.state();
        self.unread && state.out.waiting() <= self.max_waiting || queued && state.out.has_room()
    }
}
