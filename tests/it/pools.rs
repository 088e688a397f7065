//! Who waits for a place in the proxy's own pool: nobody else is to blame for that.

use crate::support::{
    Client, Gate, H2Client, H2Origin, Launch, Origin, Proxy, SOON, Script, Setup, eventually,
};

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n";

/// A breaker that opens at the first failure, and an ejection at the first as well.
fn strict(setup: Setup) -> Setup {
    setup
        .upstream("outlier_detection = { consecutive_failures = 1 }")
        .route("circuit_breaker = { consecutive_failures = 1 }")
}

fn on_one_worker(setup: &Setup) -> Proxy {
    Launch::new(setup.toml()).one_worker().start()
}

/// An event stream, of which the beginning has come.
fn stream(proxy: &Proxy) -> Client {
    let mut client = proxy.client();
    let head = client.send_request("GET", "/stream", &[], "").read_head();
    assert!(head.start.starts_with("HTTP/1.1 200"), "{head:?}");
    client
}

/// Neither breaker nor ejection nor metrics know of a failure, and only the refusal is counted.
fn assert_nobody_is_blamed(proxy: &Proxy) {
    let route = proxy.admin("GET", "/routes/all", "").json();
    let breaker = &route["state"]["circuit_breaker"];
    assert_eq!(breaker["state"], "closed");
    assert_eq!(breaker["consecutive_failures"], 0);
    let upstream = proxy.admin("GET", "/upstreams/origin", "").json();
    let endpoint = &upstream["endpoints"][0];
    assert_eq!(endpoint["failures"], 0);
    assert_eq!(endpoint["last_error"], serde_json::Value::Null);
    assert_eq!(endpoint["penalty_seconds"], serde_json::Value::Null);
    let metrics = proxy.metrics();
    for result in ["failed", "timeout", "cancelled"] {
        let labels = [("upstream", "origin"), ("result", result)];
        let count = metrics.sum("outrigger_upstream_requests_total", &labels);
        assert_eq!(count, 0.0, "{result}");
    }
    let labels = [("route", "all"), ("reason", "overloaded")];
    assert!(metrics.sum("outrigger_refused_total", &labels) > 0.0);
}

#[test]
fn a_hundred_and_ten_event_streams_leave_room_for_other_requests() {
    let gate = Gate::new();
    let origin = Origin::start().on("/stream", Script::new().send(STREAM).wait(&gate));
    let proxy = Proxy::with(&Setup::to(&origin));
    let streams: Vec<Client> = (0..110).map(|_| stream(&proxy)).collect();
    for method in ["GET", "POST"] {
        let answer = proxy.client().request(method, "/", &[], "");
        assert_eq!(answer.status, 200);
    }
    gate.open();
    drop(streams);
}

#[test]
fn a_wait_for_a_connection_that_is_too_long_is_our_own_overload() {
    for limit in [
        "timeout = \"300ms\"",
        "deadline = \"300ms\"",
        "retry = { per_try_timeout = \"300ms\" }",
    ] {
        let gate = Gate::new();
        let origin = Origin::start().on("/stream", Script::new().send(STREAM).wait(&gate));
        let setup = strict(Setup::to(&origin))
            .upstream("pool = { max_connections = 1 }")
            .route(limit)
            .also("[routes.stream]\nmatch = { path = \"/stream\" }\nupstream = \"origin\"\n");
        let proxy = on_one_worker(&setup);
        let streaming = stream(&proxy);
        for _ in 0..2 {
            let refused = proxy.get("/");
            refused.assert_refused(503, "overloaded");
            let detail = refused.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("pool"), "{limit}: {detail}");
        }
        assert_nobody_is_blamed(&proxy);
        gate.open();
        drop(streaming);
        eventually(SOON, "there is room again", || {
            let answer = proxy.get("/");
            assert_ne!(answer.reason(), Some("circuit_open"));
            answer.status == 200
        });
    }
}

#[test]
fn a_wait_for_a_stream_that_is_too_long_is_our_own_overload() {
    let origin = H2Origin::with_streams(1);
    let setup = strict(Setup::to_address(origin.address()))
        .upstream("protocol = \"http2\"\npool = { max_connections = 1 }")
        .route("timeout = \"300ms\"");
    let proxy = on_one_worker(&setup);
    let client = H2Client::connect(proxy.address());
    let mut held = client.open("POST", "/echo", &[("content-type", "text/plain")]);
    held.send("piece");
    assert_eq!(held.status(), 200);
    for _ in 0..2 {
        let refused = proxy.get("/");
        refused.assert_refused(503, "overloaded");
        assert!(refused.text().contains("pool"), "{}", refused.text());
    }
    assert_nobody_is_blamed(&proxy);
    held.end();
    drop(held);
    eventually(SOON, "there is room again", || proxy.get("/").status == 200);
}

#[test]
fn a_caller_in_a_hurry_is_told_of_its_own_limit() {
    let gate = Gate::new();
    let origin = Origin::start().on("/stream", Script::new().send(STREAM).wait(&gate));
    let setup = strict(Setup::to(&origin)).upstream("pool = { max_connections = 1 }");
    let proxy = on_one_worker(&setup);
    let _streaming = stream(&proxy);
    let hurried = [("x-request-timeout", "50ms")];
    let answer = proxy.client().request("GET", "/", &hurried, "");
    answer.assert_refused(504, "deadline_exceeded");
    let upstream = proxy.admin("GET", "/upstreams/origin", "").json();
    assert_eq!(upstream["endpoints"][0]["failures"], 0);
    gate.open();
}

#[test]
fn an_upstream_that_says_how_long_it_keeps_connections_is_believed() {
    let keeping = |seconds: u32| {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nkeep-alive: timeout=";
        Script::new().send(format!("{head}{seconds}, max=100\r\n\r\nok"))
    };
    let origin = Origin::start()
        .on("/long", keeping(60))
        .on("/short", keeping(2))
        .on("/not", keeping(1));
    let setup = Setup::to(&origin).upstream("pool = { idle_timeout = \"none\" }");
    let proxy = on_one_worker(&setup);
    for _ in 0..3 {
        assert_eq!(proxy.get("/long").text(), "ok");
    }
    assert_eq!((origin.connections(), origin.open_connections()), (1, 1));
    assert_eq!(proxy.get("/short").text(), "ok");
    eventually(SOON, "it is closed before the upstream closes it", || {
        origin.open_connections() == 0
    });
    for _ in 0..2 {
        assert_eq!(proxy.get("/not").text(), "ok");
        eventually(SOON, "it is not kept", || origin.open_connections() == 0);
    }
    assert_eq!(origin.connections(), 3);
}
