//! Failed requests are sent again, as far as the route says and as it is safe.

use crate::support::{
    Gate, H2Client, H2Origin, Origin, Proxy, Refusing, SOON, Script, Setup, eventually,
};

const RETRY: &str = "retry = { backoff = \"1ms\", max_backoff = \"1ms\" }";

fn unavailable() -> Script {
    Script::new().answering("503 Service Unavailable", "not now")
}

fn retrying(origin: &Origin, retry: &str) -> Proxy {
    Proxy::with(&Setup::to(origin).route(retry))
}

fn retries(proxy: &Proxy, reason: &str) -> f64 {
    let labels = [("route", "all"), ("reason", reason)];
    proxy.metrics().sum("outrigger_retries_total", &labels)
}

#[test]
fn an_answer_that_may_be_tried_again_is() {
    let origin = Origin::start()
        .on("/", unavailable())
        .on("/", unavailable())
        .on("/", Script::answer("well"));
    let proxy = retrying(&origin, RETRY);
    assert_eq!(proxy.get("/").text(), "well");
    assert_eq!(origin.requests().len(), 3);
    assert_eq!(retries(&proxy, "503"), 2.0);
    assert_eq!(
        origin.connections(),
        1,
        "the failed answers are read to their end"
    );
}

#[test]
fn when_nothing_helps_the_last_answer_is_passed_on() {
    let origin = Origin::start().on("/", unavailable());
    let proxy = retrying(&origin, RETRY);
    let answer = proxy.get("/");
    assert_eq!((answer.status, answer.text().as_str()), (503, "not now"));
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn without_the_key_and_with_false_no_answer_is_tried_again() {
    let origin = Origin::start().on("/", unavailable());
    for retry in ["", "retry = false"] {
        let before = origin.requests().len();
        assert_eq!(retrying(&origin, retry).get("/").status, 503);
        assert_eq!(origin.requests().len() - before, 1, "{retry}");
    }
}

#[test]
fn a_broken_connection_is_tried_again_for_methods_that_may() {
    let origin = Origin::start()
        .on("/put", Script::new().reset())
        .on("/put", Script::echo())
        .on("/post", Script::new().reset());
    let proxy = retrying(&origin, RETRY);
    let answer = proxy.client().request("PUT", "/put", &[], "the whole");
    assert_eq!(answer.text(), "the whole");
    assert_eq!(retries(&proxy, "reset-before-response"), 1.0);
    let answer = proxy.client().request("POST", "/post", &[], "once");
    answer.assert_refused(502, "upstream_reset");
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn a_request_goes_to_another_endpoint_the_next_time() {
    let (one, two) = (
        Origin::start().on("/", unavailable()),
        Origin::start().on("/", unavailable()),
    );
    let refusing = Refusing::bind();
    let three = Origin::start();
    let (one_at, two_at, three_at) = (one.address(), two.address(), three.address());
    let list = format!(
        "[\"{one_at}\", \"{two_at}\", \"{}\", \"{three_at}\"]",
        refusing.address()
    );
    let proxy = Proxy::with(
        &Setup::to(&one)
            .endpoints(list)
            .upstream("outlier_detection = false")
            .route(
                "retry = { attempts = 3, backoff = \"1ms\", max_backoff = \"1ms\", budget = 1.0 }",
            ),
    );
    for _ in 0..20 {
        assert_eq!(proxy.client().request("PUT", "/", &[], "x").status, 200);
    }
    assert_eq!(three.requests().len(), 20);
}

#[test]
fn a_body_is_kept_while_it_streams_and_never_sent_from_its_middle() {
    let gate = Gate::new();
    let early = Script::at_head()
        .answering("503 Service Unavailable", "")
        .close();
    let origin = Origin::start()
        .on("/", early)
        .on("/", Script::echo())
        .on("/piece", Script::at_head().wait(&gate).reset())
        .on("/piece", Script::echo());
    let proxy = retrying(&origin, RETRY);
    let mut client = proxy.client();
    client.send("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    eventually(SOON, "the second attempt begins", || {
        origin.requests().len() == 2
    });
    client.send("3\r\ndef\r\n0\r\n\r\n");
    assert_eq!(client.read_answer().text(), "abcdef");

    let mut client = proxy.client();
    client.send("PUT /piece HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    eventually(SOON, "it arrives", || origin.requests().len() == 3);
    gate.open();
    eventually(SOON, "it is sent again", || origin.requests().len() == 4);
    client.send("1\r\nd\r\n0\r\n\r\n");
    assert_eq!(client.read_answer().text(), "abcd");
}

#[test]
fn a_body_that_is_too_large_is_not_sent_again() {
    let origin = Origin::start().on("/", Script::new().reset());
    let limit = "max_body = \"1KiB\"";
    let proxy = retrying(&origin, &RETRY.replace("{ ", &format!("{{ {limit}, ")));
    let answer = |length| {
        let body = "x".repeat(length);
        let answer = proxy.client().request("PUT", "/", &[], &body);
        answer.assert_refused(502, "upstream_reset");
        origin.requests().len()
    };
    assert_eq!(answer(1025), 1);
    assert_eq!(answer(1024), 4);
}

#[test]
fn a_stream_goes_both_ways_though_it_may_be_tried_again() {
    let origin = H2Origin::start();
    let retry = "retry = { on = [\"grpc:unavailable\"], max_body = \"4B\" }";
    let proxy = Proxy::with(&Setup::to_address(origin.address()).route(retry));
    let client = H2Client::connect(proxy.address());
    let call = [("content-type", "application/grpc"), ("te", "trailers")];
    let mut stream = client.open("POST", "/", &call);
    for piece in ["one", "two", "three"] {
        stream.send(piece);
        assert_eq!(stream.next().as_deref(), Some(piece));
    }
    let answer = stream.ended().answer();
    assert_eq!(answer.grpc_status(), Some("0"));
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn nothing_is_sent_again_once_the_answer_has_begun() {
    let origin = Origin::start().on(
        "/",
        Script::new()
            .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
            .reset(),
    );
    let proxy = retrying(&origin, RETRY);
    let cut = proxy
        .client()
        .send_request("GET", "/", &[], "")
        .try_answer();
    assert_eq!(cut.unwrap_err().partial.unwrap().text(), "abc");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn one_attempt_takes_no_longer_than_it_may() {
    let origin = Origin::start()
        .on("/", Script::new().stall())
        .on("/", Script::answer("in time"));
    let proxy = retrying(
        &origin,
        "retry = { per_try_timeout = \"100ms\", backoff = \"1ms\", max_backoff = \"1ms\" }",
    );
    assert_eq!(proxy.get("/").text(), "in time");
    assert_eq!(retries(&proxy, "504"), 1.0);
    eventually(SOON, "the stalled attempt ends", || {
        origin.open_connections() == 1
    });
}

/// An empty DATA frame that comes together with its head: there is no body to wait for.
#[test]
fn an_attempt_whose_body_is_only_an_end_takes_no_longer_either() {
    let origin = Origin::start()
        .on("/", Script::new().stall())
        .on("/", Script::answer("in time"));
    let proxy = retrying(
        &origin,
        "retry = { per_try_timeout = \"100ms\", backoff = \"1ms\", max_backoff = \"1ms\" }",
    );
    let client = H2Client::connect(proxy.address());
    let answer = client.open("PUT", "/", &[]).ended().answer();
    assert_eq!(answer.text(), "in time");
    assert_eq!(retries(&proxy, "504"), 1.0);
}

#[test]
fn the_budget_bounds_the_retries_of_a_route_and_outlives_a_reload() {
    let origin = Origin::start().on("/", unavailable());
    let setup = |attempts: u32| {
        let backoff = "backoff = \"1ms\", max_backoff = \"1ms\"";
        Setup::to(&origin).route(format!("retry = {{ attempts = {attempts}, {backoff} }}"))
    };
    let mut proxy = Proxy::with(&setup(3));
    let mut client = proxy.client();
    for _ in 0..100 {
        assert_eq!(client.get("/").status, 503);
    }
    let retried = origin.requests().len() - 100;
    // A reserve of 20, a fifth of the requests, and two for each second that it took.
    assert!((38..70).contains(&retried), "{retried}");
    let exhausted = |proxy: &Proxy| {
        let route = [("route", "all")];
        proxy
            .metrics()
            .sum("outrigger_retry_budget_exhausted_total", &route)
    };
    assert!(exhausted(&proxy) > 10.0);
    proxy.reload_with(setup(5).toml());
    let before = exhausted(&proxy);
    for _ in 0..20 {
        client.get("/");
    }
    assert!(exhausted(&proxy) > before, "what was spent is spent");
    let state = proxy.admin("GET", "/routes/all", "").json();
    assert!(state["retry"]["attempts"] == 5, "{state}");
    assert!(state.to_string().contains("budget_left"), "{state}");
}

#[test]
fn an_upstream_may_ask_for_time() {
    let later =
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n";
    let origin = Origin::start().on("/", Script::new().send(later));
    let answer = retrying(&origin, RETRY).get("/");
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("3600"))
    );
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_slow_answer_is_raced_by_another_endpoint() {
    let (slow, fast) = (
        Origin::start().on("/", Script::new().stall()),
        Origin::start(),
    );
    let proxy = Proxy::with(
        &Setup::to(&slow)
            .endpoints(format!("[\"{}\", \"{}\"]", slow.address(), fast.address()))
            .upstream("balancer = \"round-robin\"")
            .route("retry = { hedge_after = \"50ms\" }"),
    );
    for _ in 0..8 {
        assert_eq!(proxy.get("/").status, 200);
    }
    assert!(!slow.requests().is_empty());
    assert!(retries(&proxy, "hedge") >= 1.0);
    eventually(SOON, "the losers are cut", || slow.open_connections() == 0);
}

#[test]
fn a_grpc_call_is_tried_again_by_its_status() {
    let unavailable = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 14\r\n\
                       content-length: 0\r\n\r\n";
    let origin = Origin::start()
        .on("/", Script::new().send(unavailable))
        .on("/", Script::echo());
    let on = "on = [\"grpc:unavailable\"]";
    let proxy = retrying(&origin, &RETRY.replace("{ ", &format!("{{ {on}, ")));
    let call = [("Content-Type", "application/grpc")];
    let answer = proxy.client().request("POST", "/", &call, "hello");
    assert_eq!(answer.text(), "hello");
    assert_eq!(retries(&proxy, "grpc:unavailable"), 1.0);
}

#[test]
fn what_is_no_failure_is_refused_with_what_was_meant() {
    let origin = Origin::start();
    let mut proxy = retrying(&origin, "");
    let wrong = "retry = { on = [\"conect-failure\"] }";
    let report = proxy.reload_refused(Setup::to(&origin).route(wrong).toml());
    assert!(report.contains("connect-failure"), "{report}");
    let wrong = "retry = { attempts = 11 }";
    let report = proxy.reload_refused(Setup::to(&origin).route(wrong).toml());
    assert!(report.contains("from 1 to 10"), "{report}");
}
