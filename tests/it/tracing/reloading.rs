//! Changes of `[tracing]` while requests are served.

use super::{recorded, traced};
use crate::support::{Collector, Gate, Origin, SOON, Script, Setup, eventually};

#[test]
fn another_collector_gets_what_begins_and_the_old_one_what_had_begun() {
    let gate = Gate::new();
    let origin = Origin::start().on("/slow", Script::new().wait(&gate).answering("200 OK", ""));
    let (old, new) = (Collector::start(), Collector::start());
    let to = |collector: &Collector| {
        let endpoint = collector.address();
        Setup::to(&origin)
            .also(format!("[tracing]\nendpoint = \"http://{endpoint}\""))
            .toml()
    };
    let mut proxy = traced(Setup::to(&origin), &old, "").start();
    let fields = [("traceparent", &*recorded())];
    let mut slow = proxy.client();
    slow.send_request("GET", "/slow", &fields, "");
    eventually(SOON, "it is under way", || !origin.requests().is_empty());
    proxy.reload_with(to(&new));
    assert_eq!(super::ask(&proxy, "/", &fields), 200);
    new.after(2);
    gate.open();
    assert_eq!(slow.read_answer().status, 200);
    assert_eq!(old.after(2).len(), 2);

    // Without an endpoint nothing is recorded, and what waits is sent.
    assert_eq!(super::ask(&proxy, "/", &fields), 200);
    proxy.reload_with(Setup::to(&origin).toml());
    assert_eq!(super::ask(&proxy, "/", &fields), 200);
    let last = origin.requests().pop().unwrap();
    assert_eq!(last.header("traceparent"), Some(&*recorded()));
    assert_eq!(new.after(4).len(), 4);
    // And back again.
    proxy.reload_with(to(&old));
    assert_eq!(super::ask(&proxy, "/", &fields), 200);
    assert_eq!(old.after(4).len(), 4);
}
