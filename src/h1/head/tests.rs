use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    bytes: 1000,
    fields: 10,
};

fn request(bytes: impl AsRef<[u8]>) -> Result<Option<RequestHead>, Error> {
    take_request(&mut bytes.as_ref().into(), LIMITS)
}

/// A head of `line` and `fields`, with a `Host` if they have none.
fn head(line: &str, fields: &str) -> String {
    match fields.to_ascii_lowercase().contains("host:") {
        true => format!("{line}\r\n{fields}\r\n"),
        false => format!("{line}\r\nHost: a\r\n{fields}\r\n"),
    }
}

#[test]
fn accepts() {
    for (line, fields, authority, target, framing, keep_alive) in [
        ("GET / HTTP/1.1", "", Some("a"), "/", Framing::None, true),
        (
            "GET /a?b=c HTTP/1.1",
            "Host: b:80\r\n",
            Some("b:80"),
            "/a?b=c",
            Framing::None,
            true,
        ),
        (
            "GET / HTTP/1.1",
            "Host: b:\r\n",
            Some("b:"),
            "/",
            Framing::None,
            true,
        ),
        (
            "GET / HTTP/1.1",
            "Host: [::1]:80\r\n",
            Some("[::1]:80"),
            "/",
            Framing::None,
            true,
        ),
        (
            "GET / HTTP/1.1",
            "Host:\r\n",
            None,
            "/",
            Framing::None,
            true,
        ),
        (
            "GET / HTTP/1.1",
            "host: \t b \t \r\n",
            Some("b"),
            "/",
            Framing::None,
            true,
        ),
        (
            "GET //b/c HTTP/1.1",
            "",
            Some("a"),
            "//b/c",
            Framing::None,
            true,
        ),
        (
            "GET http://b/c?d HTTP/1.1",
            "",
            Some("b"),
            "/c?d",
            Framing::None,
            true,
        ),
        (
            "GET HTTPS://b:1 HTTP/1.1",
            "",
            Some("b:1"),
            "/",
            Framing::None,
            true,
        ),
        (
            "GET http://b?c HTTP/1.1",
            "",
            Some("b"),
            "/?c",
            Framing::None,
            true,
        ),
        (
            "OPTIONS * HTTP/1.1",
            "",
            Some("a"),
            "*",
            Framing::None,
            true,
        ),
        (
            "OPTIONS http://b HTTP/1.1",
            "",
            Some("b"),
            "*",
            Framing::None,
            true,
        ),
        (
            "OPTIONS http://b/ HTTP/1.1",
            "",
            Some("b"),
            "/",
            Framing::None,
            true,
        ),
        (
            "CONNECT b:443 HTTP/1.1",
            "",
            Some("b:443"),
            "/",
            Framing::None,
            true,
        ),
        (
            "POST / HTTP/1.1",
            "Content-Length: 7\r\n",
            Some("a"),
            "/",
            Framing::Length(7),
            true,
        ),
        (
            "POST / HTTP/1.1",
            "content-length:007 \r\n",
            Some("a"),
            "/",
            Framing::Length(7),
            true,
        ),
        (
            "POST / HTTP/1.1",
            "Content-Length: 0\r\n",
            Some("a"),
            "/",
            Framing::None,
            true,
        ),
        (
            "GET / HTTP/1.1",
            "Transfer-Encoding: CHUNKED\r\n",
            Some("a"),
            "/",
            Framing::Chunked,
            true,
        ),
        (
            "GET / HTTP/1.1",
            "Connection: x, CLOSE\r\n",
            Some("a"),
            "/",
            Framing::None,
            false,
        ),
        (
            "GET / HTTP/1.0",
            "Host: a\r\n",
            Some("a"),
            "/",
            Framing::None,
            false,
        ),
        (
            "GET / HTTP/1.0",
            "Connection: Keep-Alive\r\nHost: a\r\n",
            Some("a"),
            "/",
            Framing::None,
            true,
        ),
        (
            "GET / HTTP/1.0",
            "Connection: keep-alive\r\nConnection: close\r\nHost: a\r\n",
            Some("a"),
            "/",
            Framing::None,
            false,
        ),
        (
            "\r\n\r\nGET / HTTP/1.1",
            "",
            Some("a"),
            "/",
            Framing::None,
            true,
        ),
        (
            "GET / HTTP/1.1",
            "X-Any:\r\nX_Under: \x7fnot\r\n"
                .replace('\x7f', "\u{e9}")
                .leak(),
            Some("a"),
            "/",
            Framing::None,
            true,
        ),
    ] {
        let sent = head(line, fields);
        let head = request(&sent).expect(&sent).expect(&sent);
        assert_eq!(
            head.authority.as_ref().map(Authority::as_str),
            authority,
            "{sent}"
        );
        assert_eq!(head.target.as_str(), target, "{sent}");
        assert_eq!(head.framing, framing, "{sent}");
        assert_eq!(head.keep_alive, keep_alive, "{sent}");
    }
    let old = request("GET / HTTP/1.0\r\n\r\n").unwrap().unwrap();
    assert_eq!((old.version, old.authority), (Version::HTTP_10, None));
}

