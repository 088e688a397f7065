//! What becomes of requests that are published.

use serde_json::json;

use super::{delivering, publish, setup, state};
use crate::support::{LIMIT, NatsServer, Origin, Proxy, eventually};

#[test]
fn what_leads_nowhere_and_what_cannot_be_sent_is_told() {
    let (mut server, origin) = (NatsServer::start(), Origin::start());
    let proxy = Proxy::with(&setup(&server.url(), origin.address(), "").also(
        "[routes.lost]\nmatch = { path = \"/lost\" }\npublish = { broker = \"events\", subject = \"nobody.keeps.this\" }\n",
    ));
    delivering(&proxy);
    let answer = proxy
        .client()
        .request("POST", "/lost", &[("ce-id", "1")], "");
    assert_eq!(
        (answer.status, &answer.json()["reason"]),
        (502, &json!("message_unroutable"))
    );
    assert_eq!(answer.header("outrigger-message-id"), Some("1"));
    let found = proxy.admin("GET", "/requests?route=lost", "").json();
    let asked = (&found[0]["broker"], &found[0]["attempts"][0]["broker"]);
    assert_eq!(asked, (&json!("events"), &json!("events")), "{found}");
    let attempt = &found[0]["attempts"][0];
    assert_eq!(attempt["outcome"], "message_unroutable", "{found}");
    assert!(attempt["phases"]["first_byte"].is_f64(), "{found}");
    server.kill();
    eventually(LIMIT, "it is not connected", || {
        proxy.admin("GET", "/brokers", "").json()[0]["connected"] == false
    });
    let answer = proxy.client().request("POST", "/publish/new", &[], "");
    assert_eq!(
        (answer.status, &answer.json()["reason"]),
        (503, &json!("broker_unavailable"))
    );
    eventually(LIMIT, "the subscription says so", || {
        state(&proxy)["state"] == "detached"
    });
    server.again();
    delivering(&proxy);
    publish(&proxy, "new", "a");
    eventually(LIMIT, "it is delivered", || state(&proxy)["acked"] == 1);
}

#[test]
fn a_request_that_is_sent_again_is_one_message() {
    let (server, origin) = (NatsServer::start(), Origin::start());
    let proxy = Proxy::with(&setup(&server.url(), origin.address(), "").also(
        r#"
[routes.again]
match = { path = "/again" }
publish = { broker = "events", subject = "orders.again" }
retry = { methods = ["POST"], attempts = 1, per_try_timeout = "1s", backoff = "1ms" }
"#,
    ));
    delivering(&proxy);
    server.freeze(true);
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| proxy.client().request("POST", "/again", &[], "x"));
        eventually(LIMIT, "it is sent again", || {
            proxy
                .metrics()
                .sum("outrigger_retries_total", &[("route", "again")])
                == 1.0
        });
        server.freeze(false);
        let answer = answer.join().unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
    });
    publish(&proxy, "new", "last");
    eventually(LIMIT, "the last one is delivered", || {
        origin
            .requests()
            .iter()
            .any(|request| request.header("outrigger-message-id") == Some("last"))
    });
    assert_eq!(origin.requests().len(), 2, "NATS knows the id");
}

#[test]
fn a_request_that_shall_change_nothing_publishes_nothing() {
    let (server, origin) = (NatsServer::start(), Origin::start());
    let setup = setup(&server.url(), origin.address(), "")
        .also("[routes.any]\nmatch = { path = \"/any\" }\npublish = { broker = \"events\", subject = \"orders.any\" }\n");
    let proxy = Proxy::with(&setup);
    delivering(&proxy);
    for method in ["GET", "OPTIONS"] {
        let answer = proxy.client().request(method, "/any", &[], "");
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("POST"));
    }
    publish(&proxy, "new", "a");
    eventually(LIMIT, "it is delivered", || state(&proxy)["acked"] == 1);
    assert_eq!(origin.requests().len(), 1);
}
