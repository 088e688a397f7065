//! JSON bodies changed on their way.

use std::io::Write;

use crate::support::{Gate, H2Client, H2Origin, Launch, Origin, Proxy, Script, Setup};

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// What arrives upstream when `body` is sent through `steps`.
fn sent(steps: &str, body: &str) -> String {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).route(format!("request.body = {steps}")));
    let answer = proxy.client().request("POST", "/", &[JSON], body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    origin.only_request().text()
}

fn json_answer(head: &str, body: impl AsRef<[u8]>) -> Script {
    let length = body.as_ref().len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{head}\r\n"
    );
    Script::new().send([head.as_bytes(), body.as_ref()].concat())
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_request_is_changed_step_by_step() {
    let steps = r#"[
        { jmespath = "order" },
        { rename = { nr = "number", "/by/mail" = "/contact/mail" } },
        { set = { "/meta/source" = "sidecar" } },
        { remove = ["/by"] },
        { wrap = "data" },
        { template = '{"payload": {{ body.data }}}' },
    ]"#;
    let body = r#"{"order":{"nr":12345678901234567890,"by":{"mail":"a@example.com","age":1.50}}}"#;
    assert_eq!(
        sent(steps, body),
        r#"{"payload":{"number":12345678901234567890,"contact":{"mail":"a@example.com"},"meta":{"source":"sidecar"}}}"#
    );
}

