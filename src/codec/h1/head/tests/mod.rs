//! Heads that are taken, and heads that are refused.

mod accepted;
mod plain;
mod refused;

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits::new(1000, 10);

fn request(bytes: impl AsRef<[u8]>) -> Result<Option<RequestHead>, Error> {
    take_request(&mut bytes.as_ref().into(), LIMITS)
}

/// A head of `line` and `fields`, with a `Host` if they have none.
fn head(line: &str, fields: &str) -> String {
    if fields.to_ascii_lowercase().contains("host:") {
        format!("{line}\r\n{fields}\r\n")
    } else {
        format!("{line}\r\nHost: a\r\n{fields}\r\n")
    }
}

#[test]
fn large_heads_are_refused_whether_they_end_or_not() {
    let many = head("GET / HTTP/1.1", &"X: y\r\n".repeat(10));
    let long = head("GET / HTTP/1.1", &format!("X: {}\r\n", "y".repeat(1000)));
    let target = head(&format!("GET /{} HTTP/1.1", "y".repeat(1000)), "");
    for sent in [&many, &long, &long[..1001], &target] {
        let error = request(sent).unwrap_err();
        assert_eq!(error.reason(), HEADERS_TOO_LARGE, "{sent}");
    }
    let fits = head("GET / HTTP/1.1", &"X: y\r\n".repeat(9));
    assert!(request(fits).unwrap().is_some());
    let edge = head("GET / HTTP/1.1", "X: \r\n");
    let edge = edge.replace("X: ", &format!("X: {}", "y".repeat(1000 - edge.len())));
    assert!(request(edge).unwrap().is_some());
}

#[test]
fn every_allowed_number_of_fields_is_parsed() {
    for fields in [0, 1, 256, 257, 1000] {
        let limits = Limits::new(1 << 20, fields + 1);
        let sent = head("GET / HTTP/1.1", &"X: y\r\n".repeat(fields));
        let head = take_request(&mut sent.as_bytes().into(), limits).unwrap();
        assert_eq!(head.unwrap().headers.len(), fields + 1);
        let sent = sent.replace("Host", "Y: y\r\nHost");
        let error = take_request(&mut sent.as_bytes().into(), limits).unwrap_err();
        assert_eq!(error.reason(), HEADERS_TOO_LARGE);
    }
}

#[test]
fn an_upgrade_never_leads_to_http_itself() {
    for (fields, upgrade) in [
        (
            "Connection: upgrade\r\nUpgrade: websocket\r\n",
            Some("websocket"),
        ),
        (
            "Connection: close, Upgrade\r\nUpgrade: a/1, b\r\n",
            Some("a/1, b"),
        ),
        ("Upgrade: websocket\r\n", None),
        ("Connection: upgrade\r\n", None),
        ("Connection: upgrade\r\nUpgrade: ,\r\n", None),
        ("Connection: upgrade\r\nUpgrade: h2c\r\n", None),
        (
            "Connection: upgrade\r\nUpgrade: H2C\r\nContent-Length: 3\r\n",
            None,
        ),
        (
            "Connection: upgrade\r\nUpgrade: TLS/1.2, HTTP/1.1\r\n",
            None,
        ),
        (
            "Connection: upgrade\r\nUpgrade: h2c, websocket,h2\r\n",
            Some("websocket"),
        ),
        (
            "Connection: upgrade\r\nUpgrade: a,h2c , b\r\n",
            Some("a, b"),
        ),
    ] {
        let sent = head("GET / HTTP/1.1", fields);
        let head = request(&sent).expect(&sent).unwrap();
        let found = head.upgrade.as_ref().map(|value| value.to_str().unwrap());
        assert_eq!(found, upgrade, "{sent}");
    }
    let old = head(
        "GET / HTTP/1.0",
        "Connection: upgrade\r\nUpgrade: websocket\r\n",
    );
    assert_eq!(request(old).unwrap().unwrap().upgrade, None);
}

#[test]
fn only_a_body_is_waited_for() {
    for (line, fields, waits) in [
        (
            "PUT / HTTP/1.1",
            "Expect: 100-Continue\r\nContent-Length: 1\r\n",
            true,
        ),
        (
            "PUT / HTTP/1.1",
            "Expect: 100-continue\r\nContent-Length: 0\r\n",
            false,
        ),
        (
            "PUT / HTTP/1.1",
            "Expect: else\r\nContent-Length: 1\r\n",
            false,
        ),
        (
            "PUT / HTTP/1.0",
            "Expect: 100-continue\r\nContent-Length: 1\r\n",
            false,
        ),
    ] {
        let sent = head(line, fields);
        assert_eq!(
            request(&sent).unwrap().unwrap().expects_continue,
            waits,
            "{sent}"
        );
    }
}

#[test]
fn what_stands_behind_a_head_stays_in_the_buffer() {
    let sent = head("GET / HTTP/1.1", "X:\r\n") + "rest";
    let mut buffer = BytesMut::from(&sent[..]);
    let head = take_request(&mut buffer, LIMITS).unwrap().unwrap();
    assert_eq!(buffer, "rest");
    let fields: Vec<_> = head.headers.iter().collect();
    assert_eq!(fields, [(&b"Host"[..], &b"a"[..]), (b"X", b"")]);
}

