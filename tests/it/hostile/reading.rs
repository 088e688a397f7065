//! HTTP/1.1 read by the letter of RFC 9112, independently of the proxy: what both sides of it are held to.

/// One look at the front of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading<T> {
    /// Read, and so many bytes long.
    Whole(T, usize),
    /// More bytes are needed to tell.
    Partial,
    Malformed(&'static str),
}

/// Start line and fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub start: Vec<u8>,
    pub fields: Vec<(String, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Body {
    pub data: Vec<u8>,
    pub trailers: Vec<(String, Vec<u8>)>,
    /// Whether some chunk came with an extension.
    pub extended: bool,
}

impl Head {
    /// The values under this lower-case name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |(field, _)| field == name)
            .map(|(_, value)| value.as_slice())
    }

    pub fn first(&self, name: &str) -> Option<&[u8]> {
        let named = |(field, _): &&(String, Vec<u8>)| field == name;
        self.fields.iter().find(named).map(|(_, value)| &value[..])
    }

    /// Whether the comma-separated lists under this name hold `token`.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(|b| *b == b','))
            .any(|listed| listed.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The word at this place of the start line.
    pub fn word(&self, index: usize) -> &[u8] {
        self.start
            .split(|b| *b == b' ')
            .nth(index)
            .unwrap_or_default()
    }

    /// How the message's body ends; `None` when nothing says so (RFC 9112, section 6.3).
    pub fn framing(&self) -> Result<Option<Framing>, &'static str> {
        let lengths: Vec<&[u8]> = self.all("content-length").collect();
        let codings: Vec<&[u8]> = self.all("transfer-encoding").collect();
        match (&codings[..], &lengths[..]) {
            ([], []) => Ok(None),
            ([], [length]) => number(length).map(Framing::Length).map(Some),
            ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Some(Framing::Chunked)),
            _ => Err("more than one framing, or an unknown one"),
        }
    }
}

/// A request's head; empty lines before it are part of it (RFC 9112, section 2.2).
pub fn request_head(bytes: &[u8]) -> Reading<Head> {
    let skipped = 2 * bytes.chunks(2).take_while(|pair| pair == b"\r\n").count();
    match head(&bytes[skipped..]) {
        Reading::Whole(head, length) => match check_request(&head) {
            Ok(()) => Reading::Whole(head, skipped + length),
            Err(why) => Reading::Malformed(why),
        },
        other => other,
    }
}

/// A response's head.
pub fn response_head(bytes: &[u8]) -> Reading<Head> {
    match head(bytes) {
        Reading::Whole(head, _) if !is_status_line(&head.start) => {
            Reading::Malformed("a status line that is none")
        }
        other => other,
    }
}

/// A body of that framing.
pub fn body(bytes: &[u8], framing: Framing) -> Reading<Body> {
    match framing {
        Framing::Chunked => chunked(bytes),
        Framing::Length(length) => {
            match usize::try_from(length).map(|length| bytes.get(..length)) {
                Ok(Some(data)) => Reading::Whole(
                    Body {
                        data: data.to_vec(),
                        trailers: Vec::new(),
                        extended: false,
                    },
                    data.len(),
                ),
                _ => Reading::Partial,
            }
        }
    }
}

pub fn is_token(bytes: &[u8]) -> bool {
    let is_token_byte = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    !bytes.is_empty() && bytes.iter().all(is_token_byte)
}

fn head(bytes: &[u8]) -> Reading<Head> {
    let (start, mut at) = match line(bytes) {
        Reading::Whole(start, length) => (start.to_vec(), length),
        Reading::Partial => return Reading::Partial,
        Reading::Malformed(why) => return Reading::Malformed(why),
    };
    match fields(&bytes[at..]) {
        Reading::Whole(fields, length) => {
            at += length;
            Reading::Whole(Head { start, fields }, at)
        }
        Reading::Partial => Reading::Partial,
        Reading::Malformed(why) => Reading::Malformed(why),
    }
}

fn check_request(head: &Head) -> Result<(), &'static str> {
    let words: Vec<&[u8]> = head.start.split(|b| *b == b' ').collect();
    let [method, target, version] = words[..] else {
        return Err("a request line that is not three words");
    };
    if !is_token(method) || target.is_empty() || target.iter().any(u8::is_ascii_control) {
        return Err("a malformed method or target");
    }
    let http_10 = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        _ => return Err("another version"),
    };
    if http_10 && head.first("transfer-encoding").is_some() {
        return Err("a transfer coding in HTTP/1.0");
    }
    match head.all("host").count() {
        1 => Ok(()),
        0 if http_10 => Ok(()),
        _ => Err("no host, or several"),
    }
}

