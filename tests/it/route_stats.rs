//! What an operator is told of one route: how much, how long, and what failed last.

use serde_json::{Value, json};

use crate::support::{Origin, Proxy, SOON, Script, Setup, eventually};

fn stats(proxy: &Proxy, route: &str) -> Value {
    let answer = proxy.admin("GET", &format!("/routes/{route}/stats"), "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The stats of the route `all` once so many requests were counted.
fn after(proxy: &Proxy, requests: u64) -> Value {
    eventually(SOON, "the requests are counted", || {
        stats(proxy, "all")["requests"] == requests
    });
    stats(proxy, "all")
}

#[test]
fn a_route_tells_what_succeeded_what_failed_and_how_long_it_took() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc";
    let origin = Origin::start()
        .on("/failing", Script::new().answering("500 Oh", "no"))
        .on("/cut", Script::new().send(cut).close());
    let proxy = Proxy::with(&Setup::to(&origin).route("match = { path = \"/{*rest}\" }"));
    let none = stats(&proxy, "all");
    assert_eq!(
        (&none["requests"], &none["mean_seconds"]),
        (&json!(0), &Value::Null)
    );
    assert_eq!(none["last_failures"], json!([]));
    for _ in 0..3 {
        assert_eq!(proxy.get("/fine").status, 200);
    }
    let fields = [("x-request-id", "the-failing-one")];
    let failing = proxy.client().request("GET", "/failing", &fields, "");
    assert_eq!(failing.status, 500);
    let mut client = proxy.client();
    client.send_request("GET", "/cut", &[], "");
    assert!(client.try_answer().is_err());

    let stats = after(&proxy, 5);
    assert_eq!(stats["successes"], 3, "{stats}");
    assert_eq!(stats["failures"], 2, "{stats}");
    assert_eq!(stats["in_flight"], 0);
    assert_eq!(stats["statuses"], json!({ "200": 4, "500": 1 }));
    for time in ["mean_seconds", "p50_seconds", "p90_seconds", "p99_seconds"] {
        let seconds = stats[time].as_f64().unwrap();
        assert!(seconds > 0.0 && seconds < 5.0, "{time}: {stats}");
    }
    let newest = &stats["last_failures"];
    assert_eq!(newest.as_array().unwrap().len(), 2);
    assert_eq!(newest[0]["reason"], "upstream_reset", "{newest}");
    assert_eq!(newest[0]["status"], 200);
    assert_eq!(newest[1]["request_id"], "the-failing-one");
    assert_eq!(newest[1]["status"], 500);
    assert_eq!(newest[1]["reason"], Value::Null);
    assert_eq!(newest[1]["upstream"], "origin");
    assert_eq!(newest[1]["endpoint"], origin.address().to_string());
    assert_eq!(newest[1]["attempts"], 1);
    assert!(newest[1]["at"].as_str().unwrap().ends_with('Z'));
    let metrics = proxy.metrics();
    assert_eq!(
        metrics.sum("outrigger_requests_failed_total", &[("route", "all")]),
        2.0
    );
}

#[test]
fn refusals_of_the_proxy_are_failures_with_their_reason_and_the_newest_hundred_are_kept() {
    let origin = Origin::start();
    let proxy =
        Proxy::with(&Setup::to(&origin).route("authorize = { cidrs = [\"192.0.2.0/24\"] }"));
    let mut client = proxy.client();
    for _ in 0..120 {
        assert_eq!(client.get("/").status, 403);
    }
    let stats = after(&proxy, 120);
    assert_eq!(stats["failures"], 120);
    let newest = stats["last_failures"].as_array().unwrap();
    assert_eq!(newest.len(), 100);
    for failure in newest {
        assert_eq!(failure["reason"], "forbidden");
        assert_eq!(failure["upstream"], Value::Null);
        assert_eq!(failure["attempts"], 0);
    }
}

#[test]
fn a_caller_that_leaves_has_been_failed_only_while_it_had_no_answer() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n";
    let origin = Origin::start()
        .on("/stalled", Script::new().stall())
        .on("/events", Script::new().send(head).stall());
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut events = proxy.client();
    events.send_request("GET", "/events", &[], "").read_head();
    events.read_bytes(9);
    drop(events);
    let mut stalled = proxy.client();
    stalled.send_request("GET", "/stalled", &[("x-request-id", "gone")], "");
    eventually(SOON, "both arrive", || origin.requests().len() == 2);
    drop(stalled);
    let stats = after(&proxy, 2);
    assert_eq!(
        (&stats["successes"], &stats["failures"]),
        (&json!(1), &json!(1))
    );
    let failure = &stats["last_failures"][0];
    assert_eq!(
        (&failure["reason"], &failure["status"]),
        (&json!("caller_gone"), &json!(499))
    );
    assert_eq!(failure["request_id"], "gone");
    assert_eq!(failure["endpoint"], origin.address().to_string());
}

