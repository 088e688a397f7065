//! How spans get to a collector, and what becomes of requests when they do not.

use std::time::Duration;

use super::{ask, recorded, traced, with};
use crate::support::pki::{Ask, Authority, put};
use crate::support::{
    Collector, LIMIT, Origin, Proxy, Refusing, SOON, Script, Setup, TlsServer, eventually, stays,
};

pub fn dropped(proxy: &Proxy, reason: &str) -> f64 {
    let labels = [("reason", reason)];
    proxy
        .metrics()
        .sum("outrigger_spans_dropped_total", &labels)
}

pub fn exported(proxy: &Proxy) -> f64 {
    proxy.metrics().sum("outrigger_spans_exported_total", &[])
}

#[test]
fn what_a_busy_collector_refuses_comes_again_when_it_said() {
    let busy = "HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
    let answers = Origin::start()
        .on("/v1/traces", Script::new().send(busy))
        .on("/v1/traces", Script::new().answering("200 OK", ""));
    let (origin, collector) = (Origin::start(), Collector::on(answers));
    let proxy = traced(Setup::to(&origin), &collector, "sample_ratio = 1").start();
    assert_eq!(ask(&proxy, "/", &[]), 200);
    let sent = || collector.origin().requests().len();
    eventually(SOON, "the first try", || sent() == 1);
    stays(Duration::from_millis(700), "it is let alone", || {
        sent() == 1
    });
    eventually(SOON, "they were taken", || exported(&proxy) == 2.0);
    assert_eq!(
        collector.after(4)[..2],
        collector.spans()[2..],
        "the same once more"
    );
    let request = &collector.origin().requests()[0];
    assert_eq!(
        request.header("content-type"),
        Some("application/x-protobuf")
    );
}

#[test]
fn a_collector_that_is_not_there_costs_spans_and_nothing_else() {
    let (origin, nowhere) = (Origin::start(), Refusing::bind());
    let tracing = format!("[tracing]\nendpoint = \"http://{}\"", nowhere.address());
    let small = "OTEL_BSP_SCHEDULE_DELAY=50 OTEL_BSP_MAX_QUEUE_SIZE=8 OTEL_BSP_EXPORT_TIMEOUT=200";
    let mut proxy = with(Setup::to(&origin).also(tracing), small).start();
    let mut client = proxy.client();
    for _ in 0..50 {
        let fields = [("traceparent", &*recorded())];
        assert_eq!(client.request("GET", "/", &fields, "").status, 200);
    }
    eventually(SOON, "each is counted as dropped", || {
        dropped(&proxy, "queue_full") + dropped(&proxy, "failed") > 80.0
    });
    assert!(dropped(&proxy, "queue_full") > 0.0);
    assert_eq!(exported(&proxy), 0.0);
    proxy.terminate();
    assert!(proxy.wait_exit(LIMIT).success());
}

#[test]
fn what_the_collector_refuses_is_counted_and_not_sent_again() {
    let answers = Origin::start()
        .on("/v1/traces", Script::new().answering("400 No", ""))
        // One rejected span.
        .on(
            "/v1/traces",
            Script::new().answering("200 OK", "\n\u{2}\u{8}\u{1}"),
        );
    let (origin, collector) = (Origin::start(), Collector::on(answers));
    let proxy = traced(Setup::to(&origin), &collector, "sample_ratio = 1").start();
    assert_eq!(ask(&proxy, "/", &[]), 200);
    eventually(SOON, "a batch was refused", || {
        dropped(&proxy, "rejected") == 2.0
    });
    assert_eq!(ask(&proxy, "/", &[]), 200);
    eventually(SOON, "a span was refused", || {
        dropped(&proxy, "rejected") == 3.0
    });
    assert_eq!(exported(&proxy), 1.0);
}

#[test]
fn the_last_spans_are_sent_when_the_proxy_ends() {
    let (origin, collector) = (Origin::start(), Collector::start());
    let tracing = format!("[tracing]\nendpoint = \"http://{}\"", collector.address());
    let later = "OTEL_BSP_SCHEDULE_DELAY=3600000 OTEL_EXPORTER_OTLP_COMPRESSION=none";
    let mut proxy = with(Setup::to(&origin).also(tracing), later).start();
    assert_eq!(ask(&proxy, "/", &[("traceparent", &recorded())]), 200);
    proxy.terminate();
    assert!(proxy.wait_exit(LIMIT).success());
    assert_eq!(collector.spans().len(), 2);
}

#[test]
fn the_environment_alone_is_enough_and_is_checked() {
    let (origin, collector) = (Origin::start(), Collector::start());
    let endpoint = format!("OTEL_EXPORTER_OTLP_ENDPOINT=http://{}", collector.address());
    let fine = format!(
        "{endpoint} OTEL_BSP_SCHEDULE_DELAY=50 OTEL_TRACES_SAMPLER=always_on OTEL_SERVICE_NAME=pay \
         OTEL_EXPORTER_OTLP_HEADERS=api-key=s3cret%21"
    );
    let proxy = with(Setup::to(&origin), &fine).start();
    assert_eq!(ask(&proxy, "/", &[]), 200);
    collector.after(2);
    let request = &collector.origin().requests()[0];
    assert_eq!(request.header("api-key"), Some("s3cret!"));
    assert_eq!(collector.resource()["service.name"], "pay");
    assert!(!proxy.config().to_string().contains("s3cret"));

    let grpc = format!("{endpoint} OTEL_EXPORTER_OTLP_PROTOCOL=grpc");
    let refused = with(Setup::to(&origin), &grpc).try_start();
    let refused = refused.err().expect("it does not start");
    assert_eq!(refused.code, Some(2));
    assert!(
        refused
            .output
            .contains("`OTEL_EXPORTER_OTLP_PROTOCOL` is `grpc`"),
        "{}",
        refused.output
    );
    assert!(
        refused.output.contains("help: set it to `http/protobuf`"),
        "{}",
        refused.output
    );
}

#[test]
fn a_collector_may_want_tls_of_both_sides() {
    let (ca, files) = (Authority::new("ca"), tempfile::tempdir().unwrap());
    let trusted = files.path().join("ca.pem");
    put(&trusted, ca.pem());
    let own = ca.issue(Ask::of(&["spiffe://td/proxy"]).only_for_clients());
    let (cert, key) = own.write(files.path(), "proxy");
    let server = TlsServer::asking(&ca.issue(Ask::of(&["localhost"])), ca.pem());
    let answers = Origin::over_tls(&server).otherwise(Script::new().answering("200 OK", ""));
    let (origin, collector) = (Origin::start(), Collector::on(answers));
    let port = collector.address().port();
    let tracing = format!(
        "[tracing]\nendpoint = \"https://localhost:{port}\"\ntls = {{ ca = {trusted:?}, cert = {cert:?}, key = {key:?} }}"
    );
    let proxy = super::launch(Setup::to(&origin).also(tracing)).start();
    assert_eq!(ask(&proxy, "/", &[("traceparent", &recorded())]), 200);
    assert_eq!(collector.after(2).len(), 2);
    let listed = proxy.admin("GET", "/certs", "").text();
    assert!(listed.contains("tracing"), "{listed}");
}
