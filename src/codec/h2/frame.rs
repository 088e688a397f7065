//! Frames: their heads, and what is common to their payloads (RFC 9113, sections 4 and 6).

/// What a client's connection begins with (RFC 9113, section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a frame's head.
pub const HEAD: usize = 9;
/// Bytes of a payload that we take: the least that a peer may count on, and enough to move bulk.
pub const MAX_PAYLOAD: usize = 16 << 10;
/// The largest stream identifier, and the largest window.
pub const MAX_31: u32 = (1 << 31) - 1;

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const PRIORITY: u8 = 0x2;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const PUSH_PROMISE: u8 = 0x5;
pub const PING: u8 = 0x6;
pub const GOAWAY: u8 = 0x7;
pub const WINDOW_UPDATE: u8 = 0x8;
pub const CONTINUATION: u8 = 0x9;

pub const ACK: u8 = 0x1;
pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;
pub const HAS_PRIORITY: u8 = 0x20;

/// Why a stream or a connection ends (RFC 9113, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u32);

impl Code {
    pub const NO_ERROR: Code = Code(0x0);
    pub const PROTOCOL_ERROR: Code = Code(0x1);
    pub const INTERNAL_ERROR: Code = Code(0x2);
    pub const FLOW_CONTROL_ERROR: Code = Code(0x3);
    pub const STREAM_CLOSED: Code = Code(0x5);
    pub const FRAME_SIZE_ERROR: Code = Code(0x6);
    pub const REFUSED_STREAM: Code = Code(0x7);
    pub const CANCEL: Code = Code(0x8);
    pub const COMPRESSION_ERROR: Code = Code(0x9);
    pub const ENHANCE_YOUR_CALM: Code = Code(0xb);
}

