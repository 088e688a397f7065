//! Request heads that are refused, and why.

use super::*;

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
        ("\n\r\nGET / HTTP/1.1", "", "ends without CR"),
        ("PRI * HTTP/2.0", "", "HTTP version"),
        ("\x16\x03\x01\x02\x00\x01\x00", "", "came as TLS"),
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
fn a_wrong_framing_is_refused_before_the_head_ends() {
    for (fields, error) in [
        ("Content-Length: 1\r\nContent-Length: 2\r\n", true),
        ("Content-Length: 99999999999999999999\r\nX", true),
        (
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\nX: y",
            true,
        ),
        ("Content-Length: 1\r\nContent-Length: 2", false),
        ("Content-Length: 1\r\nX: y\r\n", false),
        ("X: y\r\nY", false),
        ("", false),
    ] {
        let sent = format!("PUT / HTTP/1.1\r\n{fields}");
        assert_eq!(request(&sent).is_err(), error, "{fields}");
    }
}

#[test]
fn a_method_in_lower_case_is_no_method() {
    for method in ["get", "Post", "-bl", "PROPFINd"] {
        let error = request(head(&format!("{method} / HTTP/1.1"), "")).unwrap_err();
        assert_eq!(error.reason(), BAD_REQUEST, "{method}");
    }
    for method in ["MKCOLA", "VERSION-CONTROL", "X_1"] {
        let head = request(head(&format!("{method} / HTTP/1.1"), "")).unwrap();
        assert_eq!(head.unwrap().method, method);
    }
}

#[test]
fn empty_lines_are_no_head_however_they_end() {
    for sent in [
        "\n",
        "\n\r",
        "\n\r\n",
        "\n\n\r\n",
        "\r",
        "\r\n",
        "\r\n\n\r\n\r\n",
    ] {
        assert!(!matches!(request(sent), Ok(Some(_))), "{sent:?}");
    }
}
