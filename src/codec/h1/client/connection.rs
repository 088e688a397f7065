//! A connection to an upstream, and whoever lends it.

use std::time::Duration;

use crate::codec::h1::outgoing::Outgoing;
use crate::codec::h1::reader::Reader;
use crate::net::io::Io;

/// A connection to an upstream.
pub struct Connection {
    pub(super) io: Io,
    pub(super) reader: Reader,
    pub(super) out: Outgoing,
    pub(super) kept_for: Option<Duration>,
}

/// Whoever lends a connection for one exchange; dropping the loan closes it.
pub trait Loan: Send + Sync + Unpin + 'static {
    fn connection(&mut self) -> &mut Connection;
    /// Whether somebody else waits for a connection.
    fn is_wanted(&self) -> bool;
    /// The exchange is over and the connection can take another.
    fn give_back(self);
    /// The connection speaks another protocol from here on.
    fn into_connection(self) -> Connection;
}

impl Connection {
    pub fn new(io: Io) -> Self {
        Connection {
            io,
            reader: Reader::new(),
            out: Outgoing::default(),
            kept_for: None,
        }
    }

    /// How long it may lie idle by what the upstream said last, if that says anything of it.
    pub fn kept_for(&self) -> Option<Duration> {
        self.kept_for
    }

    /// Whether the upstream has neither closed this idle connection nor sent anything, as far as the event loop
    /// has heard; `thorough` asks the kernel, for a request that must not be sent twice.
    pub fn is_quiet(&self, thorough: bool) -> bool {
        let waits = if thorough {
            self.io.peek()
        } else {
            self.io.try_peek()
        };
        matches!(waits, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }
}
