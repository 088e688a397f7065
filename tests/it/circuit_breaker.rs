//! An upstream that fails is left alone for a while, and tried again with a few requests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{
    Client, Gate, H2Client, H2Origin, Origin, Proxy, Refusing, SOON, Script, Setup, eventually,
};

fn failing() -> Script {
    Script::new().answering("500 Internal Server Error", "no")
}

fn with_breaker(setup: Setup, breaker: &str) -> Setup {
    setup.route(format!("circuit_breaker = {{ {breaker} }}"))
}

fn state(proxy: &Proxy) -> Value {
    proxy.admin("GET", "/routes/all", "").json()["state"]["circuit_breaker"].clone()
}

fn is(proxy: &Proxy, wanted: &str) -> bool {
    state(proxy)["state"] == wanted
}

fn set(proxy: &Proxy, route: &str, state: &str) -> u16 {
    let order = format!("{{\"state\": \"{state}\"}}");
    proxy
        .admin("PUT", &format!("/routes/{route}/breaker"), &order)
        .status
}

#[test]
fn it_opens_and_closes_with_what_the_upstream_does() {
    let origin = Origin::start()
        .on("/", failing())
        .on("/", failing())
        .on("/", Script::answer("fine"));
    let breaker = r#"consecutive_failures = 2, recovery_timeout = "500ms""#;
    let proxy = Proxy::with(&with_breaker(Setup::to(&origin), breaker));
    let mut client = proxy.client();
    assert_eq!(client.get("/").status, 500);
    assert_eq!(client.get("/").status, 500);
    let refused = client.get("/");
    refused.assert_refused(503, "circuit_open");
    assert_eq!(refused.head.get("retry-after"), Some("1"));
    assert_eq!(origin.requests().len(), 2);
    let route = [("route", "all")];
    let gauge = || {
        proxy
            .metrics()
            .sum("outrigger_circuit_breaker_state", &route)
    };
    assert_eq!(gauge(), 2.0);
    eventually(SOON, "the upstream is tried again", || {
        client.get("/").status == 200
    });
    assert!(is(&proxy, "closed"));
    assert_eq!(gauge(), 0.0);
    for to in ["open", "half-open", "closed"] {
        let labels = [("route", "all"), ("to", to)];
        let moves = proxy
            .metrics()
            .sum("outrigger_circuit_breaker_transitions_total", &labels);
        assert_eq!(moves, 1.0, "{to}");
    }
}

#[test]
fn the_route_s_own_time_limits_count_and_callers_that_go_away_do_not() {
    let gate = Gate::new();
    let origin = Origin::start()
        .on("/", Script::new().stall())
        .on(
            "/stream",
            Script::new()
                .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab")
                .stall(),
        )
        .on(
            "/cut",
            Script::new()
                .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab")
                .wait(&gate)
                .close(),
        );
    let proxy = Proxy::with(
        &with_breaker(Setup::to(&origin), "consecutive_failures = 99")
            .route("timeout = \"300ms\"\nidle_timeout = \"300ms\""),
    );
    let failures = || state(&proxy)["consecutive_failures"].as_u64().unwrap();
    let mut gone = proxy.client();
    gone.send_request("GET", "/", &[], "");
    eventually(SOON, "the request arrives", || origin.requests().len() == 1);
    drop(gone);
    eventually(SOON, "the caller is known to be gone", || {
        proxy.metrics().sum("outrigger_requests_in_flight", &[]) == 0.0
    });
    assert_eq!(failures(), 0);
    proxy.get("/").assert_refused(504, "upstream_timeout");
    assert_eq!(failures(), 1);
    assert!(
        proxy
            .client()
            .send_request("GET", "/stream", &[], "")
            .try_answer()
            .is_err()
    );
    eventually(SOON, "the silence counts", || failures() == 2);
    let mut client = proxy.client();
    client.send_request("GET", "/cut", &[], "").read_head();
    assert_eq!(failures(), 2, "nothing is known yet");
    gate.open();
    eventually(SOON, "the cut answer counts", || failures() == 3);
}

