//! Request heads that are taken, and what is read out of them.

use super::*;

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
fn what_callers_leave_unencoded_is_encoded() {
    for (sent, target) in [
        (r#"/a?b="c""#, "/a?b=%22c%22"),
        (r#"/"a"?<b>"#, "/%22a%22?%3Cb%3E"),
        ("/a?b=`c`<", "/a?b=%60c%60%3C"),
        (r"/a?b=\c|{d}^", r"/a?b=\c|{d}^"),
    ] {
        let sent = head(&format!("GET {sent} HTTP/1.1"), "");
        let head = request(&sent).expect(&sent).unwrap();
        assert_eq!(head.target.as_str(), target);
    }
}
