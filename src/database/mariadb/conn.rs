//! A connection that is logged in, and the packets that come and go on it.

use std::borrow::Cow;

use bytes::Buf;
use tokio::time::Instant;

use super::error::ServerError;
use super::packet::{self, FULL, Fields, HEAD};
use super::prepared::{self, Prepared};
use super::wire::{QUERY, QUIT};
use crate::database::link::{Broken, Link};
use crate::database::pool::Pooled;
use crate::database::reach::Address;
use crate::database::server::{Connection, ServerError as _};
use crate::net::io::Io;

/// The longest packet that is no row. Errors and descriptions are far shorter.
pub(super) const LONGEST: usize = 1 << 20;

/// A transaction is open.
const IN_TRANSACTION: u16 = 0x0001;
/// Another result follows.
const MORE_RESULTS: u16 = 0x0008;

pub(super) struct Conn {
    pub link: Link,
    /// The number of the next packet.
    pub number: u8,
    /// The answer to a command is not here, or not all of it.
    pub awaits: bool,
    pub in_transaction: bool,
    /// The statement that is under way was told to be executed, and not only prepared.
    pub has_run: bool,
    /// Something was cancelled on it, the server is about to close it, or it is not to be used again for another reason.
    pub is_over: bool,
    /// By which name the server is asked for.
    pub address: Address,
    /// Where that led to, for whoever cancels: a name may lead elsewhere the next time.
    pub peer: Address,
    /// By which the server knows it.
    pub id: u32,
    /// What tells this server from others, as far as it says.
    pub server: String,
    pub version: String,
    /// The flags that both have.
    pub flags: u64,
    pub prepared: Prepared,
    /// Nothing but this client's own settings is in the session.
    pub is_fresh: bool,
    /// Something may be left in the session that holds on to something, or that the next one could see.
    pub is_marked: bool,
}

/// A command was carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub affected: u64,
    pub more_results: bool,
}

impl Conn {
    pub fn new(io: Io, address: &Address) -> Self {
        let peer = match &io {
            Io::Tcp(socket) => socket.peer_addr().ok(),
            _ => None,
        };
        let peer = peer.map(|peer| Address::Tcp(peer.ip().to_string(), peer.port()));
        Conn {
            link: Link::new(io),
            number: 0,
            awaits: false,
            in_transaction: false,
            has_run: false,
            is_over: false,
            address: address.clone(),
            peer: peer.unwrap_or_else(|| address.clone()),
            id: 0,
            server: String::new(),
            version: String::new(),
            flags: 0,
            prepared: prepared::none(),
            is_fresh: true,
            is_marked: false,
        }
    }

    /// Sends a command, whose answer is awaited from now on.
    pub async fn send(
        &mut self,
        command: u8,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Broken> {
        self.put(command, write);
        self.awaits = true;
        let sent = self.link.send().await;
        self.noting(sent)
    }

    /// Takes note of the connection's end: then there is nothing that could be cancelled.
    fn noting<T>(&mut self, result: Result<T, Broken>) -> Result<T, Broken> {
        self.is_over |= matches!(result, Err(Broken::Lost(_)));
        result
    }

    /// Writes a command that is sent together with the next one. Nothing is answered to it, or the caller reads that.
    pub fn put(&mut self, command: u8, write: impl FnOnce(&mut Vec<u8>)) {
        packet::put(self.link.writer(), 0, |into| {
            into.push(command);
            write(into);
        });
    }

    /// Whether a whole packet is there already, so that nothing is waited for.
    pub fn has_packet(&self) -> bool {
        packet::head(&self.link.read)
            .is_some_and(|(length, _)| length < FULL && self.link.read.len() >= HEAD + length)
    }

    /// The next packet, of at most `most` bytes. Whoever has looked at it says so: [`Conn::done`].
    pub async fn packet(&mut self, most: usize) -> Result<Packet, Broken> {
        // Where the parts of one that is longer than a packet can be are, one behind the other.
        let mut whole = 0;
        loop {
            let wanted = match packet::head(&self.link.read[whole..]) {
                None => whole + HEAD,
                Some((length, number)) => {
                    if whole + length > most.saturating_add(HEAD) {
                        return Err(Broken::TooLong);
                    }
                    let end = whole + HEAD + length;
                    if self.link.read.len() >= end {
                        self.number = number.wrapping_add(1);
                        if length < FULL {
                            return Ok(Packet { length: end });
                        }
                        whole = end;
                        continue;
                    }
                    end
                }
            };
            let filled = self.link.fill(wanted).await;
            self.noting(filled)?;
        }
    }

    pub fn body(&self, packet: Packet) -> Cow<'_, [u8]> {
        let bytes = &self.link.read[..packet.length];
        if packet.length < HEAD + FULL {
            return Cow::Borrowed(&bytes[HEAD..]);
        }
        let mut whole = Vec::with_capacity(packet.length);
        for part in bytes.chunks(HEAD + FULL) {
            whole.extend_from_slice(&part[HEAD..]);
        }
        Cow::Owned(whole)
    }

