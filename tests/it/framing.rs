//! A message that two programs could read differently goes no further.

use crate::support::{Origin, Proxy, Response, SOON, Script, Setup, eventually};

const HOST: &str = "Host: localhost\r\n";

/// Each of these request heads, sent as it stands, must be refused before a byte goes upstream.
fn assert_refused_before_forwarding(
    cases: &[(&str, String)],
    status: u16,
    reason: &str,
    setup: fn(Setup) -> Setup,
) {
    let origin = Origin::start();
    let proxy = Proxy::with(&setup(Setup::to(&origin)));
    assert_none_wrong(cases, |request: &String| {
        let before = origin.connections();
        let mut client = proxy.client();
        match client.send(request).try_answer() {
            Err(cut) => Err(format!("no answer: {cut}")),
            Ok(answer) => is(&answer, status, Some(reason)),
        }?;
        holds(client.closes_within(SOON), "the connection stays open")?;
        holds(origin.connections() == before, "something went upstream")
    });
    assert_eq!(proxy.get("/").status, 200, "and the proxy goes on");
}

fn assert_bad_request(cases: &[(&str, String)]) {
    assert_refused_before_forwarding(cases, 400, "bad_request", |setup| setup);
}

/// A POST with these header lines and a body that fits none of them well.
fn post(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\n{HOST}{lines}\r\n0\r\n\r\n")
}

fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\n{HOST}{lines}\r\n")
}

/// Checks every case and names all that are wrong, not the first only.
fn assert_none_wrong<T>(cases: &[(&str, T)], check: impl Fn(&T) -> Result<(), String>) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(name, case)| check(case).err().map(|what| format!("{name}: {what}")))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn is(answer: &Response, status: u16, reason: Option<&str>) -> Result<(), String> {
    let found = (answer.status, answer.reason());
    holds(found == (status, reason), &format!("answered {found:?}"))
}

fn holds(condition: bool, what: &str) -> Result<(), String> {
    condition.then_some(()).ok_or_else(|| what.to_owned())
}