/// What is wrong with a frame, and how much it costs its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The whole connection (RFC 9113, section 5.4.1).
    Connection(Code, &'static str),
    /// One stream (RFC 9113, section 5.4.2).
    Stream(Code, &'static str),
}

impl Fault {
    /// What breaks the rules for the connection as a whole.
    pub const fn protocol(why: &'static str) -> Self {
        Fault::Connection(Code::PROTOCOL_ERROR, why)
    }

    pub fn why(self) -> &'static str {
        match self {
            Fault::Connection(_, why) | Fault::Stream(_, why) => why,
        }
    }

    /// A message that breaks the rules of its form (RFC 9113, section 8.1.1).
    pub const fn malformed(why: &'static str) -> Self {
        Fault::Stream(Code::PROTOCOL_ERROR, why)
    }
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub length: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl Head {
    pub fn parse(bytes: &[u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = *bytes;
        Head {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & MAX_31,
        }
    }

    pub fn bytes(self) -> [u8; HEAD] {
        let [_, a, b, c] = (self.length as u32).to_be_bytes();
        let [d, e, f, g] = self.stream.to_be_bytes();
        [a, b, c, self.kind, self.flags, d, e, f, g]
    }

    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Writes a whole frame.
pub fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    put_head(out, kind, flags, stream, payload.len());
    out.extend_from_slice(payload);
}

/// Writes the head of a frame whose payload follows.
pub fn put_head(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, length: usize) {
    let head = Head {
        length,
        kind,
        flags,
        stream,
    };
    out.extend_from_slice(&head.bytes());
}

pub fn put_reset(out: &mut Vec<u8>, stream: u32, code: Code) {
    put(out, RST_STREAM, 0, stream, &code.0.to_be_bytes());
}

pub fn put_window_update(out: &mut Vec<u8>, stream: u32, increment: u32) {
    put(out, WINDOW_UPDATE, 0, stream, &increment.to_be_bytes());
}

pub fn put_goaway(out: &mut Vec<u8>, last_stream: u32, code: Code) {
    put_goaway_because(out, last_stream, code, "");
}

/// The same with words for whoever looks for the reason.
pub fn put_goaway_because(out: &mut Vec<u8>, last_stream: u32, code: Code, why: &str) {
    put_head(out, GOAWAY, 0, 0, 8 + why.len());
    out.extend_from_slice(&last_stream.to_be_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
    out.extend_from_slice(why.as_bytes());
}

/// Writes a header block, which `encode` appends, as HEADERS and as many CONTINUATIONs as `max_payload` needs.
pub fn put_headers(
    out: &mut Vec<u8>,
    stream: u32,
    end_stream: bool,
    max_payload: usize,
    encode: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    let flags = if end_stream { END_STREAM } else { 0 };
    put_head(out, HEADERS, flags | END_HEADERS, stream, 0);
    let block = out.len();
    encode(out);
    let length = out.len() - block;
    if length <= max_payload {
        out[start..start + 3].copy_from_slice(&(length as u32).to_be_bytes()[1..]);
        return;
    }
    let whole = out.split_off(block);
    out.truncate(start);
    let mut pieces = whole.chunks(max_payload).enumerate().peekable();
    while let Some((number, piece)) = pieces.next() {
        let (kind, flags) = match number {
            0 => (HEADERS, flags),
            _ => (CONTINUATION, 0),
        };
        let last = if pieces.peek().is_none() {
            END_HEADERS
        } else {
            0
        };
        put(out, kind, flags | last, stream, piece);
    }
}

/// Where the content of a padded payload lies (RFC 9113, section 6.1).
///
/// # Errors
/// The padding is longer than the payload.
pub fn unpadded(head: Head, payload: &[u8]) -> Result<std::ops::Range<usize>, Fault> {
    if !head.has(PADDED) {
        return Ok(0..payload.len());
    }
    let padding = payload.first().map(|length| usize::from(*length));
    match padding.and_then(|padding| payload.len().checked_sub(padding)) {
        Some(end @ 1..) => Ok(1..end),
        _ => Err(Fault::protocol("padding longer than its frame")),
    }
}

/// A number of 31 bits, whose first bit is reserved.
pub fn number(payload: &[u8]) -> Option<u32> {
    let bytes = payload.first_chunk()?;
    Some(u32::from_be_bytes(*bytes) & MAX_31)
}

/// A number of 32 bits.
pub fn word(payload: &[u8]) -> Option<u32> {
    payload
        .first_chunk()
        .map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_head_is_read_as_it_was_written(length in 0..1usize << 24, kind: u8, flags: u8, stream in 0..=MAX_31) {
            let head = Head { length, kind, flags, stream };
            prop_assert_eq!(Head::parse(&head.bytes()), head);
        }

        #[test]
        fn a_long_block_is_cut_into_frames_of_their_size(length in 0..400usize, max in 1..100usize, end: bool) {
            let block: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let mut out = b"before".to_vec();
            put_headers(&mut out, 5, end, max, |out| out.extend_from_slice(&block));
            let mut rest = &out[6..];
            let mut read = Vec::new();
            let mut number = 0;
            loop {
                let head = Head::parse(rest.first_chunk().unwrap());
                prop_assert_eq!(head.kind, if number == 0 { HEADERS } else { CONTINUATION });
                prop_assert_eq!(head.kind == HEADERS && head.has(END_STREAM), end && number == 0);
                prop_assert!(head.length <= max && head.stream == 5);
                read.extend_from_slice(&rest[HEAD..HEAD + head.length]);
                rest = &rest[HEAD + head.length..];
                number += 1;
                prop_assert_eq!(head.has(END_HEADERS), rest.is_empty());
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(read, block);
        }
    }

    #[test]
    fn padding_is_no_longer_than_its_frame() {
        let head = |flags| Head {
            length: 0,
            kind: DATA,
            flags,
            stream: 1,
        };
        assert_eq!(unpadded(head(0), b"abc"), Ok(0..3));
        assert_eq!(unpadded(head(PADDED), b"\x01ab\0"), Ok(1..3));
        assert_eq!(unpadded(head(PADDED), b"\x03abc"), Ok(1..1));
        assert_eq!(unpadded(head(PADDED), b"\0"), Ok(1..1));
        assert!(unpadded(head(PADDED), b"\x01").is_err());
        assert!(unpadded(head(PADDED), b"\x04abc").is_err());
        assert!(unpadded(head(PADDED), b"").is_err());
    }
}
