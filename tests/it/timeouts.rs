//! How long a caller and an upstream may take.

use crate::support::frames::{FrameClient, GOAWAY};
use crate::support::{Gate, H2Client, Origin, Proxy, SOON, Script, Setup, eventually, stays};
use std::time::Duration;

#[test]
fn a_request_head_that_does_not_end_is_given_up() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).listener(r#"header_timeout = "150ms""#));
    let mut client = proxy.client();
    let answer = client.send("GET / HTTP/1.1\r\nHost: loc").try_answer();
    if let Ok(answer) = answer {
        answer.assert_refused(408, "request_timeout");
    }
    assert!(client.closes_within(SOON));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn an_http2_preface_that_does_not_end_is_given_up() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).listener(r#"header_timeout = "150ms""#));
    let mut client = proxy.client();
    assert!(client.send("PRI * HT").closes_within(SOON));
}

#[test]
fn a_connection_without_a_request_is_closed_when_idle() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).listener(r#"idle_timeout = "150ms""#));
    let mut fresh = proxy.client();
    let mut used = proxy.client();
    assert_eq!(used.get("/").status, 200);
    assert!(used.closes_within(SOON), "one that had a request");
    assert!(fresh.closes_within(SOON), "one that said nothing");
}

#[test]
fn an_http2_connection_without_a_stream_is_closed_when_idle() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).listener(r#"idle_timeout = "150ms""#));
    let mut fresh = FrameClient::connect(proxy.address());
    let mut used = FrameClient::connect(proxy.address());
    used.get("/");
    assert!(used.next(GOAWAY).is_some(), "one that had a stream");
    assert!(fresh.next(GOAWAY).is_some(), "one that had none");
}