#[test]
fn responses_keep_their_status_and_end() {
    for (method, sent, framing, keep_alive) in [
        ("GET", "HTTP/1.1 200 OK\r\n\r\n", Framing::UntilClose, false),
        ("GET", "HTTP/1.1 200\r\n\r\n", Framing::UntilClose, false),
        (
            "GET",
            "HTTP/1.1 200 \u{e9}t\u{e9}\r\nContent-Length: 3\r\n\r\n",
            Framing::Length(3),
            true,
        ),
        (
            "GET",
            "HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n",
            Framing::None,
            true,
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            Framing::Chunked,
            true,
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            Framing::None,
            true,
        ),
        ("HEAD", "HTTP/1.1 200 OK\r\n\r\n", Framing::None, true),
        (
            "GET",
            "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n",
            Framing::Length(3),
            false,
        ),
        (
            "CONNECT",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            Framing::None,
            true,
        ),
        (
            "CONNECT",
            "HTTP/1.1 407 No\r\nContent-Length: 3\r\n\r\n",
            Framing::Length(3),
            true,
        ),
    ] {
        let method = method.parse().unwrap();
        let head = take_response(&mut sent.as_bytes().into(), LIMITS, &method)
            .expect(sent)
            .expect(sent);
        assert_eq!(
            (head.framing, head.keep_alive),
            (framing, keep_alive),
            "{sent}"
        );
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = request(&bytes);
        let _ = take_response(&mut bytes[..].into(), LIMITS, &Method::GET);
    }

    /// Bytes that nearly make a head reach deeper than random ones.
    #[test]
    fn near_heads_never_panic(words in prop::collection::vec(prop::sample::select(vec![
            "GET", "CONNECT", "OPTIONS", " ", "/", "*", "http://", "a", ":", "[", "]", "@", "#", "?", "%",
            "HTTP/1.1", "HTTP/1.0", " 200 ", "\r\n", "\r", "\n", "\r\n\r\n", "Host", "Content-Length",
            "Transfer-Encoding", "chunked", "Connection", "upgrade", "Upgrade", ",", "9", "\0", "\u{e9}", "\t",
        ]), 0..30)) {
        let sent = words.concat();
        let _ = request(&sent);
        let _ = take_response(&mut sent.as_bytes().into(), LIMITS, &Method::GET);
    }

    /// What was parsed and written again is parsed to the same.
    #[test]
    fn fields_survive_a_round_trip(fields in prop::collection::vec(
            ("x-[a-zA-Z0-9!#$%&'*+.^_`|~-]{0,9}", "([!-~\u{a1}-\u{ff}]([ -~\t]{0,9}[!-~])?)?"), 0..8)) {
        let mut sent = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
        for (name, value) in &fields {
            put_field(&mut sent, name.as_bytes(), value.as_bytes());
        }
        sent.extend_from_slice(b"\r\n");
        let once = request(&sent).unwrap().unwrap();
        let mut again = b"GET / HTTP/1.1\r\n".to_vec();
        put_fields(&mut again, &once.headers, false);
        again.extend_from_slice(b"\r\n");
        let twice = request(&again).unwrap().unwrap();
        let got: Vec<_> = twice.headers.iter().skip(1).collect();
        let meant: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        prop_assert_eq!(got, meant);
    }
}

#[test]
fn what_is_readable_of_a_refused_head_is_told() {
    let seen = |sent: &str| {
        let outline = outline(sent.as_bytes());
        let method = outline.method.map(|method| method.to_string());
        let target = outline.target.map(|target| target.to_string());
        let host = outline.authority.map(|host| host.to_string());
        let names = outline.headers.iter();
        let names = names.map(|(name, _)| String::from_utf8_lossy(name).into_owned());
        let names: Vec<String> = names.collect();
        let told = [method, target, host].map(Option::unwrap_or_default);
        format!(
            "{} {:?} {}",
            told.join(" "),
            outline.version,
            names.join(",")
        )
    };
    for (sent, told) in [
        (
            "\r\nGET /a?b HTTP/1.1\r\nHost: h:1\r\nX-A: 1\r\nbad name: 1\r\nX-B: 1\r\n\r\nX-C: 1\r\n",
            "GET /a?b h:1 Some(HTTP/1.1) host,x-a,x-b",
        ),
        // The last line has not come whole.
        (
            "GET / HTTP/1.0\r\nX-A: 1\r\nX-",
            "GET /  Some(HTTP/1.0) x-a",
        ),
        ("POST /lo", "POST /lo  None "),
        ("GET /a#b\u{e9} HTTP/3.0\r\n", "GET /a%23b%C3%A9  None "),
        ("GET relative HTTP/1.1\n", "GET   Some(HTTP/1.1) "),
        ("\u{16}\u{3}\u{1} \u{0}", "   None "),
        ("hello", "   None "),
        ("", "   None "),
    ] {
        assert_eq!(seen(sent), told, "{sent}");
    }
}

#[test]
fn a_head_that_is_refused_stays_where_it_is() {
    let sent = "GET / HTTP/1.1\r\nHost: a b\r\n\r\nbehind";
    let mut buffer = sent.as_bytes().into();
    take_request(&mut buffer, LIMITS).unwrap_err();
    assert_eq!(buffer, sent);
}
