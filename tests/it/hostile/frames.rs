//! HTTP/2 as nobody should speak it (RFC 9113): a preface, and frames of any kind in any order.

use fastrand::Rng;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

pub fn connection(random: &mut Rng) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    if random.u8(..20) > 0 {
        put(&mut bytes, SETTINGS, 0, 0, &[]);
    }
    let mut stream = 1;
    for _ in 0..random.usize(..12) {
        match random.u8(..4) {
            0 | 1 => {
                exchange(random, &mut bytes, stream);
                stream += 2;
            }
            _ => any_frame(random, &mut bytes, stream),
        }
    }
    bytes
}

/// Whether some settings may leave no room for answers: that of a stream's window, with a small number.
pub fn may_stop_answers(bytes: &[u8]) -> bool {
    bytes.windows(6).any(|w| w[..5] == [0, 4, 0, 0, 0])
}

/// A sound request, whose end may be missing.
fn exchange(random: &mut Rng, bytes: &mut Vec<u8>, stream: u32) {
    let has_body = random.bool();
    let mut block = if has_body {
        vec![0x83, 0x86]
    } else {
        vec![0x82, 0x86]
    };
    put_literal(&mut block, 4, b"/h2");
    put_literal(&mut block, 1, b"localhost");
    if random.u8(..4) == 0 {
        put_field(&mut block, &any_name(random), &any_bytes(random, 20));
    }
    let flags = if has_body {
        END_HEADERS
    } else {
        END_HEADERS | END_STREAM
    };
    match random.u8(..4) {
        0 => {
            let cut = random.usize(..block.len());
            put(bytes, HEADERS, flags & !END_HEADERS, stream, &block[..cut]);
            put(bytes, CONTINUATION, END_HEADERS, stream, &block[cut..]);
        }
        _ => put(bytes, HEADERS, flags, stream, &block),
    }
    if has_body {
        let flags = if random.u8(..4) == 0 { 0 } else { END_STREAM };
        put(bytes, DATA, flags, stream, &any_bytes(random, 2_000));
    }
}

/// Any kind, any flags, about any stream, with a payload that may fit.
fn any_frame(random: &mut Rng, bytes: &mut Vec<u8>, next_stream: u32) {
    let stream = match random.u8(..4) {
        0 => 0,
        1 => random.u32(..),
        _ => random.u32(..next_stream + 2),
    };
    let word = random.u32(..);
    let (kind, flags, payload) = match random.u8(..9) {
        0 => (SETTINGS, 0, setting(random)),
        1 => (WINDOW_UPDATE, 0, word.to_be_bytes().to_vec()),
        2 => (RST_STREAM, 0, word.to_be_bytes().to_vec()),
        3 => (PING, random.u8(..2), any_bytes(random, 9)),
        4 => (GOAWAY, 0, any_bytes(random, 12)),
        5 => (DATA, random.u8(..), any_bytes(random, 400)),
        6 => (HEADERS, random.u8(..), any_bytes(random, 60)),
        7 => (CONTINUATION, random.u8(..), any_bytes(random, 60)),
        _ => (random.u8(..), random.u8(..), any_bytes(random, 60)),
    };
    let start = bytes.len();
    put(bytes, kind, flags, stream, &payload);
    // Its length may be a lie.
    if random.u8(..12) == 0 {
        bytes[start + random.usize(..3)] = random.u8(..);
    }
}

fn setting(random: &mut Rng) -> Vec<u8> {
    let value = if random.bool() {
        random.u32(..)
    } else {
        random.u32(..3)
    };
    let mut payload = random.u16(..9).to_be_bytes().to_vec();
    payload.extend_from_slice(&value.to_be_bytes());
    payload
}

fn any_name(random: &mut Rng) -> Vec<u8> {
    let names = [
        &b"x-a"[..],
        b"X-A",
        b"connection",
        b"transfer-encoding",
        b"content-length",
        b"content_length",
        b"host",
        b":path",
        b":method",
        b"te",
        b"x a",
        b"",
    ];
    random.choice(names).unwrap_or_default().to_vec()
}

fn any_bytes(random: &mut Rng, most: usize) -> Vec<u8> {
    (0..random.usize(..most)).map(|_| random.u8(..)).collect()
}

/// A field with a name of the static table (RFC 7541, section 6.2.2).
fn put_literal(block: &mut Vec<u8>, name: u8, value: &[u8]) {
    block.push(name);
    put_string(block, value);
}

fn put_field(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0);
    put_string(block, name);
    put_string(block, value);
}

/// Shorter than 127 bytes, and not Huffman-coded.
fn put_string(block: &mut Vec<u8>, text: &[u8]) {
    block.push(text.len() as u8);
    block.extend_from_slice(text);
}

fn put(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = payload.len() as u32;
    bytes.extend_from_slice(&length.to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}
