//! The byte stream under a connection, downstream or upstream, encrypted or not.
//!
//! Reading and writing go through `&self`, so that one side of an exchange can be read by a body while the other
//! is written by its connection, without a lock or a split. One task reads and one task writes at a time: the
//! kernel's readiness is remembered for the last waker of each direction only.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};

use bytes::{BufMut, BytesMut};
use rustix::net::{RecvFlags, SendFlags, recv, send, sendmsg};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

use crate::net::pipe::Pipe;

/// A connected socket, or what is encrypted over one.
#[derive(Debug)]
pub enum Io {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<dyn Encrypted>),
}

/// A connection that is encrypted over a socket, as the stream of what it carries. The methods are those of [`Io`].
pub trait Encrypted: std::fmt::Debug + Send + Sync {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>>;
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn may_have_bytes(&self) -> bool;
    fn peek(&self) -> io::Result<usize>;
    fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize>;
    fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    fn say_goodbye(&self);
    fn shutdown_write(&self) -> io::Result<()>;
    /// The socket below.
    fn socket(&self) -> &Io;
}

impl Io {
    /// Reads once into the room that `buffer` has; 0 is the end of the stream.
    pub fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        self.poll_read_most(cx, buffer, usize::MAX)
    }

    /// Reads once, at most `most` bytes where the stream is not encrypted.
    pub fn poll_read_most(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        if let Io::Tls(stream) = self {
            return stream.poll_read(cx, buffer);
        }
        let most = most.min(buffer.capacity() - buffer.len());
        debug_assert!(most > 0);
        loop {
            ready!(self.poll_read_ready(cx))?;
            match self.try_read_most(buffer, most) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
        }
    }

    /// Waits until a read would not block, holding no buffer.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Io::Tcp(socket) => socket.poll_read_ready(cx),
            Io::Unix(socket) => socket.poll_read_ready(cx),
            Io::Tls(stream) => stream.poll_read_ready(cx),
        }
    }

    /// Whether a read might not block, as far as the event loop has heard. Asks nobody and waits for nothing.
    pub fn may_have_bytes(&self) -> bool {
        match self {
            Io::Tcp(socket) => socket.try_io(Interest::READABLE, || Ok(())).is_ok(),
            Io::Unix(socket) => socket.try_io(Interest::READABLE, || Ok(())).is_ok(),
            Io::Tls(stream) => stream.may_have_bytes(),
        }
    }

    /// Bytes that wait in the kernel, one at most; 0 is the end of the stream. Asks the kernel, not the event loop.
    pub fn peek(&self) -> io::Result<usize> {
        if let Io::Tls(stream) = self {
            return stream.peek();
        }
        socket2::SockRef::from(self).peek(&mut [std::mem::MaybeUninit::uninit()])
    }

    /// As many bytes as are there and have room, which stay there; 0 is the end of the stream.
    pub fn try_peek_into(&self, room: &mut [u8]) -> io::Result<usize> {
        let peek = |room: &mut [u8]| Ok(recv(self, room, RecvFlags::PEEK)?.0);
        match self {
            Io::Tcp(socket) => socket.try_io(Interest::READABLE, || peek(room)),
            Io::Unix(socket) => socket.try_io(Interest::READABLE, || peek(room)),
            Io::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// As [`Io::peek`], but asks the kernel only where the event loop has heard of something.
    pub fn try_peek(&self) -> io::Result<usize> {
        match self {
            Io::Tcp(socket) => socket.try_io(Interest::READABLE, || self.peek()),
            Io::Unix(socket) => socket.try_io(Interest::READABLE, || self.peek()),
            Io::Tls(stream) if stream.may_have_bytes() => stream.peek(),
            Io::Tls(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Reads what is there now into the room that `buffer` has.
    pub fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        debug_assert!(buffer.capacity() > buffer.len());
        let room = buffer.capacity() - buffer.len();
        self.try_read_most(buffer, room)
    }

    fn try_read_most(&self, buffer: &mut BytesMut, most: usize) -> io::Result<usize> {
        let mut room = (&mut *buffer).limit(most);
        match self {
            Io::Tcp(socket) => until_short(most, |read| {
                socket.try_io(Interest::READABLE, || read(socket.try_read_buf(&mut room)))
            }),
            Io::Unix(socket) => until_short(most, |read| {
                socket.try_io(Interest::READABLE, || read(socket.try_read_buf(&mut room)))
            }),
            Io::Tls(stream) => stream.try_read(buffer),
        }
    }

    /// Whether a [`Pipe`] can take bytes from here, or hand them on to here, without a copy.
    pub fn can_splice(&self) -> bool {
        matches!(self, Io::Tcp(_))
    }

    /// Takes up to `most` bytes into the empty `pipe`; 0 is the end of the stream.
    ///
    /// # Errors
    /// `Unsupported`, see [`Io::can_splice`]; `OutOfMemory`: bytes wait, but there is no pipe for them. Else as
    /// [`Io::poll_read`].
    pub fn poll_fill(
        &self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
        most: u64,
    ) -> Poll<io::Result<u64>> {
        let Io::Tcp(socket) = self else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        loop {
            ready!(socket.poll_read_ready(cx))?;
            match socket.try_io(Interest::READABLE, || pipe.fill(socket, most)) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                filled => return Poll::Ready(filled),
            }
        }
    }

    /// Writes once from `pipe`, as many bytes as the kernel takes.
    pub fn poll_drain(&self, cx: &mut Context<'_>, pipe: &mut Pipe) -> Poll<io::Result<u64>> {
        let Io::Tcp(socket) = self else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        loop {
            ready!(socket.poll_write_ready(cx))?;
            match socket.try_io(Interest::WRITABLE, || pipe.drain(socket)) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                drained => return Poll::Ready(drained),
            }
        }
    }

    /// Writes once from `slices`, behind which more follows at once, or the end of the stream: it need not leave before
    /// that.
    pub fn poll_write_more(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Io::Tcp(socket) = self else {
            return self.poll_write_vectored(cx, slices);
        };
        loop {
            let written = socket.try_io(Interest::WRITABLE, || {
                write(socket, slices, SendFlags::MORE)
            });
            match written {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    ready!(socket.poll_write_ready(cx))?;
                }
                written => return Poll::Ready(written),
            }
        }
    }

    /// Writes once from `slices`. A single one costs the kernel less than a list of one.
    pub fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wanted = slices.iter().map(|slice| slice.len()).sum();
        loop {
            // A socket is nearly always ready to be written to; trying asks the event loop, not the kernel.
            let written = match self {
                Io::Tcp(socket) => until_short(wanted, |wrote| {
                    socket.try_io(Interest::WRITABLE, || {
                        wrote(write(socket, slices, SendFlags::empty()))
                    })
                }),
                Io::Unix(socket) => until_short(wanted, |wrote| {
                    socket.try_io(Interest::WRITABLE, || {
                        wrote(write(socket, slices, SendFlags::empty()))
                    })
                }),
                Io::Tls(stream) => return stream.poll_write_vectored(cx, slices),
            };
            match written {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => match self {
                    Io::Tcp(socket) => ready!(socket.poll_write_ready(cx))?,
                    Io::Unix(socket) => ready!(socket.poll_write_ready(cx))?,
                    // Waits by itself, above.
                    Io::Tls(_) => {}
                },
                written => return Poll::Ready(written),
            }
        }
    }

    /// Writes what the kernel takes now.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Io::Tcp(socket) => socket.try_write(bytes),
            Io::Unix(socket) => socket.try_write(bytes),
            Io::Tls(stream) => stream.try_write(bytes),
        }
    }

    /// Whether the stream is encrypted.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Io::Tls(_))
    }

    /// Tells the peer that what it got is all there is, where the stream has a way to say so. For a connection that is
    /// dropped now, and on which nothing was cut; [`Io::shutdown_write`] says it too. A debug build panics where
    /// something is written after it.
    pub fn say_goodbye(&self) {
        if let Io::Tls(stream) = self {
            stream.say_goodbye();
        }
    }

    /// Ends the writing direction: the peer reads the end of the stream, and may go on sending.
    pub fn shutdown_write(&self) -> io::Result<()> {
        if let Io::Tls(stream) = self {
            return stream.shutdown_write();
        }
        socket2::SockRef::from(self).shutdown(std::net::Shutdown::Write)
    }
}

