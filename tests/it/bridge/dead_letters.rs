//! Dead letters as the admin API shows them.

use super::{start, state};
use crate::support::{LIMIT, NatsServer, Origin, Script, eventually};

#[test]
fn a_query_that_cannot_be_read_is_answered_as_all_else() {
    let (server, origin) = (NatsServer::start(), Origin::start());
    let proxy = start(&server, &origin, "");
    let path = "/subscriptions/handler/dead-letters";
    for query in ["limit=-1", "limit=99999999999999999999", "size=3"] {
        let answer = proxy.admin("GET", &format!("{path}?{query}"), "");
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.json()["title"], "Bad Request", "{query}");
    }
}

#[test]
fn no_more_dead_letters_are_looked_at_than_memory_allows() {
    let (server, origin) = (NatsServer::start(), Origin::start());
    let refuse = || Script::new().answering("404 Not Found", "");
    let origin = (0..22).fold(origin, |origin, _| origin.on("/events/orders", refuse()));
    let proxy = start(&server, &origin, "");
    let body = "x".repeat(900 << 10);
    for _ in 0..22 {
        let answer = proxy.client().request("POST", "/publish/new", &[], &body);
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    eventually(LIMIT, "all are dead", || {
        state(&proxy)["dead_lettered"] == 22
    });
    let path = "/subscriptions/handler/dead-letters?limit=1000";
    let letters = proxy.admin("GET", path, "").json();
    assert_eq!(letters.as_array().unwrap().len(), 19, "16 MiB");
}
