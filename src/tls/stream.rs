//! An encrypted connection, as the byte stream that [`Io`] shows.
//!
//! Reading decrypts into the caller's buffer, writing encrypts what there is into few large writes. What the kernel
//! has not taken yet is all that is held: an idle connection has no buffers but the small one that rustls keeps.

use std::io::{self, BufRead, ErrorKind, IoSlice, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use rustls::Connection;

use super::socket::{Nothing, Polled, Tried, discard};
use super::words;
use crate::http::peer::Peer;
use crate::net::buffer;
use crate::net::io::{Encrypted, Io};

/// Decrypted bytes that rustls holds before it takes no more.
const PLAINTEXT: usize = 16 << 10;

/// A TLS connection after its handshake, or during it.
#[derive(Debug)]
pub struct Stream {
    io: Io,
    session: Mutex<Session>,
    /// Who has shaken hands here, for the log. Why a connection to a server broke is told by the request on it.
    caller: OnceLock<Arc<Peer>>,
}

struct Session {
    connection: Connection,
    /// Ciphertext that rustls had no room for. Empty but for the moment.
    unread: BytesMut,
    /// How many decrypted bytes wait.
    plaintext: usize,
    end: Option<End>,
    /// Bytes that were encrypted, and that the writer was not told of.
    owed: usize,
    /// A large record has made rustls's buffer grow.
    grown: bool,
    /// Something came that could not be decrypted, and that was told.
    broken: bool,
    /// The peer was told that nothing more comes.
    said_goodbye: bool,
}

/// How the peer's direction has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Clean,
    /// The connection ended without the peer saying so: somebody may have cut it.
    Cut,
}

impl Stream {
    pub(super) fn new(io: Io, connection: Connection) -> Self {
        Stream {
            io,
            caller: OnceLock::new(),
            session: Mutex::new(Session {
                connection,
                unread: BytesMut::new(),
                plaintext: 0,
                end: None,
                owed: 0,
                grown: false,
                broken: false,
                said_goodbye: false,
            }),
        }
    }

    /// Tells whose connection it is, once its handshake is over.
    pub fn belongs_to(&self, caller: &Arc<Peer>) {
        // There is one handshake.
        let _ = self.caller.set(caller.clone());
    }

    /// Asks the connection for something.
    pub(super) fn ask<T>(&self, ask: impl FnOnce(&Connection) -> T) -> T {
        ask(&self.session().connection)
    }