#[test]
fn callers_in_a_hurry_do_not_open_it_for_the_others() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab";
    let origin = Origin::start()
        .on("/slow", Script::new().stall())
        .on("/stream", Script::new().send(half).stall());
    let proxy = Proxy::with(
        &with_breaker(Setup::to(&origin), "consecutive_failures = 2").route("deadline = \"1h\""),
    );
    let hurried = [("x-request-timeout", "20ms")];
    for _ in 0..3 {
        let answer = proxy.client().request("GET", "/slow", &hurried, "");
        answer.assert_refused(504, "deadline_exceeded");
    }
    let mut client = proxy.client();
    let hurried = [("x-request-timeout", "200ms")];
    client.send_request("GET", "/stream", &hurried, "");
    assert!(client.try_answer().is_err());
    assert_eq!(state(&proxy)["consecutive_failures"], 0);
    assert_eq!(state(&proxy)["window"]["failures"], 0);
    assert_eq!(proxy.get("/").status, 200);
}

#[test]
fn refused_connections_open_it() {
    let refusing = Refusing::bind();
    let proxy = Proxy::with(
        &with_breaker(
            Setup::to_address(refusing.address()),
            "consecutive_failures = 2",
        )
        .upstream("outlier_detection = false"),
    );
    for _ in 0..2 {
        proxy.get("/").assert_refused(502, "connect_failed");
    }
    proxy.get("/").assert_refused(503, "circuit_open");
}

#[test]
fn a_grpc_status_in_the_trailers_counts() {
    let origin = H2Origin::start();
    let breaker = r#"consecutive_failures = 2, failures = ["grpc"]"#;
    let proxy = Proxy::with(&with_breaker(Setup::to_address(origin.address()), breaker));
    let client = H2Client::connect(proxy.address());
    let grpc = [("content-type", "application/grpc")];
    let call = || {
        let answer = client.request("POST", "/a.B/C", &grpc, "message");
        answer.grpc_status().map(str::to_owned)
    };
    assert_eq!(call().as_deref(), Some("0"));
    assert_eq!(state(&proxy)["window"]["requests"], 1);
    for failures in 1..=2 {
        // Cut before its trailers: no status at all, which callers take as UNKNOWN.
        let cut = client.open("POST", "/cut", &grpc);
        let mut cut = cut;
        cut.send("message");
        assert!(cut.ended().try_answer().is_err());
        let seen = || state(&proxy)["window"]["requests"] == 1 + failures;
        eventually(SOON, "it is judged", seen);
    }
}

#[test]
fn an_operator_opens_it_closes_it_and_lets_go() {
    let origin = Origin::start().on("/fails", failing());
    let other = "[routes.plain]\nmatch = { path = \"/plain\" }\nupstream = \"origin\"\n";
    let setup = with_breaker(Setup::to(&origin), "consecutive_failures = 1");
    let mut proxy = Proxy::with(&setup.also(other));
    assert_eq!(set(&proxy, "all", "open"), 200);
    proxy.get("/").assert_refused(503, "circuit_open");
    assert_eq!(state(&proxy)["forced"], true);
    proxy.reload_with(setup_with(
        &origin,
        "consecutive_failures = 1, min_requests = 3",
    ));
    proxy.get("/").assert_refused(503, "circuit_open");
    assert_eq!(set(&proxy, "all", "closed"), 200);
    for _ in 0..3 {
        assert_eq!(proxy.get("/fails").status, 500);
    }
    assert_eq!(set(&proxy, "all", "auto"), 200);
    assert_eq!(state(&proxy)["forced"], false);
    assert_eq!(proxy.get("/fails").status, 500);
    proxy.get("/").assert_refused(503, "circuit_open");
}

