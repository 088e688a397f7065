//! A connection that is logged in, and the messages that come and go on it.

use bytes::BytesMut;
use postgres_protocol::message::backend::{DATA_ROW_TAG, Header, Message, ReadyForQueryBody};
use postgres_protocol::message::frontend;
use tokio::time::Instant;

use super::error::{ServerError, affected};
use super::prepared::Prepared;
use crate::database::link::{Broken, Link, give};
use crate::database::pool::Pooled;
use crate::database::reach::Address;
use crate::database::server::Connection;
use crate::net::buffer;
use crate::net::io::Io;

/// Kind and length of a message.
const HEAD: usize = 5;
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
    /// What is to be sent.
    pub write: BytesMut,
    /// How many `ReadyForQuery` are yet to come.
    pub awaited: u32,
    pub status: Status,
    /// Something was cancelled on it, or it is not to be used again for another reason.
    pub is_cancelled: bool,
    /// Where it leads to, for whoever cancels.
    pub address: Address,
    /// The process that serves it, and its secret; None once it has ended.
    pub key: Option<(i32, i32)>,
    pub version: String,
    /// None where statements go without a name.
    pub prepared: Option<Prepared>,
    pub is_pooled: bool,
}

impl Conn {
    pub fn new(io: Io, address: &Address) -> Self {
        Conn {
            link: Link::new(io),
            write: BytesMut::new(),
            awaited: 0,
            status: Status::Idle,
            is_cancelled: false,
            address: address.clone(),
            key: None,
            version: String::new(),
            prepared: None,
            is_pooled: false,
        }
    }

    /// Room for what is to be sent.
    pub fn writer(&mut self) -> &mut BytesMut {
        if self.write.capacity() == 0 {
            self.write = buffer::take_read();
        }
        &mut self.write
    }

    /// Sends what was written to `self.write`.
    pub async fn send(&mut self) -> Result<(), Broken> {
        let result = self.link.send_all(&self.write).await;
        self.write.clear();
        result
    }

    /// Whether a whole message is there already, so that nothing is waited for.
    pub fn has_message(&self) -> bool {
        matches!(self.head(), Ok(Some((_, length))) if self.link.read.len() >= length)
    }

    /// The next message, a row of at most `most` bytes.
    pub async fn message(&mut self, most: usize) -> Result<Message, Broken> {
        loop {
            let wanted = match self.head()? {
                None => HEAD,
                Some((_, length)) if self.link.read.len() >= length => {
                    let message = Message::parse(&mut self.link.read).ok().flatten();
                    return message.ok_or_else(nonsense);
                }
                Some((kind, length)) => {
                    let most = if kind == DATA_ROW_TAG { most } else { LONGEST };
                    // Before there is room made for it.
                    if length > most.saturating_add(HEAD) {
                        return Err(Broken::TooLong);
                    }
                    length
                }
            };
            self.link.fill(wanted).await?;
        }
    }

    /// The kind of the next message, and its length with its head; None as long as that is not there.
    fn head(&self) -> Result<Option<(u8, usize)>, Broken> {
        let header = Header::parse(&self.link.read).map_err(|_| nonsense())?;
        // The length counts itself, and not the kind.
        let measured = header.map(|header| {
            let length = usize::try_from(header.len()).map_err(|_| nonsense())?;
            Ok((header.tag(), length + 1))
        });
        measured.transpose()
    }

    /// Waits until the server has closed the connection.
    pub async fn closed(&mut self) {
        while self.link.fill(0).await.is_ok() {
            self.link.read.clear();
        }
    }

    /// Runs a command without parameters or rows, and says what its tag is. Waits for the end of it.
    pub async fn command(&mut self, command: &str) -> Result<Result<String, ServerError>, Broken> {
        frontend::query(command, &mut self.write).map_err(Broken::lost)?;
        self.awaited += 1;
        self.send().await?;
        self.outcome().await
    }

    /// Reads up to the next `ReadyForQuery`: the last tag, or the first error.
    pub async fn outcome(&mut self) -> Result<Result<String, ServerError>, Broken> {
        let mut result = Ok(String::new());
        loop {
            match self.message(LONGEST).await? {
                Message::CommandComplete(body) => {
                    if let Ok(tag) = &mut result {
                        *tag = affected(&body).0.to_owned();
                    }
                }
                Message::ErrorResponse(body) => {
                    let error = ServerError::read(&body);
                    if error.is_fatal {
                        return Ok(Err(error));
                    }
                    if result.is_ok() {
                        result = Err(error);
                    }
                }
                Message::ReadyForQuery(body) => {
                    self.ready(&body);
                    return Ok(result);
                }
                _ => {}
            }
        }
    }

    /// Takes note of a `ReadyForQuery`.
    pub fn ready(&mut self, body: &ReadyForQueryBody) {
        self.status = match body.status() {
            b'I' => Status::Idle,
            b'T' => Status::Open,
            _ => Status::Failed,
        };
        self.awaited = self.awaited.saturating_sub(1);
    }
}

impl Connection for Conn {
    fn set_deadline(&mut self, at: Instant) {
        self.link.set_deadline(at);
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn is_pooled(&self) -> bool {
        self.is_pooled
    }

    fn is_answered(&self) -> bool {
        self.awaited == 0 && !self.is_cancelled
    }

    fn in_transaction(&self) -> bool {
        self.status != Status::Idle
    }

    fn can_be_stopped(&self) -> bool {
        self.awaited > 0 && self.key.is_some()
    }

    fn give_up(&mut self) {
        self.is_cancelled = true;
    }

    fn rest(&mut self) {
        self.link.rest();
        give(std::mem::take(&mut self.write));
    }
}

impl Pooled for Conn {
    fn is_fit(&mut self) -> bool {
        self.is_at_rest() && self.link.is_quiet()
    }

    fn close(self) {
        let mut last = BytesMut::new();
        frontend::terminate(&mut last);
        self.link.say_last(&last);
    }

    fn moved(self) -> Option<Self> {
        Some(Conn {
            link: self.link.moved()?,
            ..self
        })
    }
}

fn nonsense() -> Broken {
    Broken::lost("it sent no message of the protocol")
}