    /// One step of the handshake: sends what is to be sent.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session().poll_flush(&self.io, cx)
    }

    /// One step of the handshake: takes what the peer has sent.
    pub(super) fn take_in(&self, ciphertext: BytesMut) -> io::Result<()> {
        self.session().take_in(self, ciphertext)
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Encrypted for Stream {
    /// Waits until a read would not block, as far as that can be told without reading.
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut session = self.session();
        if session.has_something() {
            return Poll::Ready(Ok(()));
        }
        let ready = self.io.poll_read_ready(cx);
        if ready.is_pending() {
            // Whoever waits like this waits for a request, perhaps for an hour.
            session.shrink();
        }
        ready
    }

    fn may_have_bytes(&self) -> bool {
        self.session().has_something() || self.io.may_have_bytes()
    }

    /// Reads decrypted bytes into the room that `buffer` has; 0 is the end of the stream, if the peer has said so.
    ///
    /// # Errors
    /// `UnexpectedEof` when the connection ended and the peer had not said that it would.
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        let mut session = self.session();
        ready!(session.poll_plaintext(self, cx))?;
        let room = buffer.capacity() - buffer.len();
        Poll::Ready(Ok(
            session.take(room, |bytes| buffer.extend_from_slice(bytes))
        ))
    }

    /// What is there now.
    fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let mut session = self.session();
        session.try_plaintext(self)?;
        let room = buffer.capacity() - buffer.len();
        Ok(session.take(room, |bytes| buffer.extend_from_slice(bytes)))
    }

    /// Decrypted bytes that wait; 0 is the end of the stream. Handles what is no data, such as session tickets.
    fn peek(&self) -> io::Result<usize> {
        let mut session = self.session();
        match session.try_plaintext(self) {
            Ok(()) => Ok(session.plaintext),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Encrypts and writes from `slices`. The last byte is told as written only once the kernel has all of it: who
    /// still has something to write comes back, and who has written everything need not flush.
    fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut session = self.session();
        debug_assert!(!session.said_goodbye, "written behind the end");
        ready!(session.poll_flush(&self.io, cx))?;
        if session.owed > 0 {
            let told = session.owed.min(wanted);
            session.owed -= told;
            return Poll::Ready(Ok(told));
        }
        let taken = session.connection.writer().write_vectored(slices)?;
        match session.poll_flush(&self.io, cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(taken)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if taken <= 1 => {
                session.owed = taken;
                Poll::Pending
            }
            Poll::Pending => {
                session.owed = 1;
                Poll::Ready(Ok(taken - 1))
            }
        }
    }

    /// Encrypts and writes what the kernel takes now; the rest goes with the next write.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut session = self.session();
        debug_assert!(!session.said_goodbye, "written behind the end");
        session.try_flush(&self.io)?;
        let taken = session.connection.writer().write(bytes)?;
        match session.try_flush(&self.io) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    /// Tells the peer that nothing more comes.
    fn say_goodbye(&self) {
        let mut session = self.session();
        session.said_goodbye = true;
        session.connection.send_close_notify();
        // All that was written has left, so that there is room for so little but for bad luck.
        let _ = session.try_flush(&self.io);
    }

    /// The same, and ends the writing direction.
    fn shutdown_write(&self) -> io::Result<()> {
        self.say_goodbye();
        self.io.shutdown_write()
    }

    /// The socket below.
    fn socket(&self) -> &Io {
        &self.io
    }
}

impl Session {
    /// Whether a read would not wait for the socket.
    fn has_something(&self) -> bool {
        self.plaintext > 0 || self.end.is_some() || !self.unread.is_empty()
    }

    /// Waits until decrypted bytes are there, or their end.
    fn poll_plaintext(&mut self, stream: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let io = &stream.io;
        while !self.is_settled()? {
            if !self.unread.is_empty() {
                let unread = std::mem::take(&mut self.unread);
                self.take_in(stream, unread)?;
                continue;
            }
            if io.poll_read_ready(cx)?.is_pending() {
                self.shrink();
                return Poll::Pending;
            }
            let mut ciphertext = buffer::take_read();
            match io.poll_read(cx, &mut ciphertext) {
                Poll::Ready(read) => self.received(stream, read, ciphertext)?,
                Poll::Pending => {
                    buffer::give_read(ciphertext);
                    self.shrink();
                    return Poll::Pending;
                }
            }
            if self.connection.wants_write() {
                // An answer to a key update, say. If there is no room for it now, the next write brings it.
                if let Poll::Ready(Err(error)) = self.poll_flush(io, cx) {
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The same without waiting.
    fn try_plaintext(&mut self, stream: &Stream) -> io::Result<()> {
        while !self.is_settled()? {
            let ciphertext = if self.unread.is_empty() {
                buffer::take_read()
            } else {
                std::mem::take(&mut self.unread)
            };
            if !ciphertext.is_empty() {
                self.take_in(stream, ciphertext)?;
                continue;
            }
            let mut ciphertext = ciphertext;
            match stream.io.try_read(&mut ciphertext) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    buffer::give_read(ciphertext);
                    return Err(error);
                }
                read => self.received(stream, read, ciphertext)?,
            }
        }
        Ok(())
    }

    /// Whether there are bytes, or none will come.
    fn is_settled(&self) -> io::Result<bool> {
        match self.end {
            _ if self.plaintext > 0 => Ok(true),
            Some(End::Clean) => Ok(true),
            Some(End::Cut) => Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the connection ended without a TLS close_notify",
            )),
            None => Ok(false),
        }
    }

