//! Every attempt to get an answer ends in one number, and every failure says where it happened.

use std::time::Duration;

use serde_json::Value;

use crate::support::{
    BlackHole, Metrics, Origin, Proxy, Refusing, SOON, Script, Setup, eventually,
};

const ATTEMPTS: &str = "outrigger_upstream_requests_total";
const RESULTS: [&str; 8] = [
    "1xx",
    "2xx",
    "3xx",
    "4xx",
    "5xx",
    "failed",
    "timeout",
    "cancelled",
];

fn count(metrics: &Metrics, result: &str) -> f64 {
    metrics.sum(ATTEMPTS, &[("upstream", "origin"), ("result", result)])
}

/// How attempts have ended: those results that have come up.
fn ended(proxy: &Proxy) -> Vec<(&'static str, f64)> {
    let metrics = proxy.metrics();
    let counts: Vec<_> = RESULTS
        .map(|result| (result, count(&metrics, result)))
        .into();
    let all: f64 = counts.iter().map(|(_, count)| count).sum();
    let timed = metrics.sum(
        "outrigger_upstream_request_duration_seconds_count",
        &[("upstream", "origin")],
    );
    assert_eq!(timed, all, "every attempt is timed");
    counts
        .into_iter()
        .filter(|(_, count)| *count > 0.0)
        .collect()
}

fn stalling() -> Origin {
    Origin::start().on("/", Script::new().stall())
}

#[test]
fn there_are_numbers_before_there_is_an_attempt() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let text = proxy.admin("GET", "/metrics", "").text();
    for result in RESULTS {
        let line = format!("{ATTEMPTS}{{upstream=\"origin\",result=\"{result}\"}} 0");
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn a_time_limit_ends_an_attempt_as_timeout() {
    for (limits, attempts) in [
        ("timeout = \"100ms\"\nretry = false", 1.0),
        ("timeout = \"100ms\"", 1.0),
        ("deadline = \"100ms\"", 1.0),
        (
            "retry = { per_try_timeout = \"50ms\", backoff = \"1ms\" }",
            3.0,
        ),
    ] {
        let origin = stalling();
        let proxy = Proxy::with(&Setup::to(&origin).route(limits));
        assert_eq!(proxy.get("/").status, 504);
        assert_eq!(ended(&proxy), [("timeout", attempts)], "{limits}");
    }
}

#[test]
fn a_limit_of_the_caller_ends_an_attempt_as_timeout_too() {
    let origin = stalling();
    let proxy = Proxy::with(&Setup::to(&origin));
    let hurried = [("x-request-timeout", "50ms")];
    let answer = proxy.client().request("GET", "/", &hurried, "");
    answer.assert_refused(504, "deadline_exceeded");
    assert_eq!(ended(&proxy), [("timeout", 1.0)]);
}

#[test]
fn a_caller_who_leaves_cancels_its_attempt() {
    let origin = stalling();
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    client.send_request("GET", "/", &[], "");
    eventually(SOON, "the request arrives", || origin.requests().len() == 1);
    drop(client);
    eventually(SOON, "the attempt ends", || {
        ended(&proxy) == [("cancelled", 1.0)]
    });
}

#[test]
fn the_loser_of_a_race_is_cancelled() {
    let (slow, fast) = (stalling(), Origin::start());
    let list = format!("[\"{}\", \"{}\"]", slow.address(), fast.address());
    let proxy = Proxy::with(
        &Setup::to(&slow)
            .endpoints(list)
            .upstream("balancer = \"round-robin\"")
            .route("retry = { hedge_after = \"20ms\" }"),
    );
    let mut answered = 0.0;
    while slow.requests().is_empty() {
        assert_eq!(proxy.get("/").status, 200);
        answered += 1.0;
    }
    assert_eq!(ended(&proxy), [("2xx", answered), ("cancelled", 1.0)]);
}

#[test]
fn a_connection_that_is_refused_is_failed() {
    let refusing = Refusing::bind();
    let proxy = Proxy::with(&Setup::to_address(refusing.address()));
    proxy.get("/").assert_refused(502, "connect_failed");
    assert_eq!(ended(&proxy), [("failed", 1.0)]);
}

/// The one line of the access log, once it is written.
fn logged(proxy: &Proxy) -> Value {
    let mut found = None;
    eventually(SOON, "the access log has a line", || {
        let output = proxy.stdout();
        found = output
            .lines()
            .find(|line| line.contains("url.path"))
            .map(str::to_owned);
        found.is_some()
    });
    serde_json::from_str(&found.unwrap()).unwrap()
}

/// The one warning about a request, once it is written.
fn warned(proxy: &Proxy) -> Value {
    let mut found = None;
    eventually(SOON, "the log has a warning", || {
        let output = proxy.stderr();
        let mut lines = output.lines();
        found = lines
            .find(|line| line.contains("a request failed"))
            .map(str::to_owned);
        found.is_some()
    });
    serde_json::from_str(&found.unwrap()).unwrap()
}

const LOG: &str = "[log]\naccess_log = true\nformat = \"json\"\n";

#[test]
fn a_failed_request_names_the_endpoint_and_its_attempts() {
    let resets = Origin::start().on("/", Script::new().reset());
    let no_json = Origin::start().on("/", Script::answer("text"));
    let errors = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 27\r\n\r\n\
                  {\"errors\":[{\"message\":\"\"}]}";
    let graphql = Origin::start().on("/", Script::new().send(errors));
    let (stalls, hole, refuses) = (stalling(), BlackHole::open(), Refusing::bind());
    let retry = "retry = { on = [\"504\"], per_try_timeout = \"50ms\", backoff = \"1ms\" }";
    for (address, route, reason, attempts) in [
        (resets.address(), "", "upstream_reset", 1),
        (refuses.address(), "", "connect_failed", 1),
        (
            refuses.address(),
            "retry = { backoff = \"1ms\" }",
            "connect_failed",
            3,
        ),
        (hole.address(), "", "connect_timeout", 1),
        (
            stalls.address(),
            "timeout = \"100ms\"",
            "upstream_timeout",
            1,
        ),
        (
            stalls.address(),
            "deadline = \"100ms\"",
            "deadline_exceeded",
            1,
        ),
        (stalls.address(), retry, "upstream_timeout", 3),
        (
            no_json.address(),
            "response = { require_json = true }",
            "invalid_upstream_body",
            1,
        ),
        (graphql.address(), "graphql = {}", "graphql_errors", 1),
    ] {
        let setup = Setup::to_address(address)
            .upstream("connect_timeout = \"150ms\"")
            .route(route)
            .also(LOG);
        let proxy = Proxy::with(&setup);
        assert_eq!(proxy.get("/").reason(), Some(reason), "{route}");
        let (entry, warning) = (logged(&proxy), warned(&proxy));
        assert_eq!(entry["outrigger.reason"], reason);
        for (line, prefix) in [(entry, "outrigger."), (warning, "")] {
            let field = |name: &str| line[format!("{prefix}{name}")].clone();
            assert_eq!(field("route"), "all", "{line}");
            assert_eq!(field("upstream"), "origin", "{line}");
            assert_eq!(field("endpoint"), address.to_string(), "{line}");
            assert_eq!(field("attempts"), attempts, "{line}");
        }
    }
}

#[test]
fn a_caller_who_leaves_is_logged_with_the_endpoint_that_it_waited_for() {
    let origin = stalling();
    let proxy = Proxy::with(&Setup::to(&origin).also(LOG));
    let mut client = proxy.client();
    client.send_request("GET", "/", &[], "");
    eventually(SOON, "the request arrives", || origin.requests().len() == 1);
    drop(client);
    let entry = logged(&proxy);
    assert_eq!(entry["http.response.status_code"], 499);
    assert_eq!(entry["outrigger.upstream"], "origin");
    assert_eq!(entry["outrigger.endpoint"], origin.address().to_string());
}

#[test]
fn a_good_answer_names_its_endpoint_and_how_long_that_took() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).also(LOG));
    assert_eq!(proxy.get("/").status, 200);
    let entry = logged(&proxy);
    assert_eq!(entry["outrigger.endpoint"], origin.address().to_string());
    assert_eq!(entry["outrigger.attempts"], 1);
    let there = entry["outrigger.upstream_duration"].as_f64().unwrap();
    let whole = entry["http.server.request.duration"].as_f64().unwrap();
    assert!(0.0 < there && there <= whole + 0.001, "{entry}");
}

