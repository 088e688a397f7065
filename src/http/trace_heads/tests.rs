use std::sync::Arc;

use super::*;
use crate::testing::{headers, request};
use crate::trace::{Limits, Queue, Sampler, Trace};

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn tracer(ratio: f64) -> Arc<Tracer> {
    let queue = Arc::new(Queue::new(Limits::default()));
    Arc::new(Tracer::new(Sampler::new(true, ratio), true, queue))
}

/// The heads that go on, whether the request is recorded, and what is known of its trace.
fn begun(heads: &[(&str, &str)], ratio: f64) -> (Vec<String>, Vec<String>, bool, Trace) {
    let mut request = request("GET", "/");
    request.headers = headers(heads);
    let span = begin(&mut request, &tracer(ratio), Kind::Server);
    let all = |name: &HeaderName| -> Vec<String> {
        let values = request.headers.get_all(name);
        values
            .map(|value| String::from_utf8(value.to_vec()).unwrap())
            .collect()
    };
    let trace = request.context.trace.clone();
    (all(&PARENT), all(&STATE), span.is_some(), trace)
}

#[test]
fn a_caller_who_records_is_gone_on_with() {
    let states = [("tracestate", "a=1 , b=2"), ("Tracestate", "c=3")];
    let heads = [&[("traceparent", CALLER)][..], &states].concat();
    let (parents, state, recorded, trace) = begun(&heads, 0.0);
    assert!(recorded && trace.is_recorded());
    assert_eq!(parents.len(), 1);
    assert_eq!(parents[0][..36], CALLER[..36], "the same trace");
    assert_ne!(parents[0][36..52], CALLER[36..52], "another span");
    assert_eq!(parents[0][52..], *"-01");
    assert_eq!(state, ["a=1 , b=2", "c=3"], "byte for byte");
}

#[test]
fn the_flag_of_chance_is_kept() {
    let random = CALLER.replace("-01", "-03");
    assert!(begun(&[("traceparent", &random)], 0.0).0[0].ends_with("-03"));
}

#[test]
fn a_caller_who_does_not_record_is_passed_on_as_it_came() {
    for parent in [
        UNSAMPLED.to_owned(),
        format!("cc{}-what-comes-later", &UNSAMPLED[2..]),
    ] {
        let heads = [("traceparent", &*parent), ("tracestate", "a=1,,b")];
        let (parents, state, recorded, trace) = begun(&heads, 1.0);
        assert_eq!(parents, [parent]);
        assert_eq!(state, ["a=1,,b"], "nothing else may change either");
        assert!(!recorded);
        assert_eq!(trace.id().unwrap().text(), &UNSAMPLED.as_bytes()[3..35]);
    }
}

#[test]
fn what_is_not_valid_begins_anew_and_loses_its_state() {
    let upper = CALLER.to_uppercase();
    for heads in [
        vec![("traceparent", "00-0-0-01"), ("tracestate", "a=1")],
        vec![("traceparent", &*upper), ("tracestate", "a=1")],
        vec![
            ("traceparent", CALLER),
            ("traceparent", CALLER),
            ("tracestate", "a=1"),
        ],
        vec![("tracestate", "a=1"), ("tracestate", "b=1")],
        vec![],
    ] {
        for (ratio, flags) in [(0.0, "-02"), (1.0, "-03")] {
            let (parents, state, recorded, trace) = begun(&heads, ratio);
            assert_eq!(parents.len(), 1, "{heads:?}");
            let told = Parent::read(parents[0].as_bytes()).unwrap();
            assert_eq!(Some(told.trace), trace.id());
            assert!(parents[0].ends_with(flags) && !parents[0].contains("0af76519"));
            assert_eq!(state, [""; 0], "{heads:?}");
            assert_eq!(recorded, ratio > 0.0);
        }
    }
}

#[test]
fn a_list_that_is_none_is_dropped_and_the_trace_goes_on() {
    let many = vec!["a=1"; 33].join(",");
    for state in [&*many, "a=1,b", "A=1"] {
        let heads = [("traceparent", CALLER), ("tracestate", state)];
        let (parents, states, ..) = begun(&heads, 0.0);
        assert_eq!(parents[0][..36], CALLER[..36]);
        assert_eq!(states, [""; 0], "{state}");
    }
}

#[test]
fn who_is_below_knows_of_a_span_unless_the_route_keeps_it() {
    let mut request = request("GET", "/");
    let _span = begin(&mut request, &tracer(1.0), Kind::Server);
    let attempt = request.context.trace.span(Kind::Client, "GET").unwrap();
    hand_on(&mut request.headers, &attempt);
    let told = request.headers.get(&PARENT).unwrap();
    assert_eq!(told, attempt.here().text());
    request.headers.remove(&PARENT);
    hand_on(&mut request.headers, &attempt);
    assert!(!request.headers.contains(&PARENT));
}

#[test]
fn an_ordinary_head_is_known_to_have_none() {
    let usual = headers(&[
        ("host", "a"),
        ("user-agent", "a"),
        ("accept", "a"),
        ("accept-encoding", "a"),
        ("content-type", "a"),
        ("content-length", "1"),
        ("x-request-id", "a"),
    ]);
    assert!(!usual.may_have(&BOTH));
}
