//! What hostile callers send: good requests, and what random changes make of them.

use std::fmt::{self, Display, Formatter};

use fastrand::Rng;

use super::frames;

/// What one caller does on a connection.
pub struct Case {
    pub bytes: Vec<u8>,
    /// Where the bytes are cut into pieces that are written one by one, in order.
    pub cuts: Vec<usize>,
    pub ending: Ending,
    pub http2: bool,
}

/// What the caller does once it has sent everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Waits for all answers that are due, then closes.
    Waits,
    /// Says nothing more, and waits until the proxy closes.
    Silent,
    HalfCloses,
    Closes,
    Resets,
}

/// The listener's limit of a head, so that crossing it is cheap.
pub const MAX_HEADER_BYTES: usize = 4 << 10;

/// Bytes of a case that are shown when it fails; its number brings back the rest.
const SHOWN: usize = 1_000;

const NASTY: &[u8] = b"\r\n\0\t :;,\x7f\x80\xff\x0b%#?/\\\"";

/// Lines that a head may get in addition.
const LINES: [&str; 27] = [
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding:\tchunked",
    "Transfer-Encoding : chunked",
    "Transfer_Encoding: chunked",
    "Content-Length: 5",
    "Content-Length: 0",
    "Content-Length: 5, 5",
    "Content-Length: +5",
    "Content_Length: 5",
    "Connection: close",
    "Connection: upgrade",
    "Connection: host, content-length, transfer-encoding",
    "Connection: keep-alive, te",
    "Upgrade: websocket",
    "Upgrade: h2c",
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "Expect: 100-continue",
    "Expect: something",
    "TE: trailers",
    "Trailer: x-end",
    "Host: other",
    "X-Forwarded-For: 1.2.3.4, x",
    "Cookie: a=b",
    " folded",
];

const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "00000005",
    "-1",
    "+5",
    "0x5",
    "5 5",
    "",
    "7fffffffffffffff",
    "ffffffffffffffff",
    "10000000000000000",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
];

impl Case {
    /// The case of that number; the same one for the same seed.
    pub fn new(seed: u64, number: u64) -> Case {
        let mut random = Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let http2 = random.u8(..10) == 0;
        let mut bytes = if http2 {
            frames::connection(&mut random)
        } else {
            good(&mut random, number)
        };
        let changes = match random.u8(..10) {
            0..2 => 0,
            2..7 => 1,
            7..9 => 2,
            _ => random.usize(3..8),
        };
        for _ in 0..changes {
            if bytes.is_empty() {
                break;
            }
            if http2 {
                change_byte(&mut random, &mut bytes)
            } else {
                change(&mut random, number, &mut bytes)
            }
        }
        let ending = match random.u8(..100) {
            // A caller that takes no answer keeps its stream for as long as it stays.
            0..4 if http2 && frames::may_stop_answers(&bytes) => Ending::HalfCloses,
            0..4 => Ending::Silent,
            4..20 => Ending::HalfCloses,
            20..30 => Ending::Closes,
            30..40 => Ending::Resets,
            // Nobody counts the answers that are due to frames.
            _ if http2 => Ending::HalfCloses,
            _ => Ending::Waits,
        };
        let mut cuts: Vec<usize> = match random.u8(..8) {
            0 => (0..random.usize(1..40))
                .map(|_| random.usize(..=bytes.len()))
                .collect(),
            1..4 => vec![random.usize(..=bytes.len())],
            _ => Vec::new(),
        };
        cuts.sort_unstable();
        Case {
            bytes,
            cuts,
            ending,
            http2,
        }
    }

    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.cuts.iter().copied().chain([self.bytes.len()]);
        let starts = [0].into_iter().chain(self.cuts.iter().copied());
        starts.zip(ends).map(|(start, end)| &self.bytes[start..end])
    }
}

impl Display for Case {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let shown = &self.bytes[..self.bytes.len().min(SHOWN)];
        let (bytes, length) = (shown.escape_ascii(), self.bytes.len());
        write!(out, "{:?} after {length} bytes: {bytes}", self.ending)
    }
}

/// One sound request, or several on end.
fn good(random: &mut Rng, number: u64) -> Vec<u8> {
    let count = match random.u8(..8) {
        0 => 3,
        1..3 => 2,
        _ => 1,
    };
    (0..count).flat_map(|_| one(random, number)).collect()
}

fn one(random: &mut Rng, number: u64) -> Vec<u8> {
    let head = |line: &str, fields: &str| {
        format!("{line}\r\nHost: localhost\r\nX-Case: {number}\r\n{fields}\r\n")
    };
    let get = |line: &str| head(line, "");
    let post = |fields: &str, body: &str| head("POST /post?a=b HTTP/1.1", fields) + body;
    let text = match random.u8(..18) {
        0 => get("GET / HTTP/1.1"),
        1 => get("GET /a/b%20c?d=e HTTP/1.1"),
        2 => head(
            "GET / HTTP/1.1",
            "Accept: */*\r\nTE: trailers\r\nCookie: a=b\r\n",
        ),
        3 => get("HEAD /head HTTP/1.1"),
        4 => get("OPTIONS * HTTP/1.1"),
        5 => get("GET http://localhost/absolute?a HTTP/1.1"),
        6 => get("DELETE /a/../b/./c HTTP/1.1"),
        7 => post("Content-Length: 5\r\n", "hello"),
        8 => {
            let length = random.usize(..20_000);
            post(
                &format!("Content-Length: {length}\r\n"),
                &"x".repeat(length),
            )
        }
        9 => post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        10 => post(
            "Transfer-Encoding: chunked\r\nTE: trailers\r\nTrailer: x-end\r\n",
            "5;a=b;c=\"d\"\r\nhello\r\n00a\r\n0123456789\r\n0\r\nX-End: yes\r\n\r\n",
        ),
        11 => post("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello"),
        12 => {
            head(
                "GET /upgrade HTTP/1.1",
                "Connection: Upgrade\r\nUpgrade: websocket\r\n",
            ) + "raw bytes"
        }
        16 => post(
            "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 5\r\n",
            "helloraw bytes",
        ),
        17 => post(
            "Connection: Upgrade\r\nUpgrade: tcp\r\nTransfer-Encoding: chunked\r\n",
            "5\r\nhello\r\n0\r\n\r\nraw bytes",
        ),
        13 => get("GET /old HTTP/1.0"),
        14 => {
            head(
                "POST /old HTTP/1.0",
                "Connection: keep-alive\r\nContent-Length: 5\r\n",
            ) + "hello"
        }
        _ => format!(
            "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\nX-Case: {number}\r\n\r\n"
        ),
    };
    text.into_bytes()
}

