//! Requests and responses for property tests: whole ones, and ones with a flaw.

use proptest::prelude::*;

use super::*;

/// What was made of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case, sorted.
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, Vec<u8>)>,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By the caller, between two requests; or as a request asked.
    Well,
    /// With what was wrong.
    Refused(String),
    /// In the middle of something.
    Cut,
}

/// Runs a future on this thread's own runtime.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(work))
}

/// Runs `reader` to its end, while `far` sends `wire` in pieces that end at `cuts`, and then the end of the stream.
pub async fn fed<S, T>(
    mut far: Far<S>,
    wire: &[u8],
    cuts: &[usize],
    reader: impl Future<Output = T>,
) -> T
where
    S: AsyncRead + AsyncWrite + AsFd + Unpin,
{
    let feed = async {
        let mut at = 0;
        let within = cuts.iter().copied().filter(|cut| *cut < wire.len());
        for cut in within.chain([wire.len()]) {
            // Whoever reads may be gone already.
            if far.0.write_all(&wire[at..cut]).await.is_err() {
                break;
            }
            at = cut;
            // Until the reader has nothing to do but wait, which is when time passes.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let _ = far.0.shutdown().await;
        std::future::pending().await
    };
    tokio::select! {
        read = reader => read,
        never = feed => never,
    }
}

pub fn fields<'a>(fields: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<(String, Vec<u8>)> {
    let mut fields: Vec<_> = fields
        .map(|(name, value)| {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            (name, value.to_vec())
        })
        .collect();
    fields.sort();
    fields
}

pub fn map_fields(map: Option<&HeaderMap>) -> Vec<(String, Vec<u8>)> {
    let all = map.into_iter().flatten();
    fields(all.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())))
}

/// Cuts, in order.
pub fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        prop::collection::vec(0..400usize, 1..6).prop_map(|mut cuts| {
            cuts.sort_unstable();
            cuts
        }),
        // Byte by byte.
        Just((1..1500).collect()),
    ]
}

/// One to three requests behind each other.
pub fn requests() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(request(), 1..4).prop_map(|requests| requests.concat())
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "GET / HTTP/1.1",
        "HEAD /a?b=c HTTP/1.1",
        "POST /a/../b HTTP/1.1",
        "PUT http://other:80/x?y HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "DELETE /%2e HTTP/1.0",
        "PROPFIND /\"{} HTTP/1.1",
    ]);
    let fields = prop::collection::vec(prop::sample::select(FIELDS.to_vec()), 0..4);
    (line, fields, body()).prop_map(|(line, fields, body)| {
        let mut wire = format!("{line}\r\nHost: a\r\n").into_bytes();
        for field in fields {
            wire.extend_from_slice(field.as_bytes());
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(&body);
        wire
    })
}

const FIELDS: [&str; 12] = [
    "X-Empty:",
    "x-spaced: \t a b \t ",
    "Accept: */*",
    "TE: trailers",
    "Connection: keep-alive",
    "Connection: close",
    "Connection: upgrade",
    "Upgrade: websocket",
    "Cookie: a=b; c",
    "X-High: \u{e9}",
    "Expect: 100-continue",
    "Keep-Alive: 5",
];

/// Framing fields, the end of the head, and the body that they announce.
pub fn body() -> impl Strategy<Value = Vec<u8>> {
    let bytes = || prop::collection::vec(any::<u8>(), 1..30);
    let sized = bytes().prop_map(|body| {
        let head = format!("Content-Length: {}\r\n\r\n", body.len());
        [head.into_bytes(), body].concat()
    });
    let extension = prop::sample::select(vec!["", ";a", " ;a=b", ";a=\"b\"", "\t;a"]);
    let chunks = prop::collection::vec((bytes(), extension), 0..4);
    let trailers = prop::sample::select(vec!["", "X-Sum: 1\r\n", "a:\r\nB: c \r\n"]);
    let chunked = (chunks, trailers).prop_map(|(chunks, trailers)| {
        let mut wire = b"Transfer-Encoding: chunked\r\n\r\n".to_vec();
        for (data, extension) in chunks {
            wire.extend_from_slice(format!("{:X}{extension}\r\n", data.len()).as_bytes());
            wire.extend_from_slice(&data);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
        wire
    });
    prop_oneof![Just(b"\r\n".to_vec()), sized, chunked]
}

/// `wire` with up to three flaws: something put in, changed, or left out, often where it matters.
pub fn flawed(wire: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let flaw = (
        any::<prop::sample::Index>(),
        0..4u8,
        prop::sample::select(FLAWS.to_vec()),
    );
    (wire, prop::collection::vec(flaw, 1..4)).prop_map(|(mut wire, flaws)| {
        for (at, how, what) in flaws {
            if wire.is_empty() {
                break;
            }
            let any = at.index(wire.len());
            // Just behind a line, a colon or a space is where readers differ.
            let near = wire[any..]
                .iter()
                .position(|b| matches!(b, b'\n' | b':' | b' '))
                .map_or(any, |further| any + further + 1)
                .min(wire.len());
            match how {
                0 => wire.truncate(any),
                1 => drop(wire.remove(any)),
                2 => drop(wire.splice(any..any, what.bytes())),
                _ => drop(wire.splice(near..near, what.bytes())),
            }
        }
        wire
    })
}

const FLAWS: [&str; 32] = [
    "\r",
    "\n",
    "\r\n",
    "\0",
    " ",
    "\t",
    ":",
    ",",
    ";",
    "\"",
    "\\",
    "@",
    "#",
    "0",
    "1",
    "-",
    "+",
    "x",
    "\u{e9}",
    "\x7f",
    "\x0b",
    "/",
    "HTTP/1.0",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer_Encoding: chunked\r\n",
    "Host: b\r\n",
    "Connection: close\r\n",
    " folded\r\n",
    "Upgrade: h2c\r\n",
];
