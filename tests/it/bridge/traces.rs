//! A trace goes on through a broker.

use std::collections::BTreeMap;

use super::setup;
use crate::support::{Collector, LIMIT, Launch, NatsServer, Origin, SentSpan, eventually};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

#[test]
fn a_trace_goes_on_through_a_broker() {
    let (server, origin, collector) = (NatsServer::start(), Origin::start(), Collector::start());
    let tracing = format!("[tracing]\nendpoint = \"http://{}\"", collector.address());
    let text = setup(&server.url(), origin.address(), "")
        .also(tracing)
        .toml();
    let launch = Launch::new(text).by_shell("exec env OTEL_BSP_SCHEDULE_DELAY=50 \"$0\" \"$@\"");
    let proxy = launch.start();
    super::delivering(&proxy);
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let fields = [("traceparent", &*parent), ("idempotency-key", "m-1")];
    let answer = proxy
        .client()
        .request("POST", "/publish/paid", &fields, "{}");
    assert_eq!(answer.status, 202, "{}", answer.text());
    eventually(LIMIT, "it was published and delivered", || {
        collector.spans().len() == 4
    });
    let spans = collector.spans();
    let named: BTreeMap<&str, &SentSpan> = spans.iter().map(|span| (&*span.name, span)).collect();
    let chain = [
        "POST /publish/{kind}",
        "send orders.${path.kind}",
        "process orders",
        "POST",
    ];
    let mut above = CALLER;
    for (name, kind) in chain.into_iter().zip([2, 4, 5, 3]) {
        let span = named[name];
        assert_eq!(
            (&*span.trace, &*span.parent, span.kind),
            (TRACE, above, kind),
            "{spans:#?}"
        );
        assert_eq!(span.status, 0);
        above = &span.id;
    }
    let told = origin.only_request();
    assert_eq!(
        told.header("traceparent"),
        Some(&*format!("00-{TRACE}-{above}-01"))
    );
    for (name, key, value) in [
        (chain[1], "messaging.system", "nats"),
        (chain[1], "messaging.destination.name", "orders.paid"),
        (chain[1], "messaging.message.id", "m-1"),
        (chain[2], "messaging.system", "nats"),
        (chain[2], "messaging.destination.name", "orders"),
        (chain[2], "messaging.message.id", "m-1"),
        (chain[2], "outrigger.listener", "subscriptions.handler"),
        (chain[2], "outrigger.route", "all"),
    ] {
        assert_eq!(named[name].attributes[key], value, "{name}: {key}");
    }
}
