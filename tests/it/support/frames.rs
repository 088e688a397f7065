//! HTTP/2 frame by frame (RFC 9113, section 4.1), for what a library's client hides.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::wait::LIMIT;

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const PING: u8 = 0x6;
pub const GOAWAY: u8 = 0x7;

pub const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const ACK: u8 = 0x1;

/// One connection, of either end.
pub struct FrameClient {
    socket: TcpStream,
    next_stream: u32,
}

#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl FrameClient {
    /// Connects and sends the preface with empty settings.
    pub fn connect(address: SocketAddr) -> FrameClient {
        let socket = TcpStream::connect(address).expect("the listener accepts");
        let mut client = FrameClient::over(socket);
        client.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        client.send(SETTINGS, 0, 0, &[]);
        client
    }

    /// Over a connection on which something else was sent.
    pub fn over(socket: TcpStream) -> FrameClient {
        socket
            .set_read_timeout(Some(LIMIT))
            .expect("a connected socket");
        FrameClient {
            socket,
            next_stream: 1,
        }
    }

    /// The other end: accepts a connection, takes its preface and sends empty settings.
    pub fn accept(listener: &TcpListener) -> FrameClient {
        let (mut socket, _) = listener.accept().expect("a caller");
        socket
            .set_read_timeout(Some(LIMIT))
            .expect("a connected socket");
        socket.read_exact(&mut [0; 24]).expect("the preface");
        let mut peer = FrameClient {
            socket,
            next_stream: 2,
        };
        peer.send(SETTINGS, 0, 0, &[]);
        peer
    }

    /// Answers 200 without a body.
    pub fn answer(&mut self, stream: u32) {
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &[0x88]);
    }

    /// Resets a stream of which nothing was processed (REFUSED_STREAM, RFC 9113 section 8.7).
    pub fn refuse(&mut self, stream: u32) {
        self.send(RST_STREAM, 0, stream, &7u32.to_be_bytes());
    }

    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a small payload");
        let mut frame = length.to_be_bytes()[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.write(&frame);
    }

    /// Starts a GET and gives back its stream.
    pub fn get(&mut self, path: &str) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        // HPACK (RFC 7541): GET and http from the static table, the others as literals with a name from it.
        let mut block = vec![0x82, 0x86];
        for (name, value) in [(4, path), (1, "localhost")] {
            block.extend_from_slice(&[name, u8::try_from(value.len()).expect("a short value")]);
            block.extend_from_slice(value.as_bytes());
        }
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &block);
        stream
    }

    /// Gives the stream up (CANCEL, RFC 9113 section 7).
    pub fn cancel(&mut self, stream: u32) {
        self.send(RST_STREAM, 0, stream, &8u32.to_be_bytes());
    }

    /// The next frame of that kind, answering settings and pings on the way; none when the peer closes first.
    pub fn next(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.read_frame()?;
            if frame.flags & ACK == 0 && matches!(frame.kind, SETTINGS | PING) {
                let payload = if frame.kind == PING {
                    frame.payload.clone()
                } else {
                    Vec::new()
                };
                self.send(frame.kind, ACK, 0, &payload);
            }
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    fn read_frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.socket.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.socket.read_exact(&mut payload).ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    fn write(&mut self, bytes: &[u8]) {
        // A peer that has closed is seen when reading.
        let _seen_when_reading = self.socket.write_all(bytes);
    }
}
