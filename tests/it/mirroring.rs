//! Copies of requests go to another upstream, and nobody notices.

use std::net::TcpListener;

use crate::support::frames::{DATA, END_STREAM, FrameClient, HEADERS};
use crate::support::{H2Client, Origin, Proxy, Refusing, SOON, Script, Setup, eventually};

fn mirrored(origin: &Origin, shadow: impl std::fmt::Display, more: &str) -> Proxy {
    Proxy::with(&setup(origin, shadow, more))
}

fn setup(origin: &Origin, shadow: impl std::fmt::Display, more: &str) -> Setup {
    Setup::to(origin)
        .route(format!("mirror = {{ upstream = \"shadow\"{more} }}"))
        .also(format!("[upstreams.shadow]\nendpoints = [\"{shadow}\"]\n"))
}

fn mirrored_total(proxy: &Proxy, result: &str) -> f64 {
    let labels = [("route", "all"), ("result", result)];
    proxy.metrics().sum("outrigger_mirrored_total", &labels)
}

#[test]
fn a_copy_is_the_request_with_a_mark() {
    let shadow = Origin::start().on(
        "/a",
        Script::new().answering("500 Internal Server Error", "x"),
    );
    let origin = Origin::start();
    let proxy = mirrored(&origin, shadow.address(), "");
    let fields = [("X-Tenant", "acme"), ("Content-Type", "text/plain")];
    let answer = proxy.client().request("POST", "/a?b=c", &fields, "body");
    assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
    let copy = shadow.only_request();
    assert_eq!((copy.method(), copy.target()), ("POST", "/a?b=c"));
    assert_eq!(copy.text(), "body");
    assert_eq!(copy.header("x-tenant"), Some("acme"));
    assert_eq!(copy.header("outrigger-mirrored"), Some("all"));
    assert_eq!(copy.header("host"), origin.requests()[0].header("host"));
    assert_eq!(origin.requests()[0].header("outrigger-mirrored"), None);
    eventually(SOON, "it is counted", || {
        mirrored_total(&proxy, "answered") == 1.0
    });
}

/// Servers of gRPC do not answer a call without messages otherwise.
#[test]
fn an_end_that_came_apart_from_its_head_does_so_in_the_copy() {
    let (origin, shadow) = (Origin::start(), TcpListener::bind("127.0.0.1:0").unwrap());
    let setup = setup(&origin, shadow.local_addr().unwrap(), "");
    let proxy = Proxy::with(&setup.also("protocol = \"http2\"\n"));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(client.read_answer().status, 200);
    let mut shadow = FrameClient::accept(&shadow);
    let head = shadow.next(HEADERS).unwrap();
    assert_eq!(head.flags & END_STREAM, 0);
    let end = shadow.next(DATA).unwrap();
    assert_eq!((end.flags & END_STREAM, end.payload.len()), (END_STREAM, 0));
}

#[test]
fn a_request_whose_body_nobody_reads_is_copied() {
    let (origin, shadow) = (Origin::start(), Origin::start());
    let proxy = mirrored(&origin, shadow.address(), "");
    let client = H2Client::connect(proxy.address());
    // An empty DATA frame that comes together with its head.
    let answer = client.open("POST", "/", &[]).ended().answer();
    assert_eq!(answer.status, 200);
    eventually(SOON, "the copy has come", || !shadow.requests().is_empty());
    assert_eq!(shadow.only_request().text(), "");
}

#[test]
fn a_body_is_copied_as_it_goes_by_and_a_large_one_is_not() {
    let (origin, shadow) = (Origin::start(), Origin::start());
    let proxy = mirrored(&origin, shadow.address(), "");
    let client = H2Client::connect(proxy.address());
    let mut exchange = client.open("POST", "/", &[]);
    exchange.send("abc");
    eventually(SOON, "the first piece arrives", || {
        origin.requests().first().is_some_and(|r| r.length == 3)
    });
    assert_eq!(shadow.connections(), 0, "a copy waits for the whole body");
    exchange.send("def");
    assert_eq!(exchange.ended().answer().text(), "abcdef");
    assert_eq!(shadow.only_request().text(), "abcdef");
    let large = "x".repeat(100_000);
    let answer = proxy.client().request("POST", "/", &[], &large);
    assert_eq!(answer.text().len(), 100_000);
    assert_eq!(mirrored_total(&proxy, "too_large"), 1.0);
    assert_eq!(shadow.requests().len(), 1);
}

#[test]
fn a_mirror_that_stalls_or_is_gone_slows_nobody() {
    let origin = Origin::start();
    let stalled = Origin::start().on("/", Script::new().stall());
    let proxy = mirrored(&origin, stalled.address(), "");
    let mut client = proxy.client();
    for _ in 0..150 {
        assert_eq!(client.get("/").status, 200);
    }
    // No more than 100 are under way.
    assert_eq!(mirrored_total(&proxy, "too_many"), 50.0);
    let refusing = Refusing::bind();
    let proxy = mirrored(&origin, refusing.address(), "");
    assert_eq!(proxy.get("/").status, 200);
    eventually(SOON, "it is counted", || {
        mirrored_total(&proxy, "failed") == 1.0
    });
}

#[test]
fn a_share_is_copied_and_retries_are_not() {
    let shadow = Origin::start();
    let origin = Origin::start();
    let mut proxy = mirrored(&origin, shadow.address(), ", percent = 25");
    let mut client = proxy.client();
    for _ in 0..400 {
        assert_eq!(client.get("/").status, 200);
    }
    eventually(SOON, "about a quarter is copied", || {
        (50..150).contains(&shadow.requests().len())
    });
    let failing = Origin::start().on("/", Script::new().answering("503 Service Unavailable", ""));
    let again = Origin::start();
    let retried = setup(&failing, again.address(), "").route("retry = { backoff = \"1ms\" }");
    proxy.reload_with(retried.toml());
    assert_eq!(proxy.get("/").status, 503);
    assert_eq!(failing.requests().len(), 3);
    eventually(SOON, "the first attempt is copied", || {
        again.requests().len() == 1
    });
    assert_eq!(proxy.get("/").status, 503);
    eventually(SOON, "and that of the next", || again.requests().len() == 2);
}

#[test]
fn a_mirror_that_does_not_exist_is_refused_in_its_place() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let wrong = Setup::to(&origin).route("mirror = { upstream = \"orign\", percent = 0 }");
    let report = proxy.reload_refused(wrong.toml());
    assert!(report.contains("orign"), "{report}");
    assert!(report.contains("at most 100"), "{report}");
}
