//! An HTTP/1.1 client that sends exactly the bytes it is told to.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::socket::Socket;
use super::wait::LIMIT;
use super::wire::{Framing, Head, Wire};

/// One connection.
pub struct Client {
    wire: Wire,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub head: Head,
    pub body: Vec<u8>,
    /// Bytes of the body, of which only the first MiB is kept.
    pub length: u64,
    pub trailers: Head,
    /// Heads of the interim answers (1xx) before it.
    pub interim: Vec<Head>,
}

/// An answer that did not come to its end.
#[derive(Debug)]
pub struct Cut {
    /// What had arrived, when its head had.
    pub partial: Option<Box<Response>>,
    pub error: io::Error,
}

const KEPT: usize = 1 << 20;

impl Client {
    pub fn tcp(address: SocketAddr) -> Client {
        Client::try_tcp(address).unwrap_or_else(|error| panic!("connecting to {address}: {error}"))
    }

    pub fn try_tcp(address: SocketAddr) -> io::Result<Client> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        Ok(Client::new(Socket::Tcp(socket)))
    }

    pub fn unix(path: &Path) -> Client {
        Client::try_unix(path).unwrap_or_else(|e| panic!("connecting to {}: {e}", path.display()))
    }

    pub fn try_unix(path: &Path) -> io::Result<Client> {
        Ok(Client::new(Socket::Unix(UnixStream::connect(path)?)))
    }

    pub(super) fn new(socket: Socket) -> Client {
        socket
            .set_read_timeout(Some(LIMIT))
            .expect("a connected socket");
        Client {
            wire: Wire::new(socket),
        }
    }

    /// Sends exactly these bytes. A peer that has closed already is seen when reading.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Client {
        let _seen_when_reading = self.wire.write(bytes.as_ref());
        self
    }

    /// Sends as [`Client::send`] does, and says whether the peer still took it.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.write(bytes.as_ref())
    }

    pub fn get(&mut self, target: &str) -> Response {
        self.request("GET", target, &[], "")
    }

    /// Sends a request with `Host: localhost` (unless the headers say otherwise) and a sized body, and reads
    /// its answer.
    pub fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        self.send_request(method, target, headers, body)
            .read_answer_to(method)
    }

    /// The first half of [`Client::request`].
    pub fn send_request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> &mut Client {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            head.push_str("Host: localhost\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        self.send(format!("{head}\r\n{body}"))
    }

    /// The next answer, which must be whole.
    pub fn read_answer(&mut self) -> Response {
        self.read_answer_to("GET")
    }

    /// The next answer, to a request with this method.
    pub fn read_answer_to(&mut self, method: &str) -> Response {
        self.try_answer_to(method)
            .unwrap_or_else(|cut| panic!("a whole answer to {method}: {cut}"))
    }

    /// The next answer, which may be cut.
    pub fn try_answer(&mut self) -> Result<Response, Cut> {
        self.try_answer_to("GET")
    }

    pub fn try_answer_to(&mut self, method: &str) -> Result<Response, Cut> {
        let mut interim = Vec::new();
        let head = loop {
            let head = match self.wire.read_head() {
                Ok(Some(head)) => head,
                Ok(None) => return Err(Cut::before_head(io::ErrorKind::UnexpectedEof.into())),
                Err(error) => return Err(Cut::before_head(error)),
            };
            match head.word(1) {
                "101" => break head,
                status if status.starts_with('1') => interim.push(head),
                _ => break head,
            }
        };
        let framing = head.response_framing(method);
        let mut response = Response {
            status: head.word(1).parse().expect("a status of three digits"),
            head,
            body: Vec::new(),
            length: 0,
            trailers: Head::default(),
            interim,
        };
        let read = self
            .wire
            .read_body(framing, &mut |piece| response.add(piece));
        match read {
            Ok(trailers) => {
                response.trailers = trailers;
                Ok(response)
            }
            Err(error) => Err(Cut {
                partial: Some(Box::new(response)),
                error,
            }),
        }
    }

    /// The next head, leaving its body to be read by [`Client::read_bytes`].
    pub fn read_head(&mut self) -> Head {
        match self.wire.read_head() {
            Ok(Some(head)) => head,
            other => panic!("a response head: {other:?}"),
        }
    }

    /// Exactly so many raw bytes.
    pub fn read_bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.wire
            .read_body(Framing::Sized(length as u64), &mut |piece| {
                bytes.extend_from_slice(piece)
            })
            .unwrap_or_else(|error| {
                panic!(
                    "{length} bytes: {error}, after {:?}",
                    String::from_utf8_lossy(&bytes)
                )
            });
        bytes
    }

    /// Every raw byte until the peer ends its side. An RST counts as the end too.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            match self
                .wire
                .read_some(&mut |piece| bytes.extend_from_slice(piece))
            {
                Ok(true) => {}
                Ok(false) => return bytes,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return bytes,
                Err(error) => panic!(
                    "the end of the stream: {error}, after {:?}",
                    String::from_utf8_lossy(&bytes)
                ),
            }
        }
    }

    /// Whether the peer has closed, or closes within `limit`. Bytes that come first are lost.
    pub fn closes_within(&mut self, limit: Duration) -> bool {
        self.set_read_limit(limit);
        let closed = loop {
            match self.wire.read_some(&mut |_| {}) {
                Ok(true) => {}
                Ok(false) => break true,
                Err(error) => break error.kind() == io::ErrorKind::ConnectionReset,
            }
        };
        self.set_read_limit(LIMIT);
        closed
    }

    /// Ends the sending side.
    pub fn half_close(&mut self) {
        self.wire
            .socket
            .shutdown(Shutdown::Write)
            .expect("a connected socket");
    }

    /// Closes with RST.
    pub fn reset(self) {
        self.wire
            .socket
            .reset_on_close()
            .expect("a connected socket");
    }

    /// A second handle, to write from another thread while this one reads.
    pub fn writer(&self) -> Client {
        Client {
            wire: Wire::new(self.wire.socket.try_clone().expect("a connected socket")),
        }
    }

    fn set_read_limit(&self, limit: Duration) {
        self.wire
            .socket
            .set_read_timeout(Some(limit))
            .expect("a connected socket");
    }
}

impl Response {
    fn add(&mut self, piece: &[u8]) {
        let room = KEPT - self.body.len();
        self.body.extend_from_slice(&piece[..piece.len().min(room)]);
        self.length += piece.len() as u64;
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("a JSON body: {error}: {}", self.text()))
    }

    /// Why the proxy refused, when it did.
    pub fn reason(&self) -> Option<&str> {
        self.header("outrigger-reason")
    }

    /// Panics unless this is the proxy's own refusal of that kind.
    pub fn assert_refused(&self, status: u16, reason: &str) {
        assert_eq!(
            (self.status, self.reason()),
            (status, Some(reason)),
            "{}",
            String::from_utf8_lossy(&self.head.raw)
        );
    }
}

impl Cut {
    fn before_head(error: io::Error) -> Cut {
        Cut {
            partial: None,
            error,
        }
    }
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.partial {
            None => write!(f, "{} before its head was whole", self.error),
            Some(partial) => write!(
                f,
                "{} after {} bytes of the body of {:?}",
                self.error, partial.length, partial.head.start
            ),
        }
    }
}
