//! Spans nest under the caller's, for each attempt one.

use super::{CALLER, CLIENT, SERVER, TRACE, ask, one, recorded, told, traced};
use crate::support::{Collector, Origin, Script, SentSpan, Setup};

fn of<'a>(span: &'a SentSpan, key: &str) -> &'a str {
    span.attributes.get(key).map_or("", String::as_str)
}

#[test]
fn a_request_and_its_retry_nest_under_the_caller() {
    let origin = Origin::start()
        .on("/v1/orders/7", Script::new().answering("503 No", ""))
        .on("/v1/orders/7", Script::new().answering("200 OK", "hello"));
    let collector = Collector::start();
    let setup = Setup::to(&origin)
        .route("match = { path = \"/v1/orders/{id}\" }")
        .route("retry = { on = [\"503\"] }");
    let proxy = traced(setup, &collector, "service_name = \"pay\"").start();
    let fields = [
        ("traceparent", &*recorded()),
        ("user-agent", "probe/1"),
        ("authorization", "s3cret"),
    ];
    assert_eq!(ask(&proxy, "/v1/orders/7?card=4111", &fields), 200);

    let spans = collector.after(3);
    assert!(spans.iter().all(|span| span.trace == TRACE));
    let server = one(&spans, SERVER);
    assert_eq!(server.parent, CALLER);
    assert_eq!(
        (server.name.as_str(), server.status),
        ("GET /v1/orders/{id}", 0)
    );
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/v1/orders/{id}"),
        ("url.path", "/v1/orders/7"),
        ("url.scheme", "http"),
        ("user_agent.original", "probe/1"),
        ("client.address", "127.0.0.1"),
        ("outrigger.route", "all"),
        ("outrigger.upstream", "origin"),
        ("outrigger.attempts", "2"),
    ] {
        assert_eq!(of(server, key), value, "{key}");
    }
    let mut attempts: Vec<_> = spans.iter().filter(|span| span.kind == CLIENT).collect();
    attempts.sort_by_key(|span| span.start);
    let requests = origin.requests();
    for (attempt, request) in attempts.iter().zip(&requests) {
        assert_eq!(attempt.parent, server.id);
        assert_eq!(told(request), (TRACE.to_owned(), attempt.id.clone()));
        assert!(
            server.start <= attempt.start && attempt.end <= server.end,
            "{spans:#?}"
        );
        assert_eq!(
            of(attempt, "server.port"),
            origin.address().port().to_string()
        );
    }
    let [first, second] = attempts[..] else {
        panic!("{spans:#?}");
    };
    assert_eq!((first.status, of(first, "error.type")), (2, "503"));
    assert_eq!(
        (second.status, of(second, "http.request.resend_count")),
        (0, "1")
    );
    let all = format!("{spans:?}");
    assert!(!all.contains("4111") && !all.contains("s3cret"), "{all}");
    assert_eq!(collector.resource()["service.name"], "pay");
}

#[test]
fn a_mirrors_copy_is_an_attempt_beside_the_other() {
    let (origin, shadow, collector) = (Origin::start(), Origin::start(), Collector::start());
    let shadows = format!("[upstreams.shadow]\nendpoints = [\"{}\"]", shadow.address());
    let setup = Setup::to(&origin)
        .route("mirror = { upstream = \"shadow\" }")
        .also(shadows);
    let proxy = traced(setup, &collector, "").start();
    assert_eq!(ask(&proxy, "/", &[("traceparent", &recorded())]), 200);
    let spans = collector.after(3);
    let server = one(&spans, SERVER);
    // Its route takes every path, so that it is known by its name.
    assert_eq!(
        (server.name.as_str(), server.parent.as_str()),
        ("GET all", CALLER)
    );
    for (upstream, seen) in [("origin", &origin), ("shadow", &shadow)] {
        let mut attempts = spans.iter().filter(|span| span.kind == CLIENT);
        let attempt = attempts.find(|span| of(span, "outrigger.upstream") == upstream);
        let attempt = attempt.expect("an attempt");
        assert_eq!(attempt.parent, server.id);
        assert_eq!(
            told(&seen.only_request()),
            (TRACE.to_owned(), attempt.id.clone())
        );
    }
}

#[test]
fn what_fails_and_what_nobody_waits_for_is_recorded_too() {
    let origin = Origin::start().on("/stalls", Script::new().stall()).on(
        "/cut",
        Script::new()
            .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx")
            .close(),
    );
    let collector = Collector::start();
    let setup = Setup::to(&origin).route("timeout = \"100ms\"");
    let proxy = traced(setup, &collector, "sample_ratio = 1").start();
    assert_eq!(ask(&proxy, "/stalls", &[]), 504);
    let spans = collector.after(2);
    let (server, client) = (one(&spans, SERVER), one(&spans, CLIENT));
    assert_eq!(
        (of(server, "error.type"), server.status),
        ("upstream_timeout", 2)
    );
    assert_eq!((of(client, "error.type"), client.status), ("timeout", 2));
    assert_eq!((server.parent.as_str(), &client.parent), ("", &server.id));

    let mut client = proxy.client();
    client.send_request("GET", "/cut", &[], "");
    assert!(client.try_answer().is_err());
    let spans = &collector.after(4)[2..];
    let (server, client) = (one(spans, SERVER), one(spans, CLIENT));
    for span in [server, client] {
        assert_eq!(of(span, "error.type"), "upstream_reset");
        assert_eq!(of(span, "http.response.status_code"), "200");
    }

    assert_eq!(ask(&proxy, "/%00", &[]), 400);
    let refused = &collector.after(5)[4];
    assert_eq!((refused.name.as_str(), refused.status), ("GET", 0));
    assert_eq!(of(refused, "outrigger.reason"), "bad_path");
}

#[test]
fn a_route_that_removes_the_head_keeps_the_trace_to_itself() {
    let (origin, collector) = (Origin::start(), Collector::start());
    let setup = Setup::to(&origin)
        .route("request = { remove_headers = [\"traceparent\", \"tracestate\"] }");
    let proxy = traced(setup, &collector, "").start();
    let fields = [("traceparent", &*recorded()), ("tracestate", "a=1")];
    assert_eq!(ask(&proxy, "/", &fields), 200);
    let request = origin.only_request();
    assert_eq!(
        (request.header("traceparent"), request.header("tracestate")),
        (None, None)
    );
    assert_eq!(collector.after(2).len(), 2);
}
