//! One connected socket, TCP or unix, encrypted or not.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use socket2::SockRef;

pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// What is encrypted, and the socket below.
    Tls(Box<dyn Stream>, TcpStream),
}

/// Bytes both ways.
pub trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

impl Socket {
    pub fn try_clone(&self) -> io::Result<Socket> {
        Ok(match self {
            Socket::Tcp(socket) => Socket::Tcp(socket.try_clone()?),
            Socket::Unix(socket) => Socket::Unix(socket.try_clone()?),
            // Good for closing it.
            Socket::Tls(_, socket) => Socket::Tcp(socket.try_clone()?),
        })
    }

    pub fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        match self {
            Socket::Tcp(socket) => socket.set_read_timeout(limit),
            Socket::Unix(socket) => socket.set_read_timeout(limit),
            Socket::Tls(_, socket) => socket.set_read_timeout(limit),
        }
    }

    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Socket::Tcp(socket) => socket.shutdown(how),
            Socket::Unix(socket) => socket.shutdown(how),
            Socket::Tls(_, socket) => socket.shutdown(how),
        }
    }

    /// From now on, closing sends RST and forgets what is unsent.
    pub fn reset_on_close(&self) -> io::Result<()> {
        match self {
            Socket::Tcp(socket) | Socket::Tls(_, socket) => {
                SockRef::from(socket).set_linger(Some(Duration::ZERO))
            }
            Socket::Unix(_) => Ok(()),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.read(buffer),
            Socket::Unix(socket) => socket.read(buffer),
            Socket::Tls(stream, _) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.write(bytes),
            Socket::Unix(socket) => socket.write(bytes),
            Socket::Tls(stream, _) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Socket::Tls(stream, _) => stream.flush(),
            _ => Ok(()),
        }
    }
}