    pub fn done(&mut self, packet: Packet) {
        self.link.read.advance(packet.length);
    }

    /// Runs a command without parameters or rows, and waits for the end of it.
    pub async fn command(&mut self, command: &str) -> Result<Result<Outcome, ServerError>, Broken> {
        self.send(QUERY, |into| {
            into.extend_from_slice(command.as_bytes());
        })
        .await?;
        self.outcome().await
    }

    /// Reads the answer to a command that has no rows.
    pub async fn outcome(&mut self) -> Result<Result<Outcome, ServerError>, Broken> {
        let packet = self.packet(LONGEST).await?;
        let body = self.body(packet).into_owned();
        self.done(packet);
        match body.first() {
            Some(0x00) => {
                let ok = self.take_ok(&body[1..])?;
                self.awaits = ok.more_results;
                Ok(Ok(ok))
            }
            Some(0xff) => Ok(Err(self.take_error(&body))),
            _ => Err(Broken::lost("it gave rows where none were asked for")),
        }
    }

    /// Takes note of what stands behind the first byte of an `OK`, be it of a command or of rows.
    pub fn take_ok(&mut self, fields: &[u8]) -> Result<Outcome, Broken> {
        let mut fields = Fields(fields);
        let read = (fields.length(), fields.length(), fields.u16());
        let (Some(affected), Some(_), Some(status)) = read else {
            return Err(Broken::lost("it sent an `OK` that cannot be read"));
        };
        self.in_transaction = status & IN_TRANSACTION != 0;
        Ok(Outcome {
            affected,
            more_results: status & MORE_RESULTS != 0,
        })
    }

    /// The same of an `EOF`, which servers have that know no better.
    pub fn take_eof(&mut self, fields: &[u8]) -> Result<Outcome, Broken> {
        let mut fields = Fields(fields);
        let (Some(_warnings), Some(status)) = (fields.u16(), fields.u16()) else {
            return Err(Broken::lost("it sent an `EOF` that cannot be read"));
        };
        self.in_transaction = status & IN_TRANSACTION != 0;
        Ok(Outcome {
            affected: 0,
            more_results: status & MORE_RESULTS != 0,
        })
    }

    /// Takes note of an error, with which the answer ends.
    pub fn take_error(&mut self, body: &[u8]) -> ServerError {
        let error = ServerError::read(body);
        self.awaits = false;
        self.is_over |= error.is_fatal();
        // It says nothing of the transaction: some errors have undone it, and who goes on asks for its end.
        error
    }
}

/// A packet that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    /// Its head and those of its parts included.
    length: usize,
}

impl Connection for Conn {
    fn set_deadline(&mut self, at: Instant) {
        self.link.set_deadline(at);
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn is_answered(&self) -> bool {
        !self.awaits && !self.is_over
    }

    fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    fn is_at_rest(&self) -> bool {
        self.is_answered() && !self.in_transaction && !self.is_marked
    }

    fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    fn may_have_run(&self) -> bool {
        self.has_run
    }

    fn can_be_stopped(&self) -> bool {
        self.awaits && !self.is_over
    }

    fn give_up(&mut self) {
        self.is_over = true;
    }

    fn rest(&mut self) {
        self.link.rest();
    }
}

impl Pooled for Conn {
    fn is_fit(&mut self) -> bool {
        self.is_at_rest() && self.link.is_quiet()
    }

    fn close(self) {
        let mut last = Vec::new();
        packet::put(&mut last, 0, |into| into.push(QUIT));
        self.link.say_last(&last);
    }

    fn moved(self) -> Option<Self> {
        Some(Conn {
            link: self.link.moved()?,
            ..self
        })
    }
}
