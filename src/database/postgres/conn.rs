//! A connection that is logged in, and the frames that come and go on it.

use std::future::poll_fn;
use std::io::IoSlice;
use std::task::{Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use super::error::ServerError;
use super::frame::{Frame, HEAD};
use super::prepared::Prepared;
use super::url::Address;
use super::wire;
use crate::database::pool::Pooled;
use crate::net::buffer;
use crate::net::io::Io;
use crate::net::timer::Deadline;

/// The longest message that is no row. Errors and descriptions are far shorter.
pub(super) const LONGEST: usize = 1 << 20;
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

/// The status of a connection's transaction, of a `ReadyForQuery`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Idle,
    Open,
    Failed,
}

pub(super) struct Conn {
    io: Io,
    read: BytesMut,
    pub write: Vec<u8>,
    deadline: Deadline,
    /// How many `ReadyForQuery` are yet to come.
    pub awaited: u32,
    pub status: Status,
    /// Something was cancelled on it.
    pub is_cancelled: bool,
    /// Where it leads to, for whoever cancels.
    pub address: Address,
    /// The process that serves it, and its secret.
    pub key: Vec<u8>,
    pub version: String,
    /// None where statements go without a name.
    pub prepared: Option<Prepared>,
    pub is_pooled: bool,
}

impl Conn {
    pub fn new(io: Io, address: &Address) -> Self {
        Conn {
            io,
            read: BytesMut::new(),
            write: Vec::new(),
            deadline: Deadline::new(),
            awaited: 0,
            status: Status::Idle,
            is_cancelled: false,
            address: address.clone(),
            key: Vec::new(),
            version: String::new(),
            prepared: None,
            is_pooled: false,
        }
    }

    /// From now on, waiting for longer than until `at` is an error.
    pub fn set_deadline(&mut self, at: Instant) {
        self.deadline.set(at);
    }

    pub fn clear_deadline(&mut self) {
        self.deadline.clear();
    }

    /// Whether the server has answered all that it was asked, and no transaction is open.
    pub fn is_at_rest(&self) -> bool {
        self.awaited == 0 && self.status == Status::Idle && !self.is_cancelled
    }

    /// Lets go of what a connection at rest does not need.
    pub fn rest(&mut self) {
        self.deadline.clear();
        if self.read.is_empty() {
            let read = std::mem::take(&mut self.read);
            if (1..=KEPT).contains(&read.capacity()) {
                buffer::give_read(read);
            }
        }
        let write = std::mem::take(&mut self.write);
        if (1..=KEPT).contains(&write.capacity()) {
            buffer::give_write(write);
        }
    }

