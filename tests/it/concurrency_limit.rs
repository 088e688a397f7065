//! No more requests at once than a route lets in.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Client, Gate, H2Client, Origin, Proxy, SOON, Script, Setup, eventually};

fn limited(origin: &Origin, limit: &str) -> Setup {
    Setup::to(origin).route(format!("concurrency_limit = {limit}"))
}

fn in_flight(proxy: &Proxy) -> u64 {
    let route = proxy.admin("GET", "/routes/all", "").json();
    route["state"]["concurrency_limit"]["in_flight"]
        .as_u64()
        .unwrap()
}

#[test]
fn a_request_counts_to_the_end_of_its_body() {
    let gate = Gate::new();
    let origin = Origin::start().on(
        "/slow",
        Script::new()
            .send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlo")
            .wait(&gate)
            .send("ng"),
    );
    let proxy = Proxy::with(&limited(&origin, "{ max = 1 }"));
    let mut slow = proxy.client();
    slow.send_request("GET", "/slow", &[], "").read_head();
    let mut other = proxy.client();
    other.get("/").assert_refused(503, "overloaded");
    let grpc = [("content-type", "application/grpc")];
    let refused = H2Client::connect(proxy.address()).request("POST", "/a.B/C", &grpc, "");
    assert_eq!(refused.grpc_status(), Some("14"));
    gate.open();
    assert_eq!(slow.read_bytes(4), b"long");
    eventually(SOON, "its place is free", || other.get("/").status == 200);
    eventually(SOON, "nothing is in flight", || in_flight(&proxy) == 0);
    let route = [("route", "all")];
    assert_eq!(
        proxy.metrics().sum("outrigger_concurrency_limit", &route),
        1.0
    );
}

#[test]
fn an_upgraded_connection_counts_to_its_end() {
    let origin = Origin::start().on("/ws", Script::upgrade("echo"));
    let proxy = Proxy::with(&limited(&origin, "{ max = 1 }"));
    let mut tunnel = proxy.client();
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "echo")];
    let head = tunnel.send_request("GET", "/ws", &upgrade, "").read_head();
    assert_eq!(head.word(1), "101");
    tunnel.send("hello");
    assert_eq!(tunnel.read_bytes(5), b"hello");
    proxy.get("/").assert_refused(503, "overloaded");
    drop(tunnel);
    eventually(SOON, "its place is free", || proxy.get("/").status == 200);
}

#[test]
fn a_caller_that_goes_away_makes_room() {
    let origin = Origin::start().on("/stall", Script::new().stall());
    let proxy = Proxy::with(&limited(&origin, "{ max = 1 }"));
    let mut gone = proxy.client();
    gone.send_request("GET", "/stall", &[], "");
    eventually(SOON, "it has arrived", || in_flight(&proxy) == 1);
    drop(gone);
    eventually(SOON, "its place is free", || proxy.get("/").status == 200);
}

#[test]
fn a_new_limit_applies_to_those_already_in() {
    let gate = Gate::new();
    let origin = Origin::start().on("/slow", Script::new().wait(&gate).answering("200 OK", ""));
    let mut proxy = Proxy::with(&limited(&origin, "{ max = 9 }"));
    let mut held: Vec<Client> = (0..3).map(|_| proxy.client()).collect();
    for client in &mut held {
        client.send_request("GET", "/slow", &[], "");
    }
    eventually(SOON, "all have arrived", || in_flight(&proxy) == 3);
    proxy.reload_with(limited(&origin, "{ max = 3 }").toml());
    proxy.get("/").assert_refused(503, "overloaded");
    proxy.reload_with(limited(&origin, "{ max = 4 }").toml());
    assert_eq!(proxy.get("/").status, 200);
    proxy.reload_with(limited(&origin, "{ adaptive = true, min = 3, max = 3 }").toml());
    proxy.get("/").assert_refused(503, "overloaded");
    gate.open();
    for client in &mut held {
        assert_eq!(client.read_answer().status, 200);
    }
}

#[test]
fn a_bad_limit_is_reported_at_its_place() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    for (limit, says) in [
        ("{}", "neither `max` nor `adaptive`"),
        ("{ max = 0 }", "a whole number from 1"),
        ("{ max = 5, min = 2 }", "no lowest value"),
        ("{ adaptive = true, max = 5, min = 6 }", "higher than `max`"),
        ("{ adaptve = true }", "did you mean `adaptive`?"),
    ] {
        let error = proxy.reload_refused(limited(&origin, limit).toml());
        assert!(error.contains(says), "{limit}: {error}");
        assert!(error.contains("main.toml:9:"), "{error}");
    }
}

/// 64 connections over two workers, while the upstream holds what it gets.
#[test]
fn of_a_crowd_no_more_get_through_than_there_is_room_for() {
    let gate = Gate::new();
    let origin = Origin::start().on("/", Script::new().wait(&gate).answering("200 OK", ""));
    let proxy = Proxy::with(&limited(&origin, "{ max = 20 }"));
    let (address, let_in) = (proxy.address(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| match Client::tcp(address).get("/").status {
                200 => {
                    let_in.fetch_add(1, Ordering::Relaxed);
                }
                status => assert_eq!(status, 503),
            });
        }
        let refused = [("route", "all"), ("reason", "overloaded")];
        eventually(SOON, "the others are refused", || {
            proxy.metrics().sum("outrigger_refused_total", &refused) == 44.0
        });
        gate.open();
    });
    assert_eq!(let_in.into_inner(), 20);
}