fn setup_with(origin: &Origin, breaker: &str) -> String {
    with_breaker(Setup::to(origin), breaker).toml()
}

#[test]
fn a_route_without_one_has_none_to_set() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let answer = proxy.admin("PUT", "/routes/all/breaker", "{\"state\": \"open\"}");
    assert_eq!(answer.status, 409);
    let detail = "the route `all` has no circuit breaker: set `circuit_breaker` in its config";
    assert_eq!(answer.json()["detail"], detail);
    assert_eq!(set(&proxy, "nobody", "open"), 404);
    assert_eq!(set(&proxy, "all", "ajar"), 400);
}

#[test]
fn new_thresholds_apply_at_once_to_what_was_seen() {
    let origin = Origin::start()
        .on("/", failing())
        .on("/fine", Script::answer("fine"));
    let slow = "recovery_timeout = \"1h\", max_recovery = \"1h\"";
    let config = |most| setup_with(&origin, &format!("consecutive_failures = {most}, {slow}"));
    let mut proxy = Proxy::start(&config(9));
    for _ in 0..3 {
        assert_eq!(proxy.get("/").status, 500);
    }
    proxy.reload_with(config(4));
    assert_eq!(state(&proxy)["consecutive_failures"], 3);
    assert_eq!(proxy.get("/").status, 500);
    proxy.get("/").assert_refused(503, "circuit_open");
    // An hour becomes ten milliseconds, which are over.
    proxy.reload_with(setup_with(&origin, "recovery_timeout = \"10ms\""));
    eventually(SOON, "it is tried again", || {
        proxy.get("/fine").status == 200
    });
}

#[test]
fn a_bad_breaker_is_reported_at_its_place() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    for (breaker, says) in [
        ("failure_ratio = 2.0", "at most 1"),
        ("failures = [\"6xx\"]", "`6xx` is no failure"),
        ("failures = [\"5xx\", 200]", "from 400 to 599"),
        ("half_open_requests = 0", "a whole number from 1"),
        ("recovery_timeout = \"10m\"", "longer than `max_recovery`"),
        ("windw = \"1s\"", "did you mean `window`?"),
    ] {
        let error = proxy.reload_refused(setup_with(&origin, breaker));
        assert!(error.contains(says), "{breaker}: {error}");
        assert!(error.contains("main.toml:9:"), "{error}");
    }
}

/// 64 connections over two workers, while the upstream holds what it gets.
#[test]
fn a_crowd_meets_a_half_open_breaker() {
    let gate = Gate::new();
    let origin = Origin::start().on("/fails", failing()).on(
        "/held",
        Script::new().wait(&gate).answering("200 OK", "fine"),
    );
    let breaker = "consecutive_failures = 1, recovery_timeout = \"1s\", half_open_requests = 3";
    let proxy = Proxy::with(&with_breaker(Setup::to(&origin), breaker));
    let address = proxy.address();
    assert_eq!(proxy.get("/fails").status, 500);
    eventually(SOON, "a second has passed", || {
        state(&proxy)["retry_in_seconds"] == 0.0
    });
    let (began, let_through) = (Instant::now(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| match Client::tcp(address).get("/held").status {
                200 => {
                    let_through.fetch_add(1, Ordering::Relaxed);
                }
                status => assert_eq!(status, 503),
            });
        }
        eventually(SOON, "all but three are refused", || {
            let refused = [("route", "all"), ("reason", "circuit_open")];
            proxy.metrics().sum("outrigger_refused_total", &refused) >= 61.0
                // A slow machine may have got as far as the time at which others are tried.
                || began.elapsed() > Duration::from_millis(900)
        });
        let held = origin.requests().len() - 1;
        assert!(
            held <= 3 || began.elapsed() > Duration::from_millis(900),
            "{held} at once"
        );
        gate.open();
    });
    assert!(is(&proxy, "closed"));
    assert!(let_through.into_inner() >= 3);
}