fn is_status_line(line: &[u8]) -> bool {
    line.strip_prefix(b"HTTP/1.1 ").is_some_and(|rest| {
        let (code, reason) = rest.split_at(rest.len().min(3));
        code.iter().all(u8::is_ascii_digit) && matches!(reason.first(), Some(b' '))
    })
}

/// Field lines up to the empty one.
fn fields(bytes: &[u8]) -> Reading<Vec<(String, Vec<u8>)>> {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let (line, length) = match line(&bytes[at..]) {
            Reading::Whole(line, length) => (line, length),
            Reading::Partial => return Reading::Partial,
            Reading::Malformed(why) => return Reading::Malformed(why),
        };
        at += length;
        if line.is_empty() {
            return Reading::Whole(found, at);
        }
        let Some(colon) = line.iter().position(|b| *b == b':') else {
            return Reading::Malformed("a field line without a colon");
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if !is_token(name) {
            return Reading::Malformed("a field name that is no token");
        }
        if value.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
            return Reading::Malformed("a control character in a field value");
        }
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        found.push((name, value.to_vec()));
    }
}

/// A line up to its CRLF, which is counted. LF alone ends no line, and CR stands before LF only.
fn line(bytes: &[u8]) -> Reading<&[u8]> {
    match bytes.iter().position(|b| matches!(b, b'\r' | b'\n')) {
        None => Reading::Partial,
        Some(at) => match &bytes[at..] {
            [b'\r', b'\n', ..] => Reading::Whole(&bytes[..at], at + 2),
            [b'\r'] => Reading::Partial,
            _ => Reading::Malformed("a line that does not end with CRLF"),
        },
    }
}

fn number(digits: &[u8]) -> Result<u64, &'static str> {
    let text = std::str::from_utf8(digits).ok();
    text.filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or("a length that is no number")
}

fn chunked(bytes: &[u8]) -> Reading<Body> {
    let mut data = Vec::new();
    let mut at = 0;
    let mut extended = false;
    loop {
        let (line, length) = match line(&bytes[at..]) {
            Reading::Whole(line, length) => (line, length),
            Reading::Partial => return Reading::Partial,
            Reading::Malformed(why) => return Reading::Malformed(why),
        };
        at += length;
        let size = match chunk_size(line) {
            Ok(size) => size,
            Err(why) => return Reading::Malformed(why),
        };
        extended |= line.iter().any(|b| !b.is_ascii_hexdigit());
        if size == 0 {
            return match fields(&bytes[at..]) {
                Reading::Whole(trailers, length) => {
                    let body = Body {
                        data,
                        trailers,
                        extended,
                    };
                    Reading::Whole(body, at + length)
                }
                Reading::Partial => Reading::Partial,
                Reading::Malformed(why) => Reading::Malformed(why),
            };
        }
        let Some(chunk) = bytes.get(at..at.saturating_add(size)) else {
            return Reading::Partial;
        };
        data.extend_from_slice(chunk);
        at += size;
        match &bytes[at..] {
            [b'\r', b'\n', ..] => at += 2,
            [] | [b'\r'] => return Reading::Partial,
            _ => return Reading::Malformed("a chunk that is longer than its size"),
        }
    }
}

fn chunk_size(line: &[u8]) -> Result<usize, &'static str> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let extension = line[digits..].trim_ascii_start();
    if !line[digits..].is_empty() && extension.first() != Some(&b';') {
        return Err("something behind a chunk size that is no extension");
    }
    if extension
        .iter()
        .any(|b| b.is_ascii_control() && *b != b'\t')
    {
        return Err("a control character in a chunk extension");
    }
    std::str::from_utf8(&line[..digits])
        .ok()
        .and_then(|digits| usize::from_str_radix(digits, 16).ok())
        .ok_or("a chunk size that is no number")
}

#[test]
fn reads_what_is_sound_and_nothing_else() {
    let sound = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let Reading::Whole(head, length) = request_head(sound) else {
        panic!("a sound head");
    };
    assert_eq!(
        (length, head.framing()),
        (sound.len(), Ok(Some(Framing::Chunked)))
    );
    for cut in 0..sound.len() {
        assert_eq!(request_head(&sound[..cut]), Reading::Partial, "{cut}");
    }
    for bad in [
        &b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
    ] {
        let reading = request_head(bad);
        assert!(
            matches!(reading, Reading::Malformed(_)),
            "{}",
            bad.escape_ascii()
        );
    }
    let chunks = b"3;a=b\r\nabc\r\n0\r\nx: y\r\n\r\nGET";
    let Reading::Whole(body, length) = body(chunks, Framing::Chunked) else {
        panic!("sound chunks");
    };
    assert_eq!(
        (&body.data[..], body.trailers.len(), length),
        (&b"abc"[..], 1, chunks.len() - 3)
    );
}