    /// Sends what was written to `self.write`, and reads meanwhile, where the server waits for that.
    pub async fn send(&mut self) -> Result<(), Broken> {
        let mut sent = 0;
        let result = poll_fn(|cx| {
            while sent < self.write.len() {
                let slices = [IoSlice::new(&self.write[sent..])];
                match self.io.poll_write_vectored(cx, &slices) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(lost("it takes nothing"))),
                    Poll::Ready(Ok(count)) => sent += count,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(lost(error))),
                    Poll::Pending => {
                        if self.read.len() < AHEAD {
                            room(&mut self.read, 0);
                            match self.io.poll_read(cx, &mut self.read) {
                                Poll::Ready(Ok(0)) => return Poll::Ready(Err(ended())),
                                Poll::Ready(Ok(_)) => continue,
                                Poll::Ready(Err(error)) => return Poll::Ready(Err(lost(error))),
                                Poll::Pending => {}
                            }
                        }
                        ready!(self.deadline.poll_passed(cx));
                        return Poll::Ready(Err(Broken::Late));
                    }
                }
            }
            Poll::Ready(Ok(()))
        });
        let result = result.await;
        self.write.clear();
        result
    }

    /// Whether a whole message is there already, so that nothing is waited for.
    pub fn has_frame(&self) -> bool {
        matches!(Frame::at(&self.read), Ok(Some(frame)) if self.read.len() >= frame.length)
    }

    /// The next message, a row of at most `most` bytes. Whoever has looked at it says so: [`Conn::done`].
    pub async fn frame(&mut self, most: usize) -> Result<Frame, Broken> {
        loop {
            let wanted = match Frame::at(&self.read) {
                Err(()) => return Err(lost("it sent no message of the protocol")),
                Ok(None) => HEAD,
                Ok(Some(frame)) if self.read.len() >= frame.length => return Ok(frame),
                Ok(Some(frame)) => {
                    let most = if frame.kind == b'D' { most } else { LONGEST };
                    if frame.length > most.saturating_add(HEAD) {
                        return Err(Broken::TooLong);
                    }
                    frame.length
                }
            };
            self.fill(wanted).await?;
        }
    }

    pub fn body(&self, frame: Frame) -> &[u8] {
        &self.read[HEAD..frame.length]
    }

    pub fn done(&mut self, frame: Frame) {
        self.read.advance(frame.length);
    }

    /// Reads once, into room for `wanted` bytes in all.
    async fn fill(&mut self, wanted: usize) -> Result<(), Broken> {
        room(&mut self.read, wanted);
        poll_fn(|cx| {
            match self.io.poll_read(cx, &mut self.read) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(ended())),
                Poll::Ready(Ok(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(lost(error))),
                Poll::Pending => {}
            }
            ready!(self.deadline.poll_passed(cx));
            Poll::Ready(Err(Broken::Late))
        })
        .await
    }

    /// Reads the one byte that answers a question for TLS. What comes behind it in the clear is not taken.
    pub async fn byte(&mut self) -> Result<u8, Broken> {
        let mut byte = BytesMut::with_capacity(1);
        let read = poll_fn(|cx| self.io.poll_read_most(cx, &mut byte, 1)).await;
        match (read, byte.first()) {
            (Ok(_), Some(byte)) => Ok(*byte),
            (Ok(_), None) => Err(ended()),
            (Err(error), _) => Err(lost(error)),
        }
    }

    /// Waits until the server has closed the connection.
    pub async fn closed(&mut self) {
        while self.fill(0).await.is_ok() {
            self.read.clear();
        }
    }

    /// The stream below, for a handshake, before anything was read ahead.
    pub fn into_io(self) -> Io {
        self.io
    }

    /// Runs a command without parameters or rows, and says what its tag is. Waits for the end of it.
    pub async fn command(&mut self, command: &str) -> Result<Result<String, ServerError>, Broken> {
        wire::query(command, &mut self.write);
        self.awaited += 1;
        self.send().await?;
        self.outcome().await
    }

    /// Reads up to the next `ReadyForQuery`: the last tag, or the first error.
    pub async fn outcome(&mut self) -> Result<Result<String, ServerError>, Broken> {
        let mut result = Ok(String::new());
        loop {
            let frame = self.frame(LONGEST).await?;
            match frame.kind {
                b'C' => {
                    if let Ok(tag) = &mut result {
                        *tag = super::error::affected(self.body(frame)).0.to_owned();
                    }
                }
                b'E' => {
                    let error = ServerError::read(self.body(frame));
                    if error.is_fatal {
                        return Ok(Err(error));
                    }
                    if result.is_ok() {
                        result = Err(error);
                    }
                }
                b'Z' => {
                    self.ready(frame);
                    return Ok(result);
                }
                _ => {}
            }
            self.done(frame);
        }
    }

    /// Takes note of a `ReadyForQuery`, and is done with it.
    pub fn ready(&mut self, frame: Frame) {
        self.status = match self.body(frame) {
            b"I" => Status::Idle,
            b"T" => Status::Open,
            _ => Status::Failed,
        };
        self.awaited = self.awaited.saturating_sub(1);
        self.done(frame);
    }
}

impl Pooled for Conn {
    fn is_fit(&mut self) -> bool {
        // Whatever came while nothing was asked for ends it: its end, a farewell, or what is left of an earlier statement.
        let nothing = self.io.try_peek();
        self.is_at_rest()
            && matches!(nothing, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// Has the event loop of this thread wake whoever waits for it. What is encrypted stays with the other one's.
    fn moved(self) -> Option<Self> {
        let io = match self.io {
            Io::Tcp(socket) => Io::Tcp(TcpStream::from_std(socket.into_std().ok()?).ok()?),
            Io::Unix(socket) => Io::Unix(UnixStream::from_std(socket.into_std().ok()?).ok()?),
            Io::Tls(stream) => Io::Tls(stream),
        };
        Some(Conn { io, ..self })
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
    Broken::Lost("it ended the connection".to_owned())
}

fn lost(why: impl ToString) -> Broken {
    Broken::Lost(why.to_string())
}
