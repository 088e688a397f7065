//! Requests that are refused while their head is read: they are counted, logged and told like all others.

use serde_json::Value;

use crate::support::frames::{FrameClient, RST_STREAM};
use crate::support::pki::Ask;
use crate::support::{H2Client, Origin, Proxy, SOON, Setup, eventually};

const LOGGED: &str = "[log]\naccess_log = true\n";

/// The access log's line about a request, once it is written.
fn line(proxy: &Proxy, request_id: &str) -> Value {
    let mut found = None;
    eventually(SOON, "the line is written", || {
        let log = proxy.stdout();
        found = log
            .lines()
            .find(|line| line.contains(request_id))
            .map(|line| serde_json::from_str(line).unwrap());
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn over_http1_each_has_the_line_that_its_caller_can_name() {
    let origin = Origin::start();
    let proxy = Proxy::with(
        &Setup::to(&origin)
            .listener("max_headers = 5\nmax_header_bytes = \"1KiB\"\nheader_timeout = \"150ms\"")
            .also(LOGGED),
    );
    let many = "X-A: 1\r\n".repeat(6);
    let long = "y".repeat(2000);
    for (sent, status, reason, method, path) in [
        ("GET /a HTTP/1.1\r\n\r\n", 400, "bad_request", "GET", "/a"),
        (
            "PUT /b HTTP/1.1\r\nHost: x\r\nbad header: 1\r\n\r\n",
            400,
            "bad_request",
            "PUT",
            "/b",
        ),
        ("GET /c HTTP/3.0\r\n\r\n", 400, "bad_request", "GET", "/c"),
        ("\0\0\r\n\r\n", 400, "bad_request", "", ""),
        (
            &format!("GET /d HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
            431,
            "headers_too_large",
            "GET",
            "/d",
        ),
        (
            &format!("GET /e HTTP/1.1\r\nHost: x\r\nX-A: {long}"),
            431,
            "headers_too_large",
            "GET",
            "/e",
        ),
        (
            "GET /f HTTP/1.1\r\nHost: x\r\nX-",
            408,
            "request_timeout",
            "GET",
            "/f",
        ),
    ] {
        let answer = proxy.client().send(sent).read_answer();
        answer.assert_refused(status, reason);
        let problem = answer.json();
        let line = line(&proxy, problem["request_id"].as_str().unwrap());
        assert_eq!(line["http.response.status_code"], status, "{line}");
        assert_eq!(line["outrigger.reason"], reason, "{line}");
        assert_eq!(line["outrigger.detail"], problem["detail"], "{line}");
        assert_eq!(line["outrigger.listener"], "main", "{line}");
        assert_eq!(line["client.address"], "127.0.0.1", "{line}");
        let body = answer.body.len();
        assert_eq!(line["http.response.body.size"], body, "{line}");
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(text("http.request.method"), method, "{line}");
        assert_eq!(text("url.path"), path, "{line}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_refused_head_keeps_its_request_id_and_shows_what_the_log_may_show() {
    let origin = Origin::start();
    let proxy = Proxy::with(
        &Setup::to(&origin).also(format!("{LOGGED}access_log_headers = [\"x-tenant\"]\n")),
    );
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let sent = format!(
        "GET /a?marker HTTP/1.1\r\nX-Request-Id: id-1\r\nTraceparent: 00-{trace}-b7ad6b7169203331-01\r\n\
         X-Tenant: acme\r\nCookie: marker\r\n\r\n"
    );
    let answer = proxy.client().send(sent).read_answer();
    assert_eq!(answer.json()["request_id"], "id-1");
    assert_eq!(answer.json()["trace_id"], trace);
    let line = line(&proxy, "id-1");
    assert_eq!(line["http.request.header.x-tenant"][0], "acme");
    assert_eq!(line["network.protocol.version"], "1.1");
    assert_eq!(line["trace_id"], trace);
    assert!(!line.to_string().contains("marker"), "{line}");
}

#[test]
fn a_refused_head_request_is_answered_without_a_body() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).listener("max_header_bytes = \"1KiB\""));
    let long = "y".repeat(2000);
    for sent in [
        "HEAD / HTTP/1.1\r\n\r\n".to_owned(),
        format!("HEAD / HTTP/1.1\r\nHost: x\r\nX-A: {long}"),
    ] {
        let mut client = proxy.client();
        client.send(sent);
        let head = client.read_head();
        assert!(head.word(1).starts_with('4'));
        assert!(client.read_to_end().is_empty());
    }
}

#[test]
fn over_http2_each_has_a_line_even_where_nobody_may_answer() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).listener("max_headers = 5").also(LOGGED));
    let mut fields = vec![("x-a", "1"); 6];
    fields.push(("x-request-id", "id-1"));
    let answer = H2Client::connect(proxy.address()).request("GET", "/many", &fields, "");
    assert_eq!(answer.status, 431);
    let many = line(&proxy, "id-1");
    assert_eq!(many["http.response.status_code"], 431, "{many}");
    assert_eq!(many["outrigger.reason"], "headers_too_large", "{many}");
    assert_eq!(many["http.request.method"], "GET", "{many}");
    assert_eq!(many["url.path"], "/many", "{many}");
    assert_eq!(many["server.address"], "localhost", "{many}");
    assert_eq!(many["network.protocol.version"], "2", "{many}");

    // GET http / of the static table (RFC 7541), and a TE that HTTP/2 does not have.
    let mut client = FrameClient::connect(proxy.address());
    client.send(0x1, 0x5, 1, b"\x82\x86\x84\x00\x02te\x04gzip");
    assert!(client.next(RST_STREAM).is_some());
    let malformed = line(&proxy, "a TE other than trailers");
    assert_eq!(malformed["http.response.status_code"], 400, "{malformed}");
    assert_eq!(malformed["outrigger.reason"], "bad_request", "{malformed}");
    assert_eq!(malformed["http.request.method"], "GET", "{malformed}");
    assert_eq!(malformed["url.path"], "/", "{malformed}");
    assert!(malformed["outrigger.request_id"].is_string(), "{malformed}");
    let refused = [("reason", "bad_request")];
    assert_eq!(
        proxy.metrics().sum("outrigger_refused_total", &refused),
        1.0
    );
}

#[test]
fn plain_http_on_a_port_of_tls_has_a_line() {
    let origin = Origin::start();
    let files = tempfile::tempdir().unwrap();
    let leaf = Ask::of(&["localhost"]).self_signed();
    let (cert, key) = leaf.write(files.path(), "server");
    let tls = format!("tls.cert = {cert:?}\ntls.key = {key:?}");
    let proxy = Proxy::with(&Setup::to(&origin).listener(tls).also(LOGGED));
    let answer = proxy.client().get("/plain");
    answer.assert_refused(400, "bad_request");
    let line = line(&proxy, answer.json()["request_id"].as_str().unwrap());
    assert_eq!(line["url.path"], "/plain", "{line}");
}