/// Writes what the kernel takes now. The call is made here, as the runtime's own would look at the readiness once more.
fn write(socket: impl AsFd, slices: &[IoSlice<'_>], flags: SendFlags) -> io::Result<usize> {
    let flags = flags | SendFlags::NOSIGNAL;
    Ok(match slices {
        [one] => send(socket, one, flags)?,
        more => sendmsg(socket, more, &mut Default::default(), flags)?,
    })
}

/// Runs a system call that may move fewer bytes than `wanted`. If it does, the kernel has no more for now, so the
/// socket is marked as not ready, which saves the next call that would only say so. `attempt` runs under the
/// runtime's readiness guard: an event that arrives meanwhile is not lost.
fn until_short(
    wanted: usize,
    attempt: impl FnOnce(&mut dyn FnMut(io::Result<usize>) -> io::Result<usize>) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut short = None;
    let outcome = attempt(&mut |moved| match moved {
        Ok(count) if count > 0 && count < wanted => {
            short = Some(count);
            Err(io::ErrorKind::WouldBlock.into())
        }
        moved => moved,
    });
    match short {
        Some(count) => Ok(count),
        None => outcome,
    }
}

impl AsFd for Io {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Io::Tcp(socket) => socket.as_fd(),
            Io::Unix(socket) => socket.as_fd(),
            Io::Tls(stream) => stream.socket().as_fd(),
        }
    }
}
