//! HTTP/1.1 as bytes: heads kept exactly as they came, bodies by their framing (RFC 9112, section 6).

use std::io::{self, Read, Write};

use super::socket::Socket;

/// The head of a message, or a trailer section.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Request line or status line; empty for trailers.
    pub start: String,
    pub fields: Vec<(String, String)>,
    /// Every byte, the empty line included.
    pub raw: Vec<u8>,
}

impl Head {
    fn parse(raw: Vec<u8>) -> Head {
        let text = String::from_utf8_lossy(&raw).into_owned();
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        Head {
            start,
            fields: lines.filter_map(field).collect(),
            raw,
        }
    }

    /// The first value under this name, whatever its case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// Whether a comma-separated list under this name holds `token`.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .iter()
            .flat_map(|value| value.split(','))
            .any(|listed| listed.trim().eq_ignore_ascii_case(token))
    }

    /// The word at this place of the start line.
    pub fn word(&self, index: usize) -> &str {
        self.start.split(' ').nth(index).unwrap_or_default()
    }

    /// How the body of a request with this head ends.
    pub fn request_framing(&self) -> Framing {
        match (self.get("transfer-encoding"), self.get("content-length")) {
            (Some(_), _) => Framing::Chunked,
            (None, Some(length)) => Framing::sized(length),
            (None, None) => Framing::Sized(0),
        }
    }

    /// How the body of an answer with this head to such a request ends.
    pub fn response_framing(&self, method: &str) -> Framing {
        let status = self.word(1);
        let bodiless =
            method == "HEAD" || status.starts_with('1') || status == "204" || status == "304";
        match (self.get("transfer-encoding"), self.get("content-length")) {
            _ if bodiless => Framing::Sized(0),
            (Some(_), _) => Framing::Chunked,
            (None, Some(length)) => Framing::sized(length),
            (None, None) => Framing::UntilClose,
        }
    }
}

fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_owned(), value.trim().to_owned()))
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Sized(u64),
    Chunked,
    UntilClose,
}

impl Framing {
    fn sized(length: &str) -> Framing {
        Framing::Sized(length.parse().expect("content-length is a number"))
    }
}

/// A socket, and what was read from it but not yet taken.
pub struct Wire {
    pub socket: Socket,
    buffer: Vec<u8>,
}

impl Wire {
    pub fn new(socket: Socket) -> Wire {
        Wire {
            socket,
            buffer: Vec::new(),
        }
    }

    /// The next head; none when the peer closed before its first byte.
    pub fn read_head(&mut self) -> io::Result<Option<Head>> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if self.fill()? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(cut())
                };
            }
        };
        Ok(Some(Head::parse(self.take(end))))
    }

    /// Hands each piece of the body to `piece`; gives back the trailers.
    pub fn read_body(
        &mut self,
        framing: Framing,
        piece: &mut dyn FnMut(&[u8]),
    ) -> io::Result<Head> {
        match framing {
            Framing::Sized(length) => self.read_sized(length, piece)?,
            Framing::Chunked => return self.read_chunked(piece),
            Framing::UntilClose => while self.read_some(piece)? {},
        }
        Ok(Head::default())
    }

    /// Hands what is there to `piece`, waiting for it if need be; false at the end of the stream.
    pub fn read_some(&mut self, piece: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
        if self.buffer.is_empty() && self.fill()? == 0 {
            return Ok(false);
        }
        piece(&self.buffer);
        self.buffer.clear();
        Ok(true)
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)?;
        self.socket.flush()
    }

    fn read_sized(&mut self, mut left: u64, piece: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        while left > 0 {
            if self.buffer.is_empty() && self.fill()? == 0 {
                return Err(cut());
            }
            let now = self
                .buffer
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            piece(&self.buffer[..now]);
            self.buffer.drain(..now);
            left -= now as u64;
        }
        Ok(())
    }

    fn read_chunked(&mut self, piece: &mut dyn FnMut(&[u8])) -> io::Result<Head> {
        loop {
            let line = self.read_line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| {
                io::Error::new(io::ErrorKind::InvalidData, format!("chunk size `{line}`"))
            })?;
            if size == 0 {
                return self.read_trailers();
            }
            self.read_sized(size, piece)?;
            self.read_line()?;
        }
    }

    fn read_trailers(&mut self) -> io::Result<Head> {
        let mut trailers = Head::default();
        loop {
            let line = self.read_line()?;
            match field(&line) {
                Some(field) => trailers.fields.push(field),
                None => return Ok(trailers),
            }
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line = self.take(at + 2);
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            if self.fill()? == 0 {
                return Err(cut());
            }
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut piece = [0; 64 << 10];
        let read = self.socket.read(&mut piece)?;
        self.buffer.extend_from_slice(&piece[..read]);
        Ok(read)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

fn cut() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the peer closed in the middle of a message",
    )
}
