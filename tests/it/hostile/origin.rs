//! An origin that answers whatever is sound, says in its answer what it has read, and remembers what was not sound.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::reading::{self, Body, Framing, Head, Reading};

/// In the answer: what the origin has read of the request.
pub const SEEN: &str = "x-seen";
/// What stands for the body in an answer that did not wait for it.
pub const UNREAD: &str = "unread";

pub struct Origin {
    address: SocketAddr,
    complaints: Complaints,
}

type Complaints = Arc<Mutex<Vec<String>>>;

impl Origin {
    /// Lives as long as the test's process.
    pub fn start() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let complaints = Complaints::default();
        let shared = complaints.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let complaints = shared.clone();
                std::thread::spawn(move || serve(socket, &complaints));
            }
        });
        Origin {
            address,
            complaints,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What arrived and was not sound.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }
}

/// What an origin tells of a request: its method, the case that it belongs to, and its body if it was read.
pub fn seen(head: &Head, body: Option<&[u8]>) -> String {
    let cases: Vec<String> = head
        .all("x-case")
        .map(|case| case.escape_ascii().to_string())
        .collect();
    let body = match body {
        Some(body) => format!("{}:{:x}", body.len(), digest(body)),
        None => UNREAD.to_owned(),
    };
    format!("{}|{}|{body}", head.word(0).escape_ascii(), cases.join(","))
}

fn serve(mut socket: TcpStream, complaints: &Complaints) {
    let mut buffer = Vec::new();
    loop {
        match exchange(&mut socket, &mut buffer) {
            Ok(true) => {}
            Ok(false) => return,
            Err(why) => {
                let bytes = buffer.escape_ascii();
                complaints.lock().unwrap().push(format!("{why}: {bytes}"));
                return;
            }
        }
    }
}

/// One request and its answer. False at the connection's end.
fn exchange(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<bool, &'static str> {
    let Some((head, length)) = read(socket, buffer, reading::request_head)? else {
        return Ok(false);
    };
    if buffer.starts_with(b"\r") {
        return Err("an empty line before a request");
    }
    check(&head)?;
    let framing = head.framing()?.unwrap_or(Framing::Length(0));
    let case = digest(head.first("x-case").unwrap_or_default());
    let manner = case % 4;
    let switches = head.first("upgrade").is_some() && manner < 3;
    let is_early = manner == 0 && framing != Framing::Length(0);
    let answer = if switches { agree } else { answer };
    if is_early && !answer(socket, &head, None, manner) {
        return Ok(false);
    }
    let Some((body, taken)) = read(socket, buffer, |bytes| {
        reading::body(&bytes[length..], framing)
    })?
    else {
        return Ok(false);
    };
    check_body(&body)?;
    if !is_early && !answer(socket, &head, Some(&body.data), manner) {
        return Ok(false);
    }
    buffer.drain(..length + taken);
    if switches {
        tunnel(socket, &seen(&head, Some(&body.data)), buffer);
    }
    Ok(!switches)
}

/// What a sound request of a proxy looks like, beyond being sound.
fn check(head: &Head) -> Result<(), &'static str> {
    head.framing()?;
    if head.word(2) != b"HTTP/1.1" {
        return Err("another version");
    }
    if !head.word(1).iter().all(u8::is_ascii_graphic) {
        return Err("a target with bytes that no target has");
    }
    let is_framing = |name: &str| {
        name.contains('_')
            && matches!(
                &name.replace('_', "-")[..],
                "content-length" | "transfer-encoding"
            )
    };
    if head.fields.iter().any(|(name, _)| is_framing(name)) {
        return Err("a field that some read as framing");
    }
    let hop_by_hop = ["keep-alive", "proxy-connection", "http2-settings"];
    if hop_by_hop.iter().any(|name| head.first(name).is_some()) {
        return Err("a field that was for one hop only");
    }
    let named = ["te", "upgrade"].into_iter();
    let wanted: Vec<&str> = named.filter(|name| head.first(name).is_some()).collect();
    let wanted = Some(wanted.join(", ")).filter(|wanted| !wanted.is_empty());
    if head.first("connection") == wanted.as_ref().map(String::as_bytes) {
        Ok(())
    } else {
        Err("a Connection that is not this hop's")
    }
}

fn check_body(body: &Body) -> Result<(), &'static str> {
    if body.extended {
        return Err("a chunk extension, which is for one hop only");
    }
    let steers = ["content-length", "transfer-encoding", "host", "connection"];
    if body
        .trailers
        .iter()
        .any(|(name, _)| steers.contains(&&name[..]))
    {
        Err("a trailer that steers framing or routing")
    } else {
        Ok(())
    }
}

/// Reads until `look` is satisfied; none when the connection ends first, in the middle of a message or before it.
fn read<T>(
    socket: &mut TcpStream,
    buffer: &mut Vec<u8>,
    look: impl Fn(&[u8]) -> Reading<T>,
) -> Result<Option<(T, usize)>, &'static str> {
    loop {
        match look(buffer) {
            Reading::Whole(found, length) => return Ok(Some((found, length))),
            Reading::Malformed(why) => return Err(why),
            Reading::Partial => {}
        }
        let mut piece = [0; 16 << 10];
        match socket.read(&mut piece) {
            Ok(read @ 1..) => buffer.extend_from_slice(&piece[..read]),
            Ok(_) | Err(_) => return Ok(None),
        }
    }
}

/// An answer, in a manner that the case decides. False when the connection ends with it.
fn answer(socket: &mut TcpStream, head: &Head, body: Option<&[u8]>, manner: u64) -> bool {
    let seen = seen(head, body);
    let start = format!("HTTP/1.1 200 OK\r\n{SEEN}: {seen}\r\n");
    let is_head = head.word(0) == b"HEAD";
    let (text, goes_on) = match manner {
        _ if is_head => (format!("{start}content-length: 5\r\n\r\n"), true),
        1 => (
            format!(
                "{start}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-end: yes\r\n\r\n"
            ),
            true,
        ),
        2 => (format!("{start}connection: close\r\n\r\nhello"), false),
        _ => (format!("{start}content-length: 5\r\n\r\nhello"), true),
    };
    let sent = socket.write_all(text.as_bytes()).is_ok();
    sent && goes_on
}

/// Agrees to the first protocol that is offered.
fn agree(socket: &mut TcpStream, head: &Head, body: Option<&[u8]>, _: u64) -> bool {
    let protocol = head.first("upgrade").unwrap_or_default();
    let mut text = format!(
        "HTTP/1.1 101 Switching Protocols\r\n{SEEN}: {}\r\nconnection: upgrade\r\nupgrade: ",
        seen(head, body)
    )
    .into_bytes();
    let mut offered = protocol.split(|b| *b == b',').map(<[u8]>::trim_ascii);
    let chosen = offered.find(|offered| !offered.is_empty());
    text.extend_from_slice(chosen.unwrap_or_default());
    text.extend_from_slice(b"\r\n\r\n");
    socket.write_all(&text).is_ok()
}

/// Says what the whole request was, and then echoes until the other side ends: the connection ends here.
fn tunnel(socket: &mut TcpStream, seen: &str, early: &[u8]) {
    let first = [seen.as_bytes(), b"\n", early].concat();
    let mut sent = socket.write_all(&first).is_ok();
    let mut piece = [0; 4096];
    while sent && let Ok(read @ 1..) = socket.read(&mut piece) {
        sent = socket.write_all(&piece[..read]).is_ok();
    }
    let _may_be_gone = socket.shutdown(Shutdown::Both);
}

/// FNV-1a.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}