#[test]
fn two_framings_at_once_are_refused() {
    assert_bad_request(&[
        (
            "length then chunked",
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        ),
        (
            "chunked then length",
            post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        ),
        (
            "chunked and length 0",
            post("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
        ),
        (
            "differing lengths",
            post("Content-Length: 5\r\nContent-Length: 6\r\n"),
        ),
        (
            "differing lengths in a list",
            post("Content-Length: 5, 6\r\n"),
        ),
    ]);
}

#[test]
fn a_length_that_is_no_plain_number_is_refused() {
    let cases = [
        "+5",
        "-5",
        "0x5",
        "5a",
        "5.0",
        "",
        "\"5\"",
        "99999999999999999999",
        "5 5",
    ]
    .map(|length| (length, post(&format!("Content-Length: {length}\r\n"))));
    assert_bad_request(&cases);
}

#[test]
fn a_transfer_coding_other_than_chunked_is_refused() {
    let cases = [
        "gzip",
        "identity",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "xchunked",
        "chunked;x=1",
        "\"chunked\"",
        "chun ked",
        "",
        "chunked\u{b}",
    ]
    .map(|coding| (coding, post(&format!("Transfer-Encoding: {coding}\r\n"))));
    assert_bad_request(&cases);
    assert_bad_request(&[
        (
            "twice",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ),
        (
            "chunked, then gzip on a line of its own",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n"),
        ),
        (
            "in HTTP/1.0",
            format!("POST / HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
    ]);
}

#[test]
fn a_field_line_that_is_not_exact_is_refused() {
    assert_bad_request(&[
        ("space before the colon", get("X-A : 1\r\n")),
        ("tab before the colon", get("X-A\t: 1\r\n")),
        (
            "space before the colon of the coding",
            post("Transfer-Encoding : chunked\r\n"),
        ),
        ("space in the name", get("X A: 1\r\n")),
        ("empty name", get(": 1\r\n")),
        ("no colon", get("X-A\r\n")),
        ("folded line", get("X-A: 1\r\n 2\r\n")),
        ("folded line with a tab", get("X-A: 1\r\n\t2\r\n")),
        (
            "folded first line",
            format!("GET / HTTP/1.1\r\n X-A: 1\r\n{HOST}\r\n"),
        ),
        ("folded coding", post("Transfer-Encoding:\r\n chunked\r\n")),
        ("NUL in a value", get("X-A: 1\u{0}2\r\n")),
        ("NUL in a name", get("X\u{0}A: 1\r\n")),
        ("bare CR in a value", get("X-A: 1\r2\r\n")),
        (
            "bare CR before a hidden field",
            get("X-A: 1\rTransfer-Encoding: chunked\r\n"),
        ),
        ("control byte in a value", get("X-A: 1\u{1}2\r\n")),
        ("DEL in a value", get("X-A: 1\u{7f}2\r\n")),
        ("brackets in a name", get("X[A]: 1\r\n")),
    ]);
}

#[test]
fn a_line_that_ends_without_a_carriage_return_is_refused() {
    assert_bad_request(&[
        ("request line", format!("GET / HTTP/1.1\n{HOST}\r\n")),
        ("field", get("X-A: 1\n")),
        ("end of the head", format!("GET / HTTP/1.1\r\n{HOST}\n")),
        (
            "everywhere",
            "GET / HTTP/1.1\nHost: localhost\n\n".to_owned(),
        ),
    ]);
}

#[test]
fn a_request_for_no_host_or_two_is_refused() {
    let with = |lines: &str| format!("GET / HTTP/1.1\r\n{lines}\r\n");
    assert_bad_request(&[
        ("none", with("")),
        ("two", with("Host: a\r\nHost: b\r\n")),
        ("two alike", with("Host: a\r\nHost: a\r\n")),
        ("space", with("Host: a b\r\n")),
        ("path", with("Host: a/b\r\n")),
        ("user", with("Host: user@a\r\n")),
        ("list", with("Host: a, b\r\n")),
        ("port", with("Host: a:80a\r\n")),
    ]);
}

#[test]
fn a_request_line_that_is_not_exact_is_refused() {
    let with = |line: &str| format!("{line}\r\n{HOST}\r\n");
    assert_bad_request(&[
        ("no version", with("GET /")),
        ("two spaces", with("GET  / HTTP/1.1")),
        ("tab", with("GET\t/\tHTTP/1.1")),
        ("space in the target", with("GET /a b HTTP/1.1")),
        ("space at the end", with("GET / HTTP/1.1 ")),
        ("space at the start", with(" GET / HTTP/1.1")),
        ("control byte in the target", with("GET /\u{1} HTTP/1.1")),
        ("NUL in the target", with("GET /\u{0} HTTP/1.1")),
        ("fragment", with("GET /#a HTTP/1.1")),
        ("no slash", with("GET a HTTP/1.1")),
        ("star with GET", with("GET * HTTP/1.1")),
        ("method with a brace", with("GE{T / HTTP/1.1")),
        ("version 1.10", with("GET / HTTP/1.10")),
        ("version 01.1", with("GET / HTTP/01.1")),
        ("lower-case version", with("GET / http/1.1")),
        ("another protocol", with("GET / ICAP/1.0")),
    ]);
}

#[test]
fn a_head_that_is_too_large_is_refused_as_such() {
    let cases = [
        (
            "one large field",
            get(&format!("X-A: {}\r\n", "a".repeat(4 << 10))),
        ),
        (
            "a large target",
            format!("GET /{} HTTP/1.1\r\n{HOST}\r\n", "a".repeat(4 << 10)),
        ),
        ("many fields", get(&"X-A: 1\r\n".repeat(20))),
    ];
    assert_refused_before_forwarding(&cases, 431, "headers_too_large", |setup| {
        setup
            .listener(r#"max_header_bytes = "2KiB""#)
            .listener("max_headers = 10")
    });
}

#[test]
fn chunks_that_are_not_exact_never_complete_a_request() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let cases = [
        ("not hexadecimal", "g\r\nabc\r\n0\r\n\r\n"),
        ("no size", "\r\nabc\r\n0\r\n\r\n"),
        ("sign", "+3\r\nabc\r\n0\r\n\r\n"),
        ("negative", "-3\r\nabc\r\n0\r\n\r\n"),
        ("prefix", "0x3\r\nabc\r\n0\r\n\r\n"),
        ("underscore", "0_3\r\nabc\r\n0\r\n\r\n"),
        (
            "too large a number",
            "ffffffffffffffff3\r\nabc\r\n0\r\n\r\n",
        ),
        ("space before the size", " 3\r\nabc\r\n0\r\n\r\n"),
        ("size ended by LF", "3\nabc\r\n0\r\n\r\n"),
        ("data longer than the size", "3\r\nabcd\r\n0\r\n\r\n"),
        ("data ended by LF", "3\r\nabc\n0\r\n\r\n"),
        ("last chunk ended by LF", "3\r\nabc\r\n0\n\r\n"),
        ("CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n"),
        ("LF in an extension", "3;a\nb\r\nabc\r\n0\r\n\r\n"),
        (
            "space before the colon of a trailer",
            "3\r\nabc\r\n0\r\nX-A : 1\r\n\r\n",
        ),
        ("folded trailer", "3\r\nabc\r\n0\r\nX-A: 1\r\n 2\r\n\r\n"),
    ];
    assert_none_wrong(&cases, |body| {
        let mut client = proxy.client();
        client.send(post("Transfer-Encoding: chunked\r\n").trim_end_matches("0\r\n\r\n"));
        if let Ok(answer) = client.send(body).try_answer() {
            is(&answer, 400, Some("bad_request"))?;
        }
        holds(client.closes_within(SOON), "the connection stays open")?;
        eventually(SOON, body, || origin.open_connections() == 0);
        let complete = origin
            .requests()
            .last()
            .is_some_and(|request| request.complete);
        holds(!complete, "it was ended well upstream")
    });
}

#[test]
fn what_is_unusual_but_exact_is_forwarded() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let cases = [
        (
            "an empty line before the request",
            format!("\r\n{}", get("")),
        ),
        ("no space behind the colon", get("X-A:1\r\n")),
        ("tabs around a value", get("X-A:\t1\t\r\n")),
        ("an empty value", get("X-A:\r\n")),
        ("bytes beyond ASCII in a value", get("X-A: \u{e9}\r\n")),
        (
            "the coding in capitals",
            post("Transfer-Encoding: CHUNKED\r\n"),
        ),
        (
            "an empty Host",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n".to_owned(),
        ),
        (
            "Host in brackets",
            "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n".to_owned(),
        ),
        (
            "a chunk extension",
            post("Transfer-Encoding: chunked\r\n")
                .replace("\r\n0\r\n", "\r\n1;a=\"b\"\r\nx\r\n0\r\n"),
        ),
        (
            "zeros before a size",
            post("Transfer-Encoding: chunked\r\n").replace("\r\n0\r\n", "\r\n0001\r\nx\r\n000\r\n"),
        ),
    ];
    assert_none_wrong(&cases, |request| {
        match proxy.client().send(request).try_answer() {
            Err(cut) => Err(format!("no answer: {cut}")),
            Ok(answer) => is(&answer, 200, None),
        }
    });
}

#[test]
fn what_follows_a_refused_request_is_not_a_request() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut client = proxy.client();
    client.send(post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + smuggled);
    client.read_answer().assert_refused(400, "bad_request");
    assert!(client.closes_within(SOON));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn an_answer_that_is_ambiguous_is_not_passed_on() {
    let cases = [
        (
            "/both",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
        (
            "/lengths",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        ),
        (
            "/length",
            "HTTP/1.1 200 OK\r\ncontent-length: +3\r\n\r\nabc",
        ),
        (
            "/fold",
            "HTTP/1.1 200 OK\r\nx-a: 1\r\n 2\r\ncontent-length: 0\r\n\r\n",
        ),
        (
            "/nul",
            "HTTP/1.1 200 OK\r\nx-a: 1\0\r\ncontent-length: 0\r\n\r\n",
        ),
        (
            "/colon",
            "HTTP/1.1 200 OK\r\nx-a : 1\r\ncontent-length: 0\r\n\r\n",
        ),
        ("/status", "HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n"),
        ("/garbage", "SSH-2.0-OpenSSH_9.7\r\n\r\n"),
        (
            "/switch",
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        ),
    ];
    let origin = cases
        .into_iter()
        .fold(Origin::start(), |origin, (path, bytes)| {
            origin.on(path, Script::new().send(bytes).close())
        });
    let proxy = Proxy::with(&Setup::to(&origin));
    assert_none_wrong(&cases.map(|(path, _)| (path, path)), |path| {
        is(&proxy.get(path), 502, Some("upstream_protocol_error"))
    });
}

#[test]
fn an_answer_with_broken_chunks_is_cut_not_ended() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let origin = Origin::start()
        .on(
            "/size",
            Script::new()
                .send(format!("{head}3\r\nabc\r\nxyz\r\n"))
                .close(),
        )
        .on(
            "/end",
            Script::new()
                .send(format!("{head}3\r\nabcd\r\n0\r\n\r\n"))
                .close(),
        );
    let proxy = Proxy::with(&Setup::to(&origin));
    for path in ["/size", "/end"] {
        let answer = proxy
            .client()
            .send_request("GET", path, &[], "")
            .try_answer();
        assert!(
            answer.is_err() || answer.is_ok_and(|answer| answer.status == 502),
            "{path}"
        );
    }
}
