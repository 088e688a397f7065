//! Requests stand in their callers' traces, and what is recorded of them gets to a collector.

use crate::support::{Client, Collector, Launch, Proxy, Recorded, SentSpan, Setup};

mod collectors;
mod contexts;
mod exporting;
mod nesting;
mod reloading;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

const SERVER: u64 = 2;
const CLIENT: u64 = 3;

/// What a caller says who records its span.
fn recorded() -> String {
    format!("00-{TRACE}-{CALLER}-01")
}

/// Has all spans sent to `collector`, after a moment.
fn traced(setup: Setup, collector: &Collector, more: &str) -> Launch {
    let endpoint = collector.address();
    launch(setup.also(format!(
        "[tracing]\nendpoint = \"http://{endpoint}\"\n{more}\n"
    )))
}

/// Sends spans in a moment, if there is anywhere to.
fn launch(setup: Setup) -> Launch {
    with(setup, "OTEL_BSP_SCHEDULE_DELAY=50")
}

/// With these variables.
fn with(setup: Setup, variables: &str) -> Launch {
    Launch::new(setup.toml()).by_shell(format!("exec env {variables} \"$0\" \"$@\""))
}

fn ask(proxy: &Proxy, target: &str, fields: &[(&str, &str)]) -> u16 {
    let mut client: Client = proxy.client();
    client.request("GET", target, fields, "").status
}

/// The only one of its kind.
fn one(spans: &[SentSpan], kind: u64) -> &SentSpan {
    let mut of_kind = spans.iter().filter(|span| span.kind == kind);
    let first = of_kind.next().expect("a span of that kind");
    assert!(of_kind.next().is_none(), "{spans:#?}");
    first
}

/// The trace and the span that a request says it is in.
fn told(request: &Recorded) -> (String, String) {
    let parent = request.header("traceparent").expect("a traceparent");
    let parts: Vec<&str> = parent.split('-').collect();
    (parts[1].to_owned(), parts[2].to_owned())
}