#[test]
fn refuses() {
    for (line, fields, why) in [
        (
            "POST / HTTP/1.1",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "together",
        ),
        (
            "POST / HTTP/1.1",
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
            "together",
        ),
        (
            "POST / HTTP/1.1",
            "Content-Length: 1, 1\r\n",
            "not a number",
        ),
        (
            "POST / HTTP/1.1",
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "more than one Content-Length",
        ),
        ("POST / HTTP/1.1", "Content-Length: +1\r\n", "not a number"),
        ("POST / HTTP/1.1", "Content-Length: -1\r\n", "not a number"),
        ("POST / HTTP/1.1", "Content-Length: 0x1\r\n", "not a number"),
        ("POST / HTTP/1.1", "Content-Length: 1 1\r\n", "not a number"),
        ("POST / HTTP/1.1", "Content-Length:\r\n", "not a number"),
        (
            "POST / HTTP/1.1",
            "Content-Length: 9223372036854775808\r\n",
            "too large",
        ),
        (
            "POST / HTTP/1.1",
            "Content-Length: 99999999999999999999\r\n",
            "too large",
        ),
        (
            "POST / HTTP/1.1",
            "Content_Length: 1\r\n",
            "could be read as",
        ),
        (
            "POST / HTTP/1.1",
            "Transfer_Encoding: chunked\r\n",
            "could be read as",
        ),
        (
            "POST / HTTP/1.1",
            "Transfer-Encoding: gzip\r\n",
            "other than chunked",
        ),
        (
            "POST / HTTP/1.1",
            "Transfer-Encoding: gzip, chunked\r\n",
            "other than chunked",
        ),
        (
            "POST / HTTP/1.1",
            "Transfer-Encoding: chunked, chunked\r\n",
            "other than chunked",
        ),
        (
            "POST / HTTP/1.1",
            "Transfer-Encoding: chunked;a=b\r\n",
            "other than chunked",
        ),
        (
            "POST / HTTP/1.1",
            "Transfer-Encoding: identity\r\n",
            "other than chunked",
        ),
        (
            "POST / HTTP/1.1",
            "Transfer-Encoding:\r\n",
            "other than chunked",
        ),
        (
            "POST / HTTP/1.1",
            "Transfer-Encoding: \x0bchunked\r\n",
            "malformed header value",
        ),
        (
            "POST / HTTP/1.1",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "more than one Transfer",
        ),
        (
            "POST / HTTP/1.0",
            "Transfer-Encoding: chunked\r\n",
            "in HTTP/1.0",
        ),
        ("GET / HTTP/1.1", "X: a\r\n b\r\n", "malformed header name"),
        ("GET / HTTP/1.1", "X: a\r\n\tb\r\n", "malformed header name"),
        ("GET / HTTP/1.1", " X: a\r\n", "malformed header name"),
        ("GET / HTTP/1.1", "X: a\nY: b\r\n", "ends without CR"),
        ("GET / HTTP/1.1", "X: a\rb\r\n", "malformed header value"),
        ("GET / HTTP/1.1", "X: a\r\r\n", "malformed header value"),
        ("GET / HTTP/1.1", "X : a\r\n", "malformed header name"),
        ("GET / HTTP/1.1", "X\r\n", "malformed header name"),
        ("GET / HTTP/1.1", ": a\r\n", "malformed header name"),
        ("GET / HTTP/1.1", "X\0: a\r\n", "malformed header name"),
        ("GET / HTTP/1.1", "X\u{e9}: a\r\n", "malformed header name"),
        ("GET / HTTP/1.1", "X(y): a\r\n", "malformed header name"),
        ("GET / HTTP/1.1", "X: a\0b\r\n", "malformed header value"),
        ("GET / HTTP/1.1", "X: a\x01b\r\n", "malformed header value"),
        ("GET / HTTP/1.1", "X: a\x7fb\r\n", "malformed header value"),
        (
            "GET / HTTP/1.1",
            "Host: a\r\nHost: a\r\n",
            "more than one Host",
        ),
        (
            "GET / HTTP/1.1",
            "Host: a\r\nhost: b\r\n",
            "more than one Host",
        ),
        ("GET / HTTP/1.1", "Host: a@b\r\n", "malformed Host"),
        ("GET / HTTP/1.1", "Host: a b\r\n", "malformed Host"),
        ("GET / HTTP/1.1", "Host: a/b\r\n", "malformed Host"),
        ("GET / HTTP/1.1", "Host: a?b\r\n", "malformed Host"),
        ("GET / HTTP/1.1", "Host: a#b\r\n", "malformed Host"),
        ("GET / HTTP/1.1", "Host: a\\b\r\n", "malformed Host"),
        ("GET / HTTP/1.1", "Host: a%2fb\r\n", "malformed Host"),
        ("GET / HTTP/1.1", "Host: a\u{e9}b\r\n", "malformed Host"),
        ("GET / HTTP/1.1", "Host: :80\r\n", "malformed Host"),
        ("GET / HTTP/1.1", "Host: a:80:90\r\n", "malformed Host"),
        ("GET / HTTP/1.1", "Host: a:b\r\n", "malformed Host"),
        ("GET / HTTP/1.1", "Host: a:+80\r\n", "malformed Host"),
        ("GET / HTTP/1.1", "Host: a:65536\r\n", "malformed Host"),
        ("GET / HTTP/1.1", "Host: [::1\r\n", "malformed Host"),
        ("GET / HTTP/1.1", "Host: [::1]a\r\n", "malformed Host"),
        ("GET / HTTP/1.1", "Host: [::1]::80\r\n", "malformed Host"),
        ("GET / HTTP/1.1", "Host: [a]\r\n", "malformed Host"),
        ("GET / HTTP/1.1", "Host: a[::1]\r\n", "malformed Host"),
        ("GET /a#b HTTP/1.1", "", "fragment"),
        ("GET http://b/c#d HTTP/1.1", "", "fragment"),
        ("GET http://c@b/ HTTP/1.1", "", "target"),
        ("GET http:///b HTTP/1.1", "", "target"),
        ("GET http://:80/ HTTP/1.1", "", "target"),
        ("GET http://b:x/ HTTP/1.1", "", "target"),
        ("GET ftp://b/ HTTP/1.1", "", "target"),
        ("GET b:80 HTTP/1.1", "", "target"),
        ("GET b HTTP/1.1", "", "target"),
        ("GET * HTTP/1.1", "", "target"),
        ("OPTIONS *a HTTP/1.1", "", "target"),
        ("GET /a\u{0}b HTTP/1.1", "", "malformed request head"),
        ("GET /a\tb HTTP/1.1", "", "malformed request head"),
        ("CONNECT b HTTP/1.1", "", "host:port"),
        ("CONNECT b: HTTP/1.1", "", "host:port"),
        ("CONNECT :80 HTTP/1.1", "", "host:port"),
        ("CONNECT a@b:80 HTTP/1.1", "", "host:port"),
        ("CONNECT / HTTP/1.1", "", "host:port"),
        ("CONNECT http://b:80 HTTP/1.1", "", "host:port"),
        (
            "CONNECT b:80 HTTP/1.1",
            "Content-Length: 0\r\n",
            "CONNECT with a body",
        ),
        ("GET  / HTTP/1.1", "", "malformed request head"),
        ("GET /  HTTP/1.1", "", "HTTP version"),
        ("GET /a b HTTP/1.1", "", "HTTP version"),
        ("GET / HTTP/1.2", "", "HTTP version"),
        ("GET / HTTP/2.0", "", "HTTP version"),
        ("GET / HTTP/1.1 ", "", "malformed request head"),
        ("GET / http/1.1", "", "HTTP version"),
        ("GET /", "", "malformed request head"),
        (" GET / HTTP/1.1", "", "malformed request head"),
        ("G(T / HTTP/1.1", "", "malformed request head"),
        ("GET / HTTP/1.1\n", "", "ends without CR"),
        ("\nGET / HTTP/1.1", "", "ends without CR"),
        ("PRI * HTTP/2.0", "", "HTTP version"),
        ("\x16\x03\x01\x02\x00\x01\x00", "", "came as TLS"),
        (
            "GET / HTTP/1.1",
            "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n",
            "Upgrade with a body",
        ),
        (
            "GET / HTTP/1.1",
            "Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
            "Upgrade with a body",
        ),
    ] {
        let sent = head(line, fields);
        let error = request(&sent).expect_err(&sent.escape_debug().to_string());
        assert_eq!(error.reason(), BAD_REQUEST, "{}", sent.escape_debug());
        assert!(
            error.detail().contains(why),
            "{} {error}",
            sent.escape_debug()
        );
    }
    let error = request("GET / HTTP/1.1\r\nX: a\r\n\r\n").unwrap_err();
    assert!(error.detail().contains("no Host"), "{error}");
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
        let limits = Limits {
            bytes: 1 << 20,
            fields: fields + 1,
        };
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
