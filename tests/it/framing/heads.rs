//! Heads of requests that are not exact.

use super::{HOST, assert_bad_request, assert_refused_before_forwarding, get, post};

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
