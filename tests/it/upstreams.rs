//! Connections to upstreams: made, shared, limited, lost.

use crate::support::{
    BlackHole, Client, Gate, Launch, Origin, Proxy, Refusing, SOON, Script, Setup, eventually,
};

/// One worker, where connections are counted: each worker has its own.
fn on_one_worker(setup: &Setup) -> Proxy {
    Launch::new(setup.toml()).one_worker().start()
}

#[test]
fn a_refused_connection_is_told_apart() {
    let refusing = Refusing::bind();
    let proxy = Proxy::with(&Setup::to_address(refusing.address()));
    proxy.get("/").assert_refused(502, "connect_failed");
}

#[test]
fn connecting_takes_no_longer_than_it_may() {
    let hole = BlackHole::open();
    let proxy =
        Proxy::with(&Setup::to_address(hole.address()).upstream(r#"connect_timeout = "150ms""#));
    proxy.get("/").assert_refused(504, "connect_timeout");
}

#[test]
fn a_name_without_an_address_has_no_endpoint() {
    let proxy = Proxy::with(
        &Setup::to_address("does-not-exist.invalid:80").upstream(r#"connect_timeout = "500ms""#),
    );
    proxy.get("/").assert_refused(503, "no_healthy_endpoint");
}

#[test]
fn a_name_stands_for_its_addresses() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to_address(format!(
        "localhost:{}",
        origin.address().port()
    )));
    assert_eq!(proxy.get("/").status, 200);
}

#[test]
fn requests_one_after_another_share_a_connection() {
    let origin = Origin::start();
    let proxy = on_one_worker(&Setup::to(&origin));
    for _ in 0..5 {
        assert_eq!(proxy.get("/").status, 200);
    }
    let mut client = proxy.client();
    for _ in 0..5 {
        assert_eq!(client.request("POST", "/", &[], "body").status, 200);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_idle_connection_that_the_upstream_closed_is_not_noticed_by_callers() {
    let origin = Origin::start();
    let proxy = on_one_worker(&Setup::to(&origin));
    let mut client = proxy.client();
    for method in ["GET", "POST"].repeat(10) {
        let answer = client.request(method, "/", &[], "");
        assert_eq!(answer.status, 200, "{method}: {}", answer.text());
        origin.close_connections();
    }
    assert_eq!(origin.requests().len(), 20, "each arrived once");
}

#[test]
fn a_request_that_may_have_been_processed_is_not_sent_again() {
    let origin = Origin::start()
        .on("/closes", Script::new().close())
        .on("/resets", Script::new().reset());
    let proxy = Proxy::with(&Setup::to(&origin));
    for path in ["/closes", "/resets"] {
        let answer = proxy.client().request("POST", path, &[], "once");
        answer.assert_refused(502, "upstream_reset");
    }
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn an_idle_connection_is_closed_in_time() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).upstream(r#"pool = { idle_timeout = "100ms" }"#));
    assert_eq!(proxy.get("/").status, 200);
    eventually(SOON, "the idle connection ends", || {
        origin.open_connections() == 0
    });
}

#[test]
fn a_connection_that_has_grown_old_takes_no_more_requests() {
    let origin = Origin::start();
    let proxy = on_one_worker(&Setup::to(&origin).upstream(r#"pool = { max_age = "100ms" }"#));
    let mut client = proxy.client();
    eventually(SOON, "a second connection is made", || {
        assert_eq!(client.get("/").status, 200);
        origin.connections() > 1
    });
}

#[test]
fn requests_beyond_the_connections_wait_for_one() {
    let gate = Gate::new();
    let origin = Origin::start().on(
        "/slow",
        Script::new().wait(&gate).answering("200 OK", "slow"),
    );
    let proxy = on_one_worker(&Setup::to(&origin).upstream("pool = { max_connections = 1 }"));
    let mut slow = proxy.client();
    slow.send_request("GET", "/slow", &[], "");
    eventually(SOON, "the slow request arrives", || {
        origin.requests().len() == 1
    });
    let mut waiting = proxy.client();
    waiting.send_request("GET", "/waiting", &[], "");
    gate.open();
    assert_eq!(slow.read_answer().text(), "slow");
    assert_eq!(waiting.read_answer().status, 200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_caller_that_hardly_sends_its_body_gives_way_to_those_who_wait() {
    let origin = Origin::start();
    let proxy = on_one_worker(&Setup::to(&origin).upstream("pool = { max_connections = 1 }"));
    let mut slow = proxy.client();
    slow.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na");
    eventually(SOON, "the slow request arrives", || {
        origin.connections() == 1
    });
    assert_eq!(proxy.get("/").status, 200);
    slow.read_answer().assert_refused(408, "request_timeout");
}

#[test]
fn requests_beyond_those_that_may_wait_are_refused() {
    let origin = Origin::start().on("/stall", Script::new().stall());
    let proxy = on_one_worker(
        &Setup::to(&origin).upstream("pool = { max_connections = 1, max_pending = 1 }"),
    );
    let mut first = proxy.client();
    first.send_request("GET", "/stall", &[], "");
    eventually(SOON, "the first request arrives", || {
        origin.requests().len() == 1
    });
    let mut others: Vec<Client> = (0..2).map(|_| proxy.client()).collect();
    for other in &mut others {
        other.send_request("GET", "/", &[], "");
    }
    eventually(SOON, "one of them is refused", || {
        let labels = [("reason", "overloaded")];
        proxy.metrics().sum("outrigger_refused_total", &labels) == 1.0
    });
}

#[test]
fn requests_beyond_those_in_flight_are_refused_at_once() {
    let gate = Gate::new();
    let origin = Origin::start().on(
        "/slow",
        Script::new()
            .send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhe")
            .wait(&gate)
            .send("ad"),
    );
    let proxy = Proxy::with(&Setup::to(&origin).upstream("max_in_flight = 1"));
    let mut slow = proxy.client();
    slow.send_request("GET", "/slow", &[], "").read_head();
    // A request is in flight to the end of its body.
    proxy.get("/").assert_refused(503, "overloaded");
    gate.open();
    assert_eq!(slow.read_bytes(4), b"head");
    eventually(SOON, "there is room again", || proxy.get("/").status == 200);
}

#[test]
fn an_endpoint_that_refuses_connections_is_not_noticed_beside_one_that_serves() {
    let origin = Origin::start();
    let refusing = Refusing::bind();
    let list = format!("[\"{}\", \"{}\"]", refusing.address(), origin.address());
    let proxy = Proxy::with(&Setup::to(&origin).endpoints(list));
    for _ in 0..20 {
        assert_eq!(proxy.get("/").status, 200);
        assert_eq!(proxy.client().request("POST", "/", &[], "x").status, 200);
    }
}

#[test]
fn an_endpoint_that_takes_no_connections_is_not_noticed_beside_one_that_serves() {
    let origin = Origin::start();
    let hole = BlackHole::open();
    let list = format!("[\"{}\", \"{}\"]", hole.address(), origin.address());
    let setup = Setup::to(&origin)
        .endpoints(list)
        .upstream("connect_timeout = \"100ms\"\nbalancer = \"round-robin\"")
        .upstream("outlier_detection = false");
    let proxy = Proxy::with(&setup);
    for _ in 0..4 {
        assert_eq!(proxy.get("/").status, 200);
        assert_eq!(proxy.client().request("POST", "/", &[], "x").status, 200);
    }
}

#[test]
fn round_robin_takes_endpoints_in_turn_by_weight() {
    let (one, two) = (Origin::start(), Origin::start());
    let list = format!(
        "[\"{}\", {{ address = \"{}\", weight = 3 }}]",
        one.address(),
        two.address()
    );
    let proxy = on_one_worker(
        &Setup::to(&one)
            .endpoints(list)
            .upstream(r#"balancer = "round-robin""#),
    );
    let mut client = proxy.client();
    for _ in 0..40 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!((one.requests().len(), two.requests().len()), (10, 30));
}

#[test]
fn a_hash_keeps_a_caller_with_one_endpoint() {
    let (one, two) = (Origin::start(), Origin::start());
    let list = format!("[\"{}\", \"{}\"]", one.address(), two.address());
    let proxy = Proxy::with(
        &Setup::to(&one)
            .endpoints(list)
            .upstream(r#"balancer = { hash = "header:x-user" }"#),
    );
    for user in 0..16 {
        let name = format!("user-{user}");
        let before = one.requests().len();
        for _ in 0..4 {
            proxy.client().request("GET", "/", &[("X-User", &name)], "");
        }
        assert!(matches!(one.requests().len() - before, 0 | 4), "{name}");
    }
    assert!(
        one.connections() > 0 && two.connections() > 0,
        "both endpoints have callers"
    );
}

#[test]
fn every_balancer_serves() {
    let (one, two) = (Origin::start(), Origin::start());
    let list = format!("[\"{}\", \"{}\"]", one.address(), two.address());
    for balancer in ["peak-ewma", "least-request", "random"] {
        let setup = Setup::to(&one)
            .endpoints(&list)
            .upstream(format!("balancer = \"{balancer}\""));
        let proxy = Proxy::with(&setup);
        for _ in 0..20 {
            assert_eq!(proxy.get("/").status, 200, "{balancer}");
        }
    }
}

#[test]
fn an_endpoint_that_returns_is_used_again() {
    let refusing = Refusing::bind();
    let proxy = Proxy::with(&Setup::to_address(refusing.address()));
    proxy.get("/").assert_refused(502, "connect_failed");
    let _origin = Origin::on_listener(refusing.listen());
    eventually(SOON, "the endpoint is used again", || {
        proxy.get("/").status == 200
    });
}