fn change(random: &mut Rng, number: u64, bytes: &mut Vec<u8>) {
    let at = random.usize(..bytes.len());
    match random.u8(..20) {
        0..4 => bytes.truncate(at),
        4..10 => change_byte(random, bytes),
        10 => swap_lines(random, bytes),
        11 => double_line(random, bytes),
        12..14 => number_becomes(random, bytes),
        14..16 => {
            let line = format!("{}\r\n", random.choice(LINES).unwrap_or_default());
            insert_line(random, bytes, line.as_bytes());
        }
        16 => grow(random, bytes),
        17 => {
            let other = one(random, number);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[random.usize(..other.len())..]);
        }
        18 => lose_a_carriage_return(random, bytes),
        _ => {
            let end = (at + random.usize(1..40)).min(bytes.len());
            let doubled = bytes[at..end].to_vec();
            bytes.splice(at..at, doubled);
        }
    }
}

fn change_byte(random: &mut Rng, bytes: &mut Vec<u8>) {
    // A large body is the least interesting place.
    let at = random.usize(..bytes.len().min(600));
    let nasty = NASTY[random.usize(..NASTY.len())];
    match random.u8(..6) {
        0 => bytes[at] ^= 1 << random.u8(..8),
        1 => bytes[at] = nasty,
        2..4 => bytes.insert(at, nasty),
        4 => bytes.insert(at, bytes[at]),
        _ => {
            bytes.remove(at);
        }
    }
}

/// Where lines begin.
fn line_starts(bytes: &[u8]) -> Vec<usize> {
    let behind = bytes
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| *pair == b"\r\n")
        .map(|(at, _)| at + 2);
    [0].into_iter().chain(behind).collect()
}

/// A line with its end, by chance.
fn some_line(random: &mut Rng, bytes: &[u8]) -> std::ops::Range<usize> {
    let starts = line_starts(bytes);
    let index = random.usize(..starts.len());
    let end = starts.get(index + 1).copied().unwrap_or(bytes.len());
    starts[index]..end
}

fn insert_line(random: &mut Rng, bytes: &mut Vec<u8>, line: &[u8]) {
    let at = some_line(random, bytes).start;
    bytes.splice(at..at, line.iter().copied());
}

fn double_line(random: &mut Rng, bytes: &mut Vec<u8>) {
    let line = some_line(random, bytes);
    let doubled = bytes[line.clone()].to_vec();
    bytes.splice(line.start..line.start, doubled);
}

fn swap_lines(random: &mut Rng, bytes: &mut Vec<u8>) {
    let line = some_line(random, bytes);
    let moved: Vec<u8> = bytes.drain(line).collect();
    insert_line(random, bytes, &moved);
}

/// Some run of digits becomes another number.
fn number_becomes(random: &mut Rng, bytes: &mut Vec<u8>) {
    let is_start = |at: &usize| {
        bytes[*at].is_ascii_hexdigit()
            && matches!(at.checked_sub(1).map(|b| bytes[b]), Some(b' ' | b'\n'))
    };
    let starts: Vec<usize> = (0..bytes.len().min(600)).filter(is_start).collect();
    let Some(start) = random.choice(&starts).copied() else {
        return;
    };
    let length = bytes[start..]
        .iter()
        .take_while(|b| b.is_ascii_hexdigit())
        .count();
    let number = random.choice(NUMBERS).unwrap_or_default();
    bytes.splice(start..start + length, number.bytes());
}

/// Something becomes longer than anybody accepts, or nearly so.
fn grow(random: &mut Rng, bytes: &mut Vec<u8>) {
    let length = random.usize(MAX_HEADER_BYTES - 300..MAX_HEADER_BYTES + 300);
    match random.u8(..5) {
        0 => insert_line(
            random,
            bytes,
            format!("X-A: {}\r\n", "a".repeat(length)).as_bytes(),
        ),
        1 => insert_line(random, bytes, "A: b\r\n".repeat(length / 6).as_bytes()),
        2 => insert_line(
            random,
            bytes,
            format!("{}: a\r\n", "a".repeat(length)).as_bytes(),
        ),
        3 => {
            let at = random.usize(..bytes.len());
            bytes.splice(at..at, std::iter::repeat_n(b'a', length));
        }
        _ => {
            let ending = format!("1;{}\r\nx\r\n", "a".repeat(4 * length));
            insert_line(random, bytes, ending.as_bytes());
        }
    }
}

fn lose_a_carriage_return(random: &mut Rng, bytes: &mut Vec<u8>) {
    let start = some_line(random, bytes).end;
    if let Some(at) = start.checked_sub(2).filter(|at| bytes[*at] == b'\r') {
        bytes.remove(at);
    }
}