#[test]
fn an_idle_http2_connection_is_closed_though_its_caller_answers_nothing() {
    let origin = Origin::start();
    let proxy = Proxy::with(
        &Setup::to(&origin)
            .listener(r#"idle_timeout = "150ms""#)
            .listener(r#"header_timeout = "150ms""#),
    );
    let mut silent = proxy.client();
    // The preface with empty settings; neither settings nor pings are ever acknowledged.
    silent.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    assert!(silent.closes_within(SOON));
}

#[test]
fn an_idle_connection_outlives_the_header_timeout() {
    let origin = Origin::start().on("/never", Script::new().stall());
    let proxy = Proxy::with(
        &Setup::to(&origin)
            .listener(r#"header_timeout = "50ms""#)
            .route(r#"timeout = "150ms""#),
    );
    let mut client = proxy.client();
    assert_eq!(client.get("/").status, 200);
    // Lasts longer than the header timeout does.
    proxy.get("/never").assert_refused(504, "upstream_timeout");
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn a_request_body_that_stops_arriving_is_given_up() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).listener(r#"body_timeout = "150ms""#));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    if let Ok(answer) = client.try_answer() {
        answer.assert_refused(408, "request_timeout");
    }
    assert!(client.closes_within(SOON));
    eventually(SOON, "the origin's connection ends", || {
        origin.open_connections() == 0
    });
}

#[test]
fn an_http2_request_body_that_stops_arriving_is_given_up() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).listener(r#"body_timeout = "150ms""#));
    let client = H2Client::connect(proxy.address());
    let mut stalled = client.open("POST", "/", &[]);
    stalled.send("abc");
    assert_eq!(stalled.status(), 408);
    eventually(SOON, "the origin's connection ends", || {
        origin.open_connections() == 0
    });
    assert!(origin.requests().iter().all(|request| !request.complete));
    assert_eq!(client.get("/").status, 200, "and the connection goes on");
}

#[test]
fn an_upstream_that_does_not_answer_is_given_up() {
    let origin = Origin::start().on("/", Script::new().stall());
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"timeout = "150ms""#));
    let mut client = proxy.client();
    client.get("/").assert_refused(504, "upstream_timeout");
    eventually(SOON, "the origin's connection ends", || {
        origin.open_connections() == 0
    });
    assert_eq!(
        client.get("/other").status,
        200,
        "the caller's connection stays"
    );
}

#[test]
fn the_timeout_ends_at_the_head_of_the_answer() {
    let gate = Gate::new();
    let origin = Origin::start().on("/never", Script::new().stall()).on(
        "/stream",
        Script::new()
            .send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlo")
            .wait(&gate)
            .send("ng"),
    );
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"timeout = "150ms""#));
    let mut client = proxy.client();
    client.send_request("GET", "/stream", &[], "").read_head();
    // Lasts as long as the timeout does.
    proxy.get("/never").assert_refused(504, "upstream_timeout");
    gate.open();
    assert_eq!(client.read_bytes(4), b"long");
}

#[test]
fn the_default_timeout_can_be_turned_off_and_set_for_all() {
    let origin = Origin::start()
        .on("/", Script::new().stall())
        .on("/off", Script::new().stall());
    let proxy = Proxy::with(&Setup::to(&origin).also(
        "[defaults]\ntimeout = \"100ms\"\n\
         [routes.off]\nmatch = { path = \"/off\" }\nupstream = \"origin\"\ntimeout = \"none\"\n",
    ));
    let mut off = proxy.client();
    off.send_request("GET", "/off", &[], "");
    proxy.get("/").assert_refused(504, "upstream_timeout");
    proxy.get("/").assert_refused(504, "upstream_timeout");
    let route = [("route", "off")];
    stays(
        Duration::from_millis(50),
        "the request without a timeout goes on",
        || proxy.metrics().sum("outrigger_requests_in_flight", &route) == 1.0,
    );
}

#[test]
fn a_stream_that_stops_is_cut() {
    let origin = Origin::start().on(
        "/",
        Script::new()
            .send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
            .stall(),
    );
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"idle_timeout = "150ms""#));
    let mut client = proxy.client();
    let cut = client
        .send_request("GET", "/", &[], "")
        .try_answer()
        .unwrap_err();
    assert_eq!(cut.partial.unwrap().text(), "abc");
    eventually(SOON, "the origin's connection ends", || {
        origin.open_connections() == 0
    });
}

#[test]
fn a_deadline_holds_before_the_answer() {
    let origin = Origin::start().on("/", Script::new().stall());
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"deadline = "150ms""#));
    proxy.get("/").assert_refused(504, "deadline_exceeded");
}

#[test]
fn a_deadline_holds_within_the_answer() {
    let origin = Origin::start().on(
        "/",
        Script::new()
            .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
            .stall(),
    );
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"deadline = "150ms""#));
    let cut = proxy
        .client()
        .send_request("GET", "/", &[], "")
        .try_answer()
        .unwrap_err();
    assert_eq!(cut.partial.unwrap().text(), "abc");
    let mut stream = H2Client::connect(proxy.address())
        .open("GET", "/", &[])
        .ended();
    assert_eq!(stream.status(), 200);
    assert!(stream.try_answer().is_err());
}

#[test]
fn a_caller_may_shorten_its_time_and_the_upstream_is_told_what_is_left() {
    let origin = Origin::start().on("/stall", Script::new().stall());
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"deadline = "1h""#));
    let hurried = [("X-Request-Timeout", "100ms")];
    let answer = proxy.client().request("GET", "/stall", &hurried, "");
    answer.assert_refused(504, "deadline_exceeded");
    let call = [
        ("Content-Type", "application/grpc"),
        ("Grpc-Timeout", "2H"),
        ("X-Request-Timeout", "1000"),
    ];
    proxy.client().request("POST", "/", &call, "");
    let seen = &origin.requests()[1];
    let left: f64 = seen.header("x-request-timeout").unwrap().parse().unwrap();
    assert!((900.0..1000.0).contains(&left), "{left}");
    let grpc = seen.header("grpc-timeout").unwrap();
    let millis: u64 = grpc.strip_suffix('m').unwrap().parse().unwrap();
    assert!((900_000..1_000_000).contains(&millis), "{grpc}");
}