#[test]
fn the_log_shows_route_endpoint_and_attempt_when_it_is_asked_for_all() {
    let refusing = Refusing::bind();
    let setup = Setup::to_address(refusing.address()).also("[log]\nlevel = \"debug\"");
    let proxy = Proxy::with(&setup);
    proxy
        .get("/there?token=s3cret")
        .assert_refused(502, "connect_failed");
    let endpoint = format!("\"endpoint\":\"{}\"", refusing.address());
    for (message, shows) in [
        ("a route takes a request", "\"route\":\"all\""),
        ("an endpoint is picked", endpoint.as_str()),
        (
            "an attempt failed or took long",
            "\"outcome\":\"connect_failed\"",
        ),
    ] {
        eventually(SOON, "the line is there", || {
            let log = proxy.log();
            let mut lines = log.lines();
            lines.any(|line| line.contains(message) && line.contains(shows))
        });
    }
    assert!(!proxy.log().contains("s3cret"));
}

#[test]
fn the_admin_api_tells_the_last_error_apart_from_what_was_measured() {
    let refusing = Refusing::bind();
    let proxy = Proxy::with(&Setup::to_address(refusing.address()));
    proxy.get("/").assert_refused(502, "connect_failed");
    let upstream = proxy.admin("GET", "/upstreams/origin", "").json();
    let endpoint = &upstream["endpoints"][0];
    assert_eq!(endpoint["latency_seconds"], Value::Null);
    assert!(endpoint["penalty_seconds"].as_f64().unwrap() > 0.0);
    let error = endpoint["last_error"]["error"].as_str().unwrap();
    assert!(error.starts_with("connect_failed: "), "{error}");
    assert!(error.contains(&refusing.address().to_string()), "{error}");
    assert!(endpoint["last_error"]["seconds_ago"].as_f64().is_some());
}

#[test]
fn a_flood_of_failures_is_summed_up_in_the_log() {
    const ALL: usize = 200;
    let refusing = Refusing::bind();
    let proxy = Proxy::with(&Setup::to_address(refusing.address()).also(LOG));
    let mut client = proxy.client();
    for _ in 0..ALL {
        client.get("/").assert_refused(502, "connect_failed");
    }
    let told = || {
        let output = proxy.stderr();
        let lines = output
            .lines()
            .filter(|line| line.contains("a request failed"));
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let each = lines.map(|line| line["withheld"].as_u64().unwrap_or(1));
        let each: Vec<u64> = each.collect();
        (each.len(), each.iter().sum::<u64>())
    };
    eventually(Duration::from_secs(10), "every line is told of", || {
        told().1 == ALL as u64
    });
    assert!(told().0 < ALL / 2, "in {} lines", told().0);
    let output = proxy.stderr();
    let sum = output.lines().find(|line| line.contains("more like it in"));
    let sum: Value = serde_json::from_str(sum.unwrap()).unwrap();
    assert_eq!(sum["endpoint"], refusing.address().to_string());
    assert_eq!(sum["reason"], "connect_failed");
}
