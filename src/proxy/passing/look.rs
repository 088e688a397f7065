//! What a caller speaks, by the first that it sends.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;

use crate::net::io::Io;
use crate::tls::hello::{self, Hello};

/// Enough to tell a request line, or the preface of HTTP/2, from other protocols.
const LOOK: usize = 32;

/// Room for a usual hello of TLS.
const HELLO: usize = 2048;

/// The first byte of a hello of TLS.
const HANDSHAKE: u8 = 22;

/// What there is to be found out.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Whether it is HTTP.
    pub http: bool,
    /// Which name TLS asks for.
    pub name: bool,
    /// A caller that has sent nothing by then waits for its server to speak first.
    pub silence: Duration,
    /// From the first byte of TLS to the end of its hello.
    pub hello: Duration,
}

/// What a caller speaks.
pub enum Look {
    /// HTTP, as far as the first bytes tell. Nothing is read.
    Http,
    Other(Ahead),
}

/// What came ahead of everything else.
#[derive(Default)]
pub struct Ahead {
    /// They were read, and are to go on first.
    pub bytes: BytesMut,
    /// The name that TLS asks for.
    pub name: Option<String>,
}

/// Looks at the first bytes of `io`, as far as the question needs it.
pub async fn look(io: &Io, question: Question) -> Look {
    let nothing = || Look::Other(Ahead::default());
    if !question.http && !question.name {
        return nothing();
    }
    let mut room = [0; LOOK];
    let first = tokio::time::timeout(question.silence, peek(io, &mut room)).await;
    let first = match first {
        Ok(Ok(length)) => &room[..length],
        // It has gone, or will be seen to have.
        Ok(Err(_)) if question.http => return Look::Http,
        Ok(Err(_)) | Err(_) => return nothing(),
    };
    if question.http && may_be_http(first) {
        return Look::Http;
    }
    if question.name && first.first() == Some(&HANDSHAKE) {
        return Look::Other(read_hello(io, question.hello).await);
    }
    nothing()
}

/// The first bytes as soon as there are some, which stay where they are; 0 at the end of the stream.
async fn peek(io: &Io, room: &mut [u8]) -> io::Result<usize> {
    poll_fn(|cx| {
        loop {
            std::task::ready!(io.poll_read_ready(cx))?;
            match io.try_peek_into(room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                peeked => return Poll::Ready(peeked),
            }
        }
    })
    .await
}

/// Reads the hello of TLS. What is none by `limit`, or breaks off, has no name.
async fn read_hello(io: &Io, limit: Duration) -> Ahead {
    let mut bytes = BytesMut::with_capacity(HELLO);
    let reading = poll_fn(|cx| {
        loop {
            match Hello::read(&bytes) {
                Hello::Named(name) => return Poll::Ready(Some(name)),
                Hello::Nameless | Hello::Other => return Poll::Ready(None),
                Hello::Incomplete => {}
            }
            if bytes.capacity() == bytes.len() {
                bytes.reserve(HELLO);
            }
            let most = hello::MOST - bytes.len();
            match std::task::ready!(io.poll_read_most(cx, &mut bytes, most)) {
                Ok(0) | Err(_) => return Poll::Ready(None),
                Ok(_) => {}
            }
        }
    });
    let name = tokio::time::timeout(limit, reading).await.ok().flatten();
    Ahead { bytes, name }
}

/// Whether a request can begin so: a method in capitals, a space, and a target (RFC 9112, section 3), as does the
/// preface of HTTP/2. What is too short to tell is taken for one.
fn may_be_http(first: &[u8]) -> bool {
    // Some callers send an empty line ahead (RFC 9112, section 2.2).
    let line = first.strip_prefix(b"\r\n").unwrap_or(first);
    let is_method = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'-' || *byte == b'_';
    let Some(end) = line.iter().position(|byte| !is_method(byte)) else {
        return true;
    };
    let target = &line[end + 1..];
    let begins = |with: &[u8]| target.starts_with(with) || with.starts_with(target);
    let is_target = begins(b"/") || begins(b"*") || begins(b"http");
    end > 0 && line[end] == b' ' && (is_target || line.starts_with(b"CONNECT "))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixStream;

    use super::*;

    const QUESTION: Question = Question {
        http: true,
        name: true,
        silence: Duration::from_secs(1),
        hello: Duration::from_secs(1),
    };

    async fn of(bytes: &[u8], question: Question) -> Option<(Vec<u8>, Option<String>)> {
        let (mut caller, socket) = UnixStream::pair().unwrap();
        caller.write_all(bytes).await.unwrap();
        match look(&Io::Unix(socket), question).await {
            Look::Http => None,
            Look::Other(ahead) => Some((ahead.bytes.to_vec(), ahead.name)),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_waits_for_the_server_and_broken_tls_has_no_name() {
        let nothing = Some((Vec::new(), None));
        assert_eq!(of(b"", QUESTION).await, nothing);
        assert_eq!(of(b"SSH-2.0\r\n", QUESTION).await, nothing);
        assert_eq!(of(b"GET / HTTP/1.1\r\n", QUESTION).await, None);
        let passed_on = Question {
            http: false,
            ..QUESTION
        };
        assert_eq!(of(b"GET / HTTP/1.1\r\n", passed_on).await, nothing);
        for broken in [
            &b"\x16\x03\x01\x00\x04\x02"[..],
            b"\x16\x03\x01\x00\x90\x01",
        ] {
            assert_eq!(of(broken, QUESTION).await, Some((broken.to_vec(), None)));
        }
        let unread = Question {
            name: false,
            ..QUESTION
        };
        assert_eq!(of(b"\x16\x03\x01\x00\x90\x01", unread).await, nothing);
    }

    #[test]
    fn requests_are_told_from_other_protocols() {
        for http in [
            "GET / HTTP/1.1\r\n",
            "GET http://a/ HTTP/1.1\r\n",
            "\r\nGET / HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "CONNECT a:443 HTTP/1.1",
            "VERSION-CONTROL / HTTP/1.1",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "G",
            "GET ",
            "GET h",
        ] {
            assert!(may_be_http(http.as_bytes()), "{http}");
        }
        for other in [
            &b"\x16\x03\x01\x02\x00\x01"[..],
            b"SSH-2.0-OpenSSH_9.2",
            b"EHLO me\r\n",
            b"PING\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"get key\r\n",
            b"\0\0\0\x08\x04\xd2\x16\x2f",
            b"NICK someone\r\n",
            b"AMQP\0\0\x09\x01",
        ] {
            assert!(!may_be_http(other), "{other:?}");
        }
    }
}
