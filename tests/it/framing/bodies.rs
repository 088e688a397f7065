//! Where the body of a request ends.

use super::{HOST, assert_bad_request, assert_none_wrong, get, holds, is, post};
use crate::support::{Origin, Proxy, SOON, Setup, eventually};

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
