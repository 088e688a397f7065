//! Collectors that are not as they should be: no request notices.

use std::io::Read;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;

use super::exporting::{dropped, exported};
use super::{CLIENT, SERVER, TRACE, ask, one, recorded, with};
use crate::support::{Collector, Origin, Proxy, SOON, Script, Setup, eventually, spans, stays};

/// Sends each span at once, and gives a batch up that was not taken after a second.
const HASTY: &str =
    "OTEL_BSP_SCHEDULE_DELAY=50 OTEL_EXPORTER_OTLP_TIMEOUT=200 OTEL_BSP_EXPORT_TIMEOUT=1000";

/// A proxy whose collector answers by these scripts.
fn to(scripts: Vec<Script>, variables: &str) -> (Collector, Origin, Proxy) {
    let answers = scripts.into_iter().fold(Origin::start(), |origin, script| {
        origin.on("/v1/traces", script)
    });
    let (collector, origin) = (Collector::on(answers), Origin::start());
    let tracing = format!("[tracing]\nendpoint = \"http://{}\"", collector.address());
    let proxy = with(Setup::to(&origin).also(tracing), variables).start();
    (collector, origin, proxy)
}

/// Asks so many times, each of which is recorded as two spans.
fn asked(proxy: &Proxy, times: usize) {
    let begun = Instant::now();
    for _ in 0..times {
        assert_eq!(ask(proxy, "/", &[("traceparent", &recorded())]), 200);
    }
    assert!(begun.elapsed() < SOON, "nobody waits for the collector");
}

#[test]
fn one_that_accepts_and_never_answers_is_given_up() {
    let silent = || Script::new().stall();
    let (collector, _origin, proxy) = to((0..32).map(|_| silent()).collect(), HASTY);
    asked(&proxy, 20);
    eventually(SOON, "a batch is tried more than once", || {
        collector.origin().requests().len() > 1
    });
    eventually(SOON, "all spans are counted as dropped", || {
        dropped(&proxy, "failed") == 40.0
    });
    assert_eq!(exported(&proxy), 0.0);
    asked(&proxy, 1);
}

#[test]
fn one_that_asks_for_too_much_patience_is_not_waited_for() {
    let busy = "HTTP/1.1 503 Busy\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n";
    let (collector, _origin, proxy) = to(vec![Script::new().send(busy)], HASTY);
    asked(&proxy, 1);
    eventually(SOON, "the batch is given up", || {
        dropped(&proxy, "failed") == 2.0
    });
    asked(&proxy, 1);
    stays(Duration::from_millis(500), "it is let alone", || {
        collector.origin().requests().len() == 1
    });
}

#[test]
fn one_that_ends_in_its_answer_gets_the_batch_again() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
    let taken = Script::new().answering("200 OK", "");
    let patient = "OTEL_BSP_SCHEDULE_DELAY=50";
    let (collector, _origin, proxy) = to(vec![Script::new().send(cut).close(), taken], patient);
    asked(&proxy, 1);
    eventually(SOON, "they were taken", || exported(&proxy) == 2.0);
    let spans = collector.after(4);
    assert_eq!(spans[..2], spans[2..], "the same once more");
    assert_eq!(dropped(&proxy, "failed"), 0.0);
}

#[test]
fn what_is_sent_may_be_packed() {
    let taken = Script::new().answering("200 OK", "");
    let packed = "OTEL_BSP_SCHEDULE_DELAY=50 OTEL_EXPORTER_OTLP_COMPRESSION=gzip";
    let (collector, _origin, proxy) = to(vec![taken], packed);
    asked(&proxy, 1);
    eventually(SOON, "they were taken", || exported(&proxy) == 2.0);
    let request = &collector.origin().requests()[0];
    assert_eq!(request.header("content-encoding"), Some("gzip"));
    let mut body = Vec::new();
    GzDecoder::new(&*request.body)
        .read_to_end(&mut body)
        .unwrap();
    let spans = spans(&body);
    assert_eq!(one(&spans, SERVER).trace, TRACE);
    assert_eq!(one(&spans, CLIENT).parent, one(&spans, SERVER).id);
}

#[test]
fn spans_have_no_more_attributes_than_wanted() {
    let taken = Script::new().answering("200 OK", "");
    let limited = "OTEL_BSP_SCHEDULE_DELAY=50 OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT=3 OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT=4";
    let (collector, _origin, proxy) = to(vec![taken], limited);
    asked(&proxy, 1);
    for span in collector.after(2) {
        assert_eq!(span.attributes.len(), 3, "{span:#?}");
        assert!(span.attributes.values().all(|value| value.len() <= 4));
        assert!(span.left_out > 0, "{span:#?}");
    }
}

#[test]
fn heads_are_left_alone_without_a_propagator() {
    let taken = Script::new().answering("200 OK", "");
    let apart = "OTEL_BSP_SCHEDULE_DELAY=50 OTEL_PROPAGATORS=none OTEL_TRACES_SAMPLER=always_on";
    let (collector, origin, proxy) = to(vec![taken], apart);
    let heads = [
        ("traceparent", &*recorded()),
        ("tracestate", "A=1"),
        ("baggage", "a=b"),
    ];
    assert_eq!(ask(&proxy, "/", &heads), 200);
    let request = origin.only_request();
    for (name, value) in heads {
        assert_eq!(request.header(name), Some(value));
    }
    let spans = collector.after(2);
    assert_ne!(one(&spans, SERVER).trace, TRACE);
    assert_eq!(one(&spans, SERVER).parent, "");
    assert_eq!(one(&spans, CLIENT).parent, one(&spans, SERVER).id);
}