#[test]
fn an_answer_is_changed_and_what_describes_it_made_right() {
    let origin = Origin::start().on(
        "/",
        json_answer(
            "etag: \"abc\"\r\ndigest: sha-256=x\r\ncontent-digest: sha-256=:x:\r\ncontent-md5: x\r\n\
             accept-ranges: bytes\r\nx-keep: 1\r\n",
            r#"{"name":"ann","secret":1}"#,
        ),
    );
    let proxy =
        Proxy::with(&Setup::to(&origin).route(r#"response.body = [{ remove = ["secret"] }]"#));
    let answer = proxy.get("/");
    assert_eq!(answer.text(), r#"{"name":"ann"}"#);
    assert_eq!(answer.header("content-length"), Some("14"));
    assert_eq!(answer.header("x-keep"), Some("1"));
    for gone in [
        "etag",
        "digest",
        "content-digest",
        "content-md5",
        "accept-ranges",
    ] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
}

#[test]
fn trailers_of_a_body_that_is_changed_are_dropped() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\ntrailer: digest\r\n\r\n";
    let origin = Origin::start().on(
        "/",
        Script::new().send(format!("{head}3\r\n[1]\r\n0\r\ndigest: x\r\n\r\n")),
    );
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"response.body = [{ wrap = "a" }]"#));
    let answer = proxy.get("/");
    assert_eq!(answer.text(), r#"{"a":[1]}"#);
    assert_eq!(answer.header("content-length"), Some("9"));
    assert_eq!(answer.header("trailer"), None);
}

#[test]
fn compressed_bodies_are_changed_both_ways() {
    let brotli: Vec<u8> = b"\x0b\x0c\x80{\"name\":\"ann\",\"secret\":1}\x03".to_vec();
    let text = br#"{"name":"ann","secret":1}"#;
    let zstd =
        ruzstd::encoding::compress_to_vec(&text[..], ruzstd::encoding::CompressionLevel::Fastest);
    for (name, encoded) in [("gzip", gzip(text)), ("br", brotli), ("zstd", zstd)] {
        let origin = Origin::start().on(
            "/",
            json_answer(&format!("content-encoding: {name}\r\n"), &encoded),
        );
        let setup = Setup::to(&origin)
            .route(r#"request.body = [{ remove = ["secret"] }]"#)
            .route(r#"response.body = [{ remove = ["secret"] }]"#);
        let proxy = Proxy::with(&setup);
        let mut client = proxy.client();
        client.send(format!(
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-encoding: {name}\r\n\
             content-length: {}\r\n\r\n",
            encoded.len()
        ));
        client.send(&encoded);
        let answer = client.read_answer();
        assert_eq!(answer.text(), r#"{"name":"ann"}"#, "{name}");
        assert_eq!(answer.header("content-encoding"), None);
        let seen = origin.only_request();
        assert_eq!(seen.text(), r#"{"name":"ann"}"#, "{name}");
        assert_eq!(seen.header("content-encoding"), None);
    }
}

#[test]
fn bodies_are_changed_over_http2_on_both_sides() {
    let origin = H2Origin::start();
    let setup = Setup::to_address(origin.address())
        .upstream(r#"protocol = "http2""#)
        .route(r#"request.body = [{ wrap = "sent" }]"#)
        .route(r#"response.body = [{ wrap = "answered" }]"#);
    let proxy = Proxy::with(&setup);
    let client = H2Client::connect(proxy.address());
    let json = ("content-type", "application/json");
    let headers = [json, ("content-length", "3"), ("digest", "sha-256=x")];
    let answer = client.request("POST", "/", &headers, "[1]");
    assert_eq!(answer.text(), r#"{"answered":{"sent":[1]}}"#);
    assert_eq!(answer.header("content-length"), Some("25"));
    let seen = origin.requests();
    assert_eq!(seen[0].headers["content-length"], "12");
    assert!(!seen[0].headers.contains_key("digest"));
    let cut = client.request("POST", "/cut", &[json], "[1]");
    assert_eq!(
        (cut.status, cut.header("outrigger-reason")),
        (502, Some("upstream_reset"))
    );
}

#[test]
fn a_caller_that_waits_to_be_asked_for_its_body_is_asked() {
    let origin = Origin::start();
    let setup = Setup::to(&origin).route(r#"request.body = [{ wrap = "a" }]"#);
    let proxy = Proxy::with(&setup);
    let mut client = proxy.client();
    client.send(
        "PUT / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n\
         content-length: 3\r\n\r\n",
    );
    assert_eq!(client.read_head().start, "HTTP/1.1 100 Continue");
    client.send("[1]");
    assert_eq!(client.read_answer().status, 200);
    let seen = origin.only_request();
    assert_eq!(seen.text(), r#"{"a":[1]}"#);
    assert_eq!(seen.header("expect"), None, "nothing is left to wait for");
}

#[test]
fn a_bomb_is_refused_at_the_limit() {
    let bomb = gzip(&vec![b'0'; 32 << 20]);
    let encoding = ("Content-Encoding", "gzip");
    let origin = Origin::start().on("/answer", json_answer("content-encoding: gzip\r\n", &bomb));
    let setup = Setup::to(&origin)
        .route(r#"request.body = [{ wrap = "a" }]"#)
        .route(r#"response.body = [{ wrap = "a" }]"#);
    let proxy = Proxy::with(&setup);
    let before = proxy.metrics().sum("process_resident_memory_bytes", &[]);
    for _ in 0..10 {
        let mut client = proxy.client();
        client.send(format!(
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{}: gzip\r\ncontent-length: {}\r\n\r\n",
            encoding.0,
            bomb.len()
        ));
        client.send(&bomb);
        client.read_answer().assert_refused(413, "body_too_large");
        proxy.get("/answer").assert_refused(502, "transform_failed");
    }
    let grown = proxy.metrics().sum("process_resident_memory_bytes", &[]) - before;
    assert!(grown < f64::from(16 << 20), "grew by {grown} bytes");
    let failures = |direction| {
        let labels = [("route", "all"), ("direction", direction)];
        proxy
            .metrics()
            .sum("outrigger_transform_failures_total", &labels)
    };
    assert_eq!((failures("request"), failures("response")), (10.0, 10.0));
}

#[test]
fn requests_that_cannot_be_changed_are_refused_each_with_its_reason() {
    let origin = Origin::start();
    let setup = Setup::to(&origin)
        .route(r#"request = { max_body = "20B", body = [{ set = { "/a/b" = 1 } }] }"#);
    let proxy = Proxy::with(&setup);
    let post = |headers: &[(&str, &str)], body: &str| {
        proxy
            .client()
            .request("POST", "/", &[&[JSON], headers].concat(), body)
    };
    post(&[], r#"{"a":1,"a":2}"#).assert_refused(400, "invalid_body");
    post(&[], "{").assert_refused(400, "invalid_body");
    post(&[], r#"{"a":1}"#).assert_refused(502, "transform_failed");
    post(&[], r#"{"a":"0123456789012"}"#).assert_refused(413, "body_too_large");
    post(&[("Content-Encoding", "dcb")], "{}").assert_refused(415, "unsupported_encoding");
    post(&[("Content-Encoding", "gzip")], "{}").assert_refused(400, "invalid_body");
    let mut client = proxy.client();
    client.send(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
         15\r\n\"0123456789012345678\"\r\n0\r\n\r\n",
    );
    client.read_answer().assert_refused(413, "body_too_large");
    assert!(
        origin.requests().is_empty(),
        "nothing of them went upstream"
    );
    let answer = post(&[], r#"{"a":{"a":1}}"#);
    assert_eq!(answer.status, 200);
    assert_eq!(origin.only_request().text(), r#"{"a":{"a":1,"b":1}}"#);
}

#[test]
fn an_answer_that_cannot_be_changed_is_never_sent_in_part() {
    let origin = Origin::start()
        .on("/cut", json_answer("x: y\r\n", "[1").close())
        .on("/no-json", json_answer("", "<html>"))
        .on("/scalar", json_answer("", "7"))
        .on("/coded", json_answer("content-encoding: dcb\r\n", "[1]"))
        .on("/short", Script::new().send(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n[1",
        ).close());
    let proxy =
        Proxy::with(&Setup::to(&origin).route(r#"response.body = [{ set = { "/a" = 1 } }]"#));
    proxy
        .get("/cut")
        .assert_refused(502, "invalid_upstream_body");
    proxy
        .get("/no-json")
        .assert_refused(502, "invalid_upstream_body");
    proxy.get("/scalar").assert_refused(502, "transform_failed");
    proxy.get("/coded").assert_refused(502, "transform_failed");
    proxy.get("/short").assert_refused(502, "upstream_reset");
}

#[test]
fn what_is_not_json_passes_unless_json_is_required() {
    let text = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1\r\n\r\nx";
    let origin = Origin::start().on("/text", Script::new().send(text));
    let steps = r#"body = [{ wrap = "a" }]"#;
    let setup = |more: &str| {
        Setup::to(&origin).route(format!(
            "request = {{ {steps}{more} }}\nresponse = {{ {steps}{more} }}"
        ))
    };
    let text = ("Content-Type", "text/plain");
    let passing = Proxy::with(&setup(""));
    let answer = passing.client().request("POST", "/", &[text], "hello");
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));

    let strict = Proxy::with(&setup(", require_json = true"));
    let refused = strict.client().request("POST", "/", &[text], "hello");
    refused.assert_refused(400, "invalid_body");
    strict
        .client()
        .request("POST", "/", &[], "")
        .assert_refused(400, "invalid_body");
    assert_eq!(strict.get("/").status, 200, "no content has no type");
    let answer = strict.client().request("POST", "/text", &[JSON], "1");
    answer.assert_refused(502, "invalid_upstream_body");
    let suffix = ("Content-Type", "application/vnd.api+json; charset=utf-8");
    let answer = strict.client().request("POST", "/", &[suffix], "1");
    assert_eq!(answer.text(), r#"{"a":{"a":1}}"#);
}

#[test]
fn an_escape_that_is_no_unicode_is_kept_as_it_came() {
    let steps = r#"[{ set = { b = 1 } }]"#;
    let body = r#"{"a\udc00":"\ud800 \ud83d\ude00 x"}"#;
    assert_eq!(
        sent(steps, body),
        "{\"a\\udc00\":\"\\ud800 \u{1f600} x\",\"b\":1}"
    );
    let template = r#"[{ template = '{"n": {{ body.a }}}' }]"#;
    assert_eq!(sent(template, r#"{"a":"\ud800"}"#), r#"{"n":"\ud800"}"#);
}

#[test]
fn a_body_without_steps_streams() {
    let gate = Gate::new();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\n";
    let origin = Origin::start().on(
        "/",
        Script::new()
            .send(format!("{head}[1"))
            .wait(&gate)
            .send(",2"),
    );
    // Steps for requests, and limits, leave the way back alone.
    let setup =
        Setup::to(&origin).route(r#"request = { body = [{ wrap = "a" }], max_body = "1KiB" }"#);
    let proxy = Proxy::with(&setup);
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    client.read_head();
    assert_eq!(client.read_bytes(2), b"[1");
    gate.open();
    assert_eq!(client.read_bytes(2), b",2");
}

#[test]
fn an_upload_without_steps_streams_up_to_its_limit() {
    let origin = Origin::start().on("/", Script::echo_pieces());
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"request = { max_body = "8B" }"#));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n");
    client.read_head();
    client.read_bytes(4);
    client.send("5\r\nefghi\r\n");
    // The answer had begun, so all that is left is to cut it off.
    assert!(!String::from_utf8_lossy(&client.read_to_end()).contains("efghi"));
    let announced = proxy.client().request("POST", "/", &[], "123456789");
    announced.assert_refused(413, "body_too_large");
}

#[test]
fn answers_without_a_document_are_left_alone() {
    let json = "content-type: application/json\r\n";
    let origin = Origin::start()
        .on("/204", Script::new().send(format!("HTTP/1.1 204 No Content\r\n{json}\r\n")))
        .on("/304", Script::new().send(format!("HTTP/1.1 304 Not Modified\r\n{json}etag: \"1\"\r\n\r\n")))
        .on("/head", Script::new().send(format!("HTTP/1.1 200 OK\r\n{json}content-length: 9\r\netag: \"1\"\r\n\r\n")))
        .on("/events", Script::new().send(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9\r\n\r\ndata: 1\n\n",
        ));
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"response.body = [{ wrap = "a" }]"#));
    assert_eq!(proxy.get("/204").status, 204);
    let not_modified = proxy.get("/304");
    assert_eq!(
        (not_modified.status, not_modified.header("etag")),
        (304, Some("\"1\""))
    );
    let mut client = proxy.client();
    let head = client.request("HEAD", "/head", &[], "");
    assert_eq!(
        (head.header("content-length"), head.header("etag")),
        (None, None)
    );
    assert_eq!(client.get("/events").text(), "data: 1\n\n");
}

#[test]
fn the_upstream_is_asked_for_what_can_be_read() {
    let origin = Origin::start().on("/", json_answer("", "[1]"));
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"response.body = [{ wrap = "a" }]"#));
    let headers = [("Accept-Encoding", "dcb, gzip;q=0.5")];
    let answer = proxy.client().request("GET", "/", &headers, "");
    assert_eq!(answer.text(), r#"{"a":[1]}"#);
    let seen = origin.only_request();
    assert_eq!(seen.header("accept-encoding"), Some("gzip;q=0.5"));
}

#[test]
fn changed_headers_come_after_the_changed_body() {
    let origin = Origin::start().on("/", json_answer("", "[1]"));
    let setup = Setup::to(&origin).route(
        r#"response = { body = [{ wrap = "a" }], set_headers = { content-type = "application/vnd.a+json" } }"#,
    );
    let answer = Proxy::with(&setup).get("/");
    assert_eq!(
        answer.header("content-type"),
        Some("application/vnd.a+json")
    );
    assert_eq!(answer.text(), r#"{"a":[1]}"#);
}

#[test]
fn new_steps_apply_at_once_and_wrong_ones_are_kept_out() {
    let origin = Origin::start().on("/", json_answer("", r#"{"b":1}"#));
    let with = |steps: &str| {
        Setup::to(&origin)
            .route(format!("response.body = [{steps}]"))
            .toml()
    };
    let mut proxy = Launch::new(with(r#"{ wrap = "a" }"#)).start();
    assert_eq!(proxy.get("/").text(), r#"{"a":{"b":1}}"#);
    proxy.reload_with(with(r#"{ jmespath = "b" }"#));
    assert_eq!(proxy.get("/").text(), "1");
    let error = proxy.reload_refused(with(r#"{ wrap = "a" }, { jmespath = "b[" }"#));
    assert!(error.contains("not a JMESPath expression"), "{error}");
    assert_eq!(proxy.get("/").text(), "1");
}