    fn received(
        &mut self,
        stream: &Stream,
        read: io::Result<usize>,
        ciphertext: BytesMut,
    ) -> io::Result<()> {
        match read {
            Ok(0) => {
                buffer::give_read(ciphertext);
                self.end = Some(End::Cut);
                Ok(())
            }
            Ok(_) => self.take_in(stream, ciphertext),
            Err(error) => {
                buffer::give_read(ciphertext);
                Err(error)
            }
        }
    }

    /// Decrypts. What cannot be decrypted ends the connection, and the peer is told why before it closes, whoever closes
    /// it and in whatever state (RFC 8446, section 6.2).
    fn take_in(&mut self, stream: &Stream, ciphertext: BytesMut) -> io::Result<()> {
        let taken = self.decrypt(ciphertext);
        if let Err(error) = &taken
            && !std::mem::replace(&mut self.broken, true)
        {
            // As far as the kernel takes it.
            let _ = self.try_flush(&stream.io);
            discard(&stream.io);
            if let Some(caller) = stream.caller.get() {
                tracing::info!(
                    listener = %caller.listener,
                    peer = %caller.address,
                    "a TLS connection broke: {}",
                    words::of(error)
                );
            }
        }
        taken
    }

    fn decrypt(&mut self, mut ciphertext: BytesMut) -> io::Result<()> {
        self.grown |= ciphertext.len() > buffer::SMALL / 4;
        while !ciphertext.is_empty() && self.plaintext <= PLAINTEXT && self.end.is_none() {
            let taken = self.connection.read_tls(&mut &ciphertext[..])?;
            ciphertext.advance(taken);
            let state = self
                .connection
                .process_new_packets()
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            self.plaintext = state.plaintext_bytes_to_read();
            if state.peer_has_closed() {
                self.end = Some(End::Clean);
                // Whatever follows was not sent by the peer that has closed (RFC 8446, section 6.1).
                ciphertext.clear();
            }
        }
        if ciphertext.is_empty() {
            buffer::give_read(ciphertext)
        } else {
            self.unread = ciphertext
        }
        Ok(())
    }

    /// Hands out up to `room` decrypted bytes.
    fn take(&mut self, room: usize, mut out: impl FnMut(&[u8])) -> usize {
        let mut left = room;
        let mut reader = self.connection.reader();
        while left > 0 && self.plaintext > 0 {
            let Ok(chunk) = reader.fill_buf() else {
                break;
            };
            let part = &chunk[..chunk.len().min(left)];
            let taken = part.len();
            if taken == 0 {
                break;
            }
            out(part);
            reader.consume(taken);
            left -= taken;
            self.plaintext = self.plaintext.saturating_sub(taken);
        }
        room - left
    }

    fn poll_flush(&mut self, io: &Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Polled { io, cx }) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn try_flush(&mut self, io: &Io) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut Tried(io))?;
        }
        Ok(())
    }

    /// Lets go of the room that a large record took: rustls does when it is about to read, and not before.
    fn shrink(&mut self) {
        if std::mem::take(&mut self.grown) {
            let _ = self.connection.read_tls(&mut Nothing);
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use tokio::net::UnixStream;

    use super::*;

    #[tokio::test]
    #[should_panic(expected = "written behind the end")]
    async fn nothing_is_written_behind_the_end() {
        let config = ClientConfig::builder_with_provider(crate::tls::provider().clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let client = ClientConnection::new(config.into(), "localhost".try_into().unwrap()).unwrap();
        let (io, _peer) = UnixStream::pair().unwrap();
        let io = Io::Tls(Box::new(Stream::new(Io::Unix(io), client.into())));
        io.say_goodbye();
        let _ = io.try_write(b"more");
    }
}
