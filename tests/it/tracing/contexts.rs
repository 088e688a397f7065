//! The heads that go on, with and without spans, and where a trace is named.

use super::{CALLER, SERVER, TRACE, ask, launch, one, recorded, told, traced};
use crate::support::{Collector, Origin, Proxy, SOON, Script, Setup, eventually};

#[test]
fn without_an_endpoint_the_heads_pass_as_they_came() {
    let origin = Origin::start();
    let proxy = launch(Setup::to(&origin).also("[log]\naccess_log = true")).start();
    for fields in [
        vec![
            ("TraceParent", "no parent"),
            ("tracestate", "A=1,,"),
            ("tracestate", "b"),
        ],
        vec![("traceparent", "00-1-2-01"), ("traceparent", "00-3-4-01")],
        vec![],
    ] {
        assert_eq!(ask(&proxy, "/", &fields), 200);
        let request = origin.requests().pop().unwrap();
        let is_trace = |name: &str| name.to_ascii_lowercase().starts_with("trace");
        let came: Vec<_> = request
            .head
            .fields
            .iter()
            .filter(|(name, _)| is_trace(name))
            .collect();
        let came: Vec<_> = came
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(came, fields);
    }
    assert_eq!(ask(&proxy, "/", &[("traceparent", &recorded())]), 200);
    let log = format!("\"trace_id\":\"{TRACE}\"");
    eventually(SOON, "the caller's trace is in the log", || {
        proxy.stdout().contains(&log)
    });
}

#[test]
fn what_is_valid_goes_on_and_what_is_not_begins_anew() {
    let (origin, collector) = (Origin::start(), Collector::start());
    let proxy = traced(Setup::to(&origin), &collector, "sample_ratio = 0").start();
    let last = || origin.requests().pop().unwrap();
    let random = format!("00-{TRACE}-{CALLER}-03");
    let state = ("tracestate", "a=1 ,b=  2");
    ask(&proxy, "/", &[("traceparent", &random), state]);
    assert_eq!(told(&last()).0, TRACE);
    assert_ne!(told(&last()).1, CALLER);
    assert!(last().header("traceparent").unwrap().ends_with("-03"));
    assert_eq!(last().header("tracestate"), Some(state.1));
    let unsampled = format!("00-{TRACE}-{CALLER}-00");
    ask(&proxy, "/", &[("traceparent", &unsampled), state]);
    assert_eq!(last().header("traceparent"), Some(&*unsampled));
    for fields in [&[("traceparent", "00-0-0-01"), state][..], &[state], &[]] {
        ask(&proxy, "/", fields);
        let parent = last().header("traceparent").unwrap().to_owned();
        assert!(
            parent.ends_with("-02") && !parent.contains(TRACE),
            "{parent}"
        );
        assert_eq!(last().header("tracestate"), None);
    }
    assert_eq!(one(&collector.after(2), SERVER).state, state.1);
}

#[test]
fn a_trace_is_named_wherever_somebody_looks_for_its_request() {
    let origin = Origin::start().otherwise(Script::new().close());
    let collector = Collector::start();
    let setup = Setup::to(&origin)
        .route("retry = false")
        .also("[log]\naccess_log = true");
    let proxy: Proxy = traced(setup, &collector, "").start();
    for flags in ["01", "00"] {
        let parent = format!("00-{TRACE}-{CALLER}-{flags}");
        let fields = [("traceparent", &*parent)];
        let answer = proxy.client().request("GET", "/", &fields, "");
        answer.assert_refused(502, "upstream_reset");
        assert_eq!(answer.json()["trace_id"], TRACE);
    }
    eventually(SOON, "it is among the failures and in the log", || {
        let stats = proxy.admin("GET", "/routes/all/stats", "").json();
        let failures = stats["last_failures"].as_array().unwrap();
        let log = format!("\"trace_id\":\"{TRACE}\"");
        failures.len() == 2
            && failures.iter().all(|failure| failure["trace_id"] == TRACE)
            && proxy.stdout().matches(&log).count() == 2
    });
}
