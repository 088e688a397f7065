//! An answer that comes before the end of its request says whether the connection goes on, and keeps its word.

use crate::support::{H2Client, H2Origin, Origin, Proxy, Response, Script, Setup};

const LONG: &str = "Content-Length: 1048576\r\n";

fn refusing(origin: Origin) -> Origin {
    origin
        .on(
            "/whole",
            Script::at_head()
                .answering("413 Content Too Large", "enough")
                .stall(),
        )
        .on(
            "/streams",
            Script::at_head()
                .send("HTTP/1.1 413 Content Too Large\r\ntransfer-encoding: chunked\r\n\r\n6\r\nenough\r\n0\r\n\r\n")
                .stall(),
        )
        .on("/fine", Script::at_head().answering("200 OK", "enough").stall())
}

/// Beside them, `/%2F` is a path that is refused.
const OWN: &str =
    "[routes.here]\nmatch = { path = \"/here\" }\nrespond = { status = 403, body = \"no\" }\n";

/// The answer to the beginning of an upload, which must be the last one exactly if it says so.
fn early(proxy: &Proxy, version: &str, path: &str, framing: &str, begin: &str) -> Response {
    let mut client = proxy.client();
    client.send(format!(
        "POST {path} HTTP/{version}\r\nHost: x\r\nConnection: keep-alive\r\n{framing}\r\n{begin}"
    ));
    let answer = client.read_answer();
    let is_last = answer.head.lists("connection", "close");
    // What a caller does who has sent its whole body meanwhile.
    client.send("GET /here HTTP/1.1\r\nHost: x\r\n\r\n");
    if is_last {
        assert!(client.read_to_end().is_empty(), "{path} {framing}");
    } else {
        assert_eq!(client.read_answer().status, 403, "{path} {framing}");
    }
    answer
}

fn says_close(answer: &Response) -> bool {
    answer.head.lists("connection", "close")
}

#[test]
fn an_answer_to_an_upload_that_is_not_read_says_that_the_connection_ends() {
    let origin = refusing(Origin::start());
    let proxy = Proxy::with(&Setup::to(&origin).also(OWN));
    let begun = "x".repeat(1000);
    let chunk = format!("3e8\r\n{begun}\r\n");
    for path in ["/whole", "/streams", "/fine", "/here", "/%2F"] {
        for (version, framing, begin) in [
            ("1.1", LONG, &begun),
            ("1.0", LONG, &begun),
            ("1.1", "Transfer-Encoding: chunked\r\n", &chunk),
        ] {
            let answer = early(&proxy, version, path, framing, begin);
            assert!(says_close(&answer), "{path} HTTP/{version} {framing}");
        }
    }
}

#[test]
fn a_short_upload_that_is_not_read_does_not_cost_the_connection() {
    let origin = refusing(Origin::start());
    let proxy = Proxy::with(&Setup::to(&origin).also(OWN));
    for path in ["/here", "/%2F"] {
        for (framing, body) in [
            ("Content-Length: 3\r\n", "abc"),
            ("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"),
        ] {
            let answer = early(&proxy, "1.1", path, framing, body);
            assert!(!says_close(&answer), "{path} {framing}");
        }
    }
}

#[test]
fn a_short_body_that_comes_behind_its_answer_is_read_past() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).also(OWN));
    let mut client = proxy.client();
    client.send("POST /here HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n");
    assert!(!says_close(&client.read_answer()));
    client.send("x".repeat(50_000));
    assert_eq!(client.get("/here").status, 403);
}

#[test]
fn an_early_answer_of_an_http_2_upstream_says_that_the_connection_ends() {
    let origin = H2Origin::start();
    let setup = Setup::to_address(origin.address()).upstream("protocol = \"http2\"");
    let proxy = Proxy::with(&setup.also(OWN));
    let answer = early(&proxy, "1.1", "/refuse", LONG, "abc");
    assert_eq!(answer.status, 413);
    assert!(says_close(&answer));
}

#[test]
fn a_caller_over_http_2_keeps_its_connection() {
    let origin = refusing(Origin::start());
    let proxy = Proxy::with(&Setup::to(&origin).also(OWN));
    let client = H2Client::connect(proxy.address());
    for path in ["/whole", "/here"] {
        let mut upload = client.open("POST", path, &[("content-length", "1048576")]);
        upload.send("abc");
        assert!([413, 403].contains(&upload.status()), "{path}");
    }
    assert_eq!(client.get("/here").status, 403);
}