#[test]
fn what_is_known_outlives_a_reload_that_keeps_the_route() {
    let origin = Origin::start().on("/failing", Script::new().answering("503 No", ""));
    let setup = Setup::to(&origin).route("retry = false");
    let mut proxy = Proxy::with(&setup);
    assert_eq!(proxy.get("/failing").status, 503);
    after(&proxy, 1);
    proxy.reload_with(
        Setup::to(&origin)
            .route("retry = false\ntimeout = \"9s\"")
            .toml(),
    );
    assert_eq!(proxy.get("/failing").status, 503);
    let all = after(&proxy, 2);
    assert_eq!(all["failures"], 2);
    assert_eq!(all["last_failures"].as_array().unwrap().len(), 2);
    proxy.reload_with(
        Setup::to(&origin)
            .also("[routes.other]\nmatch = { path = \"/other\" }\nrespond = {}")
            .toml(),
    );
    assert_eq!(proxy.get("/other").status, 200);
    assert_eq!(stats(&proxy, "other")["last_failures"], json!([]));
}

#[test]
fn a_route_tells_whether_what_answers_it_is_there() {
    let origin = Origin::start();
    let setup = Setup::to(&origin)
        .upstream(
            "health_check = { path = \"/healthz\", interval = \"100ms\", unhealthy_after = 1 }",
        )
        .also("[routes.here]\nmatch = { path = \"/here\" }\nrespond = {}");
    let proxy = Proxy::with(&setup);
    let health = |route: &str| {
        proxy
            .admin("GET", &format!("/routes/{route}/health"), "")
            .json()
    };
    eventually(SOON, "it is checked", || {
        health("all")["parts"][0]["endpoints"][0]["check"].is_object()
    });
    let all = health("all");
    assert_eq!(
        (&all["healthy"], &all["target"]),
        (&json!(true), &json!("upstream"))
    );
    assert_eq!(all["parts"][0]["kind"], "upstream");
    assert_eq!(all["parts"][0]["name"], "origin");
    let here = health("here");
    assert_eq!(here["healthy"], true);
    assert_eq!(
        (&here["target"], &here["parts"]),
        (&json!("respond"), &json!([]))
    );
    drop(origin);
    eventually(SOON, "it is seen to be gone", || {
        health("all")["healthy"] == false
    });
    for path in ["health", "stats"] {
        let answer = proxy.admin("GET", &format!("/routes/nobody/{path}"), "");
        assert_eq!(answer.status, 404);
    }
}

#[test]
fn an_upstream_shows_what_went_wrong_last_and_when() {
    let origin = Origin::start().on("/failing", Script::new().answering("503 No", ""));
    let proxy = Proxy::with(&Setup::to(&origin));
    let upstream = || proxy.admin("GET", "/upstreams/origin", "").json();
    assert_eq!(upstream()["last_error"], Value::Null);
    proxy.get("/failing");
    let error = upstream()["last_error"].clone();
    assert_eq!(error["endpoint"], origin.address().to_string());
    assert_eq!(error["error"], "answered with 503");
    assert!(error["at"].as_str().unwrap().ends_with('Z'), "{error}");
    assert!(error["seconds_ago"].as_f64().unwrap() < 60.0);
}
