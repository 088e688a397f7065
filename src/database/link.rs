//! A connection as bytes: what comes is kept until it is looked at, and waiting has an end.

use std::future::poll_fn;
use std::io::IoSlice;
use std::task::{Poll, ready};

use bytes::BytesMut;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use super::{Effects, Failure};
use crate::net::buffer;
use crate::net::io::Io;
use crate::net::timer::Deadline;

/// How much is read ahead of what is asked for while something large is written.
const AHEAD: usize = 1 << 20;
/// A buffer that grew larger is not kept.
const KEPT: usize = 64 << 10;

/// Why a connection is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The time is over.
    Late,
    /// It ended, or something came that is no message of the protocol.
    Lost(String),
    /// A message is longer than it may be, and was not read.
    TooLong,
}

impl Broken {
    pub fn lost(why: impl ToString) -> Self {
        Broken::Lost(why.to_string())
    }

    /// For operators.
    pub fn words(&self) -> String {
        match self {
            Broken::Late => "it takes too long".to_owned(),
            Broken::Lost(why) => why.clone(),
            Broken::TooLong => "it sent a message that is too long".to_owned(),
        }
    }

    /// What it means to whoever wanted something of which these are the effects as far as they are known. Where `nothing_kept`,
    /// the end of the connection has undone what was done.
    pub fn failure(&self, effects: Effects, nothing_kept: bool) -> Failure {
        match (self, effects) {
            (Broken::Late, effects) => Failure::Timeout(effects),
            (_, Effects::Unknown) => Failure::Unknown(
                "the connection to the database broke while a statement ran".to_owned(),
            ),
            (_, Effects::None) if nothing_kept => Failure::Unavailable(
                "the connection to the database broke, and nothing was kept".to_owned(),
            ),
            _ => Failure::Broken("the connection to the database broke".to_owned()),
        }
    }
}

pub(super) struct Link {
    io: Io,
    /// What came, and was not looked at yet.
    pub read: BytesMut,
    /// What is to be sent.
    pub write: Vec<u8>,
    deadline: Deadline,
}

impl Link {
    pub fn new(io: Io) -> Self {
        Link {
            io,
            read: BytesMut::new(),
            write: Vec::new(),
            deadline: Deadline::new(),
        }
    }

    /// From now on, waiting for longer than until `at` is an error.
    pub fn set_deadline(&mut self, at: Instant) {
        self.deadline.set(at);
    }

    #[cfg(feature = "postgres")]
    pub fn clear_deadline(&mut self) {
        self.deadline.clear();
    }

    /// Lets go of what a connection at rest does not need.
    pub fn rest(&mut self) {
        self.deadline.clear();
        if self.read.is_empty() {
            give(std::mem::take(&mut self.read));
        }
        let write = std::mem::take(&mut self.write);
        if (1..=KEPT).contains(&write.capacity()) {
            buffer::give_write(write);
        }
    }

    /// Room for what is to be sent.
    pub fn writer(&mut self) -> &mut Vec<u8> {
        if self.write.capacity() == 0 {
            self.write = buffer::take_write();
        }
        &mut self.write
    }

    /// Sends what was written to `self.write`, and reads meanwhile, where the server waits for that.
    pub async fn send(&mut self) -> Result<(), Broken> {
        let mut write = std::mem::take(&mut self.write);
        let result = self.send_all(&write).await;
        write.clear();
        self.write = write;
        result
    }

    /// Sends these bytes in the same way.
    pub async fn send_all(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let mut sent = 0;
        poll_fn(|cx| {
            while sent < bytes.len() {
                let slices = [IoSlice::new(&bytes[sent..])];
                match self.io.poll_write_vectored(cx, &slices) {
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(Err(Broken::lost("it takes nothing")));
                    }
                    Poll::Ready(Ok(count)) => sent += count,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::lost(error))),
                    Poll::Pending => {
                        if self.read.len() < AHEAD {
                            room(&mut self.read, 0);
                            match self.io.poll_read(cx, &mut self.read) {
                                Poll::Ready(Ok(0)) => return Poll::Ready(Err(ended())),
                                Poll::Ready(Ok(_)) => continue,
                                Poll::Ready(Err(error)) => {
                                    return Poll::Ready(Err(Broken::lost(error)));
                                }
                                Poll::Pending => {}
                            }
                        }
                        ready!(self.deadline.poll_passed(cx));
                        return Poll::Ready(Err(Broken::Late));
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Reads once, into room for `wanted` bytes in all.
    pub async fn fill(&mut self, wanted: usize) -> Result<(), Broken> {
        room(&mut self.read, wanted);
        poll_fn(|cx| {
            match self.io.poll_read(cx, &mut self.read) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(ended())),
                Poll::Ready(Ok(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::lost(error))),
                Poll::Pending => {}
            }
            ready!(self.deadline.poll_passed(cx));
            Poll::Ready(Err(Broken::Late))
        })
        .await
    }

    /// Reads one byte and no more of what there is.
    #[cfg(feature = "postgres")]
    pub async fn byte(&mut self) -> Result<u8, Broken> {
        let mut byte = BytesMut::with_capacity(1);
        let read = poll_fn(|cx| self.io.poll_read_most(cx, &mut byte, 1)).await;
        match (read, byte.first()) {
            (Ok(_), Some(byte)) => Ok(*byte),
            (Ok(_), None) => Err(ended()),
            (Err(error), _) => Err(Broken::lost(error)),
        }
    }

    /// The stream below, for a handshake. What was read ahead is lost.
    pub fn into_io(self) -> Io {
        self.io
    }

    /// Whether nothing came that nobody has asked for: the connection's end, a farewell, or what is left of an earlier statement.
    pub fn is_quiet(&self) -> bool {
        // The kernel is asked: what it has not told the event loop yet would leave a writing caller without knowing what became of it.
        let nothing = self.io.peek();
        self.read.is_empty()
            && matches!(nothing, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Whether the server has closed it, or is gone.
    #[cfg(feature = "mysql")]
    pub fn has_ended(&self) -> bool {
        match self.io.try_peek() {
            Ok(count) => count == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }

    /// Writes what the server is told last, as far as that takes no waiting.
    pub fn say_last(&self, bytes: &[u8]) {
        // Whoever does not take it sees the end.
        let _taken = self.io.try_write(bytes);
        self.io.say_goodbye();
    }

    /// Has the event loop of this thread wake whoever waits for it. What is encrypted stays with the other one's.
    pub fn moved(self) -> Option<Self> {
        let io = match self.io {
            Io::Tcp(socket) => Io::Tcp(TcpStream::from_std(socket.into_std().ok()?).ok()?),
            Io::Unix(socket) => Io::Unix(UnixStream::from_std(socket.into_std().ok()?).ok()?),
            Io::Tls(stream) => Io::Tls(stream),
        };
        Some(Link { io, ..self })
    }
}

/// Keeps a buffer for others, unless it has grown for something long.
pub(super) fn give(mut empty: BytesMut) {
    empty.clear();
    if !empty.try_reclaim(KEPT + 1) {
        buffer::give_read(empty);
    }
}

fn room(read: &mut BytesMut, wanted: usize) {
    if read.capacity() == 0 {
        *read = buffer::take_read();
    }
    let missing = wanted.saturating_sub(read.len()).max(1);
    if read.capacity() - read.len() < missing {
        read.reserve(missing.max(4096));
    }
}

fn ended() -> Broken {
    Broken::lost("it ended the connection")
}
