//! The trace in which a row was written goes on through the relay and the broker.

use super::{COLUMNS, LIMIT, Table, setup, state};
use crate::support::{Collector, Launch, NatsServer, Origin, SentSpan, eventually};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const WRITER: &str = "b7ad6b7169203331";

#[test]
fn a_row_goes_on_with_the_trace_that_it_says() {
    let (table, broker, origin) = (Table::new(), NatsServer::start(), Origin::start());
    let collector = Collector::start();
    let tracing = format!(
        "[tracing]\nendpoint = \"http://{}\"\nsample_ratio = 0\n",
        collector.address()
    );
    let text = setup(&table.url(), &broker, origin.address(), COLUMNS)
        .also(tracing)
        .toml();
    let launch = Launch::new(text).by_shell("exec env OTEL_BSP_SCHEDULE_DELAY=50 \"$0\" \"$@\"");
    let proxy = launch.start();
    table.sql(&format!(
        "insert into outbox (aggregate_id, kind, payload, headers) values \
         ('a', 'made', 'secret-1', '{{\"traceparent\":\"00-{TRACE}-{WRITER}-01\",\"tracestate\":\"v=1\"}}'), \
         ('a', 'made', 'secret-2', '{{\"traceparent\":\"00-{TRACE}-{WRITER}-00\"}}'), \
         ('a', 'made', 'secret-3', null)"
    ));
    eventually(LIMIT, "all are delivered", || origin.requests().len() == 3);
    // Of the others, nobody records anything.
    eventually(LIMIT, "three spans of the first", || {
        collector.spans().len() >= 3
    });
    let spans = collector.spans();
    assert_eq!(spans.len(), 3, "{spans:#?}");
    let named = |name: &str| -> &SentSpan {
        let found = spans.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("{name}: {spans:#?}"))
    };
    let chain = ["send orders.${row.kind}", "process orders", "POST"];
    let mut above = WRITER;
    for (name, kind) in chain.into_iter().zip([4, 5, 3]) {
        let span = named(name);
        let place = (&*span.trace, &*span.parent, span.kind, &*span.state);
        let state = if kind == 3 { "" } else { "v=1" };
        assert_eq!(place, (TRACE, above, kind, state), "{spans:#?}");
        assert_eq!(span.status, 0);
        above = &span.id;
    }
    for (key, value) in [
        ("messaging.system", "nats"),
        ("messaging.destination.name", "orders.made"),
        ("messaging.destination.template", "orders.${row.kind}"),
        ("messaging.message.id", "orders:1"),
        ("messaging.operation.type", "send"),
    ] {
        assert_eq!(named(chain[0]).attributes[key], value, "{key}");
    }
    assert!(!format!("{spans:?}").contains("secret"));
    let told = |place: usize| {
        origin.requests()[place]
            .header("traceparent")
            .map(str::to_owned)
    };
    assert_eq!(told(0), Some(format!("00-{TRACE}-{above}-01")));
    assert_eq!(told(1), Some(format!("00-{TRACE}-{WRITER}-00")));
    assert_eq!(state(&proxy)["published"], 3);
}
