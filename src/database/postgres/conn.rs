//! A connection that is logged in, and the frames that come and go on it.

use bytes::Buf;

use super::error::ServerError;
use super::frame::{Frame, HEAD};
use super::prepared::Prepared;
use super::wire;
use crate::database::link::{Broken, Link};
use crate::database::pool::Pooled;
use crate::database::reach::Address;
use crate::net::io::Io;

/// The longest message that is no row. Errors and descriptions are far shorter.
pub(super) const LONGEST: usize = 1 << 20;

/// The status of a connection's transaction, of a `ReadyForQuery`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Idle,
    Open,
    Failed,
}

pub(super) struct Conn {
    pub link: Link,
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
            link: Link::new(io),
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

    /// Whether the server has answered all that it was asked, and no transaction is open.
    pub fn is_at_rest(&self) -> bool {
        self.awaited == 0 && self.status == Status::Idle && !self.is_cancelled
    }

    /// Whether a whole message is there already, so that nothing is waited for.
    pub fn has_frame(&self) -> bool {
        matches!(Frame::at(&self.link.read), Ok(Some(frame)) if self.link.read.len() >= frame.length)
    }

    /// The next message, a row of at most `most` bytes. Whoever has looked at it says so: [`Conn::done`].
    pub async fn frame(&mut self, most: usize) -> Result<Frame, Broken> {
        loop {
            let wanted = match Frame::at(&self.link.read) {
                Err(()) => return Err(Broken::lost("it sent no message of the protocol")),
                Ok(None) => HEAD,
                Ok(Some(frame)) if self.link.read.len() >= frame.length => return Ok(frame),
                Ok(Some(frame)) => {
                    let most = if frame.kind == b'D' { most } else { LONGEST };
                    if frame.length > most.saturating_add(HEAD) {
                        return Err(Broken::TooLong);
                    }
                    frame.length
                }
            };
            self.link.fill(wanted).await?;
        }
    }

    pub fn body(&self, frame: Frame) -> &[u8] {
        &self.link.read[HEAD..frame.length]
    }

    pub fn done(&mut self, frame: Frame) {
        self.link.read.advance(frame.length);
    }

    /// Waits until the server has closed the connection.
    pub async fn closed(&mut self) {
        while self.link.fill(0).await.is_ok() {
            self.link.read.clear();
        }
    }

    /// Runs a command without parameters or rows, and says what its tag is. Waits for the end of it.
    pub async fn command(&mut self, command: &str) -> Result<Result<String, ServerError>, Broken> {
        wire::query(command, &mut self.link.write);
        self.awaited += 1;
        self.link.send().await?;
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
        self.is_at_rest() && self.link.is_quiet()
    }

    fn close(self) {
        self.link.say_last(wire::TERMINATE);
    }

    fn moved(self) -> Option<Self> {
        Some(Conn {
            link: self.link.moved()?,
            ..self
        })
    }
}
