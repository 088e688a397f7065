//! The far end of a connection, frame by frame.

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::frame::{self, ACK, Code, END_HEADERS, END_STREAM, HEAD, Head, PREFACE};
use super::hpack::decode::{Block, Decoder};
use super::hpack::encode::Encoder;
use crate::net::io::Io;

pub(super) struct Far {
    socket: UnixStream,
    read: BytesMut,
    decoder: Decoder,
    encoder: Encoder,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Fields as `name: value`, and whether they end the stream.
    Headers(u32, Vec<String>, bool),
    Data(u32, Vec<u8>, bool),
    Reset(u32, Code),
    Window(u32, u32),
    Goaway(u32, Code),
    /// What the payload says.
    Ping(u8, Vec<u8>),
    Settings(Vec<u8>),
    SettingsAck,
    Closed,
}

impl Event {
    pub fn is_news(&self) -> bool {
        !matches!(
            self,
            Event::Settings(_) | Event::SettingsAck | Event::Window(..)
        )
    }
}

/// A connection, and its far end.
pub(super) fn pair() -> (Io, Far) {
    let (near, far) = UnixStream::pair().unwrap();
    (Io::Unix(near), Far::new(far))
}

/// A frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::put(&mut out, kind, flags, stream, payload);
    out
}

pub(super) fn setting(key: u16, value: u32) -> Vec<u8> {
    let payload = [&key.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(frame::SETTINGS, 0, 0, &payload)
}

pub(super) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(frame::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub(super) fn reset(stream: u32, code: Code) -> Vec<u8> {
    frame(frame::RST_STREAM, 0, stream, &code.0.to_be_bytes())
}

pub(super) fn ping(payload: &[u8; 8]) -> Vec<u8> {
    frame(frame::PING, 0, 0, payload)
}

/// A block of fields that changes no table.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        Encoder::default().field(&mut out, name.as_bytes(), value.as_bytes());
    }
    out
}

pub(super) fn headers(stream: u32, ends: bool, fields: &[(&str, &str)]) -> Vec<u8> {
    let end = if ends { END_STREAM } else { 0 };
    frame(frame::HEADERS, END_HEADERS | end, stream, &block(fields))
}

pub(super) fn get(stream: u32) -> Vec<u8> {
    headers(
        stream,
        true,
        &[(":method", "GET"), (":scheme", "http"), (":path", "/")],
    )
}

/// A request whose body follows.
pub(super) fn post(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    let start = [(":method", "POST"), (":scheme", "http"), (":path", "/")];
    headers(stream, false, &[&start, fields].concat())
}

pub(super) fn data(stream: u32, ends: bool, content: &[u8]) -> Vec<u8> {
    let flags = if ends { END_STREAM } else { 0 };
    frame(frame::DATA, flags, stream, content)
}

impl Far {
    pub fn new(socket: UnixStream) -> Self {
        Far {
            socket,
            read: BytesMut::new(),
            decoder: Decoder::default(),
            encoder: Encoder::default(),
        }
    }

    /// Sends what a client begins with.
    pub async fn greet(&mut self, settings: &[u8]) {
        self.send(PREFACE).await;
        self.send(settings).await;
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A peer that has closed is seen when reading.
        let _seen_when_reading = self.socket.write_all(bytes.as_ref()).await;
    }

    /// Ends the sending side.
    pub async fn end(&mut self) {
        self.socket.shutdown().await.unwrap();
    }

    /// Sends what the socket takes, and has nothing else run meanwhile.
    pub fn send_at_once(&self, bytes: &[u8]) {
        assert_eq!(self.socket.try_write(bytes).unwrap(), bytes.len());
    }

    /// Sends fields whose repetitions are indexed.
    pub async fn send_headers(&mut self, stream: u32, ends: bool, fields: &[(&str, &str)]) {
        let mut out = Vec::new();
        frame::put_headers(&mut out, stream, ends, 16 << 10, |out| {
            for (name, value) in fields {
                self.encoder.field(out, name.as_bytes(), value.as_bytes());
            }
        });
        self.send(out).await;
    }

    /// Takes the preface of a client.
    pub async fn skip_preface(&mut self) {
        while self.read.len() < PREFACE.len() {
            self.socket.read_buf(&mut self.read).await.unwrap();
        }
        assert!(self.read.starts_with(PREFACE));
        self.read.advance(PREFACE.len());
    }

    /// The next event but settings and windows.
    pub async fn news(&mut self) -> Event {
        loop {
            let event = self.next().await;
            if event.is_news() {
                return event;
            }
        }
    }

    pub async fn next(&mut self) -> Event {
        while self.read.len() < HEAD {
            if !self
                .socket
                .read_buf(&mut self.read)
                .await
                .is_ok_and(|n| n > 0)
            {
                return Event::Closed;
            }
        }
        let head = Head::parse(self.read.first_chunk().unwrap());
        self.read.advance(HEAD);
        while self.read.len() < head.length {
            if !self
                .socket
                .read_buf(&mut self.read)
                .await
                .is_ok_and(|n| n > 0)
            {
                return Event::Closed;
            }
        }
        let payload = self.read.split_to(head.length).to_vec();
        let ends = head.has(END_STREAM);
        match head.kind {
            frame::HEADERS => {
                assert!(head.has(END_HEADERS));
                Event::Headers(head.stream, self.fields(&payload), ends)
            }
            frame::DATA => Event::Data(head.stream, payload, ends),
            frame::RST_STREAM => Event::Reset(head.stream, Code(frame::word(&payload).unwrap())),
            frame::WINDOW_UPDATE => Event::Window(head.stream, frame::number(&payload).unwrap()),
            frame::GOAWAY => Event::Goaway(
                frame::number(&payload).unwrap(),
                Code(frame::word(&payload[4..]).unwrap()),
            ),
            frame::PING => Event::Ping(head.flags, payload),
            frame::SETTINGS if head.has(ACK) => Event::SettingsAck,
            frame::SETTINGS => Event::Settings(payload),
            other => panic!("a frame of kind {other}"),
        }
    }

    fn fields(&mut self, payload: &[u8]) -> Vec<String> {
        let mut block = Block::default();
        block.clear(1 << 20);
        self.decoder.decode(payload, &mut block).unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let fields = block.fields.iter();
        fields
            .map(|field| {
                let (name, value) = (field.name(&block.bytes), field.value(&block.bytes));
                format!("{}: {}", text(name), text(value))
            })
            .collect()
    }
}
