//! A socket as rustls wants to read it and write to it.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::task::{Context, Poll};

use crate::net::buffer;
use crate::net::io::Io;

/// Reads of what follows bytes that cannot be decrypted: what the kernel holds unread when the connection closes makes
/// it reset the connection, and the peer may never see the alert.
const LAST_READS: usize = 4;

/// Reads what nobody wants.
pub(super) fn discard(io: &Io) {
    let mut unwanted = buffer::take_read();
    for _ in 0..LAST_READS {
        unwanted.clear();
        if !matches!(io.try_read(&mut unwanted), Ok(1..)) {
            break;
        }
    }
    unwanted.clear();
    buffer::give_read(unwanted);
}

/// A socket to write to; whoever waits is woken.
pub(super) struct Polled<'a, 'b> {
    pub io: &'a Io,
    pub cx: &'a mut Context<'b>,
}

impl Write for Polled<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.io.poll_write_vectored(self.cx, slices) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket to write to if it takes something now.
pub(super) struct Tried<'a>(pub &'a Io);

impl Write for Tried<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Nothing to read.
pub(super) struct Nothing;

impl Read for Nothing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}
