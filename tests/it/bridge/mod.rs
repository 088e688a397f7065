//! From a request to a message, and from a message to a request, through the real program and a real broker: what holds of every
//! kind, and what NATS is enough for.

mod dead_letters;
mod delivering;
mod every;
mod publishing;
mod reloading;
mod traces;

use serde_json::{Value, json};

use crate::support::{LIMIT, NatsServer, Origin, Proxy, Setup, eventually};

/// Where messages go.
pub const EVENTS: &str = "/events/orders";
/// Where the dead letters of the subscription are.
pub const LETTERS: &str = "/subscriptions/handler/dead-letters";

/// What publishes to `orders.KIND`, and delivers what comes to the route `handler`.
fn setup(broker: &str, app: impl std::fmt::Display, subscription: &str) -> Setup {
    Setup::to_address(app)
        .route("match = { path = \"/app/{*rest}\" }")
        .route("timeout = \"2s\"")
        .also(format!(
            r#"
[brokers.events]
url = {{ value = "{broker}" }}
[brokers.events.streams.orders]
subjects = ["orders.>"]
retry = {{ delays = ["100ms", "200ms"] }}

[routes.publish]
match = {{ path = "/publish/{{kind}}", methods = ["POST"] }}
publish = {{ broker = "events", subject = "orders.${{path.kind}}" }}

[subscriptions.handler]
broker = "events"
stream = "orders"
route = "all"
path = "{EVENTS}"
{subscription}
"#
        ))
}

fn start(server: &NatsServer, origin: &Origin, subscription: &str) -> Proxy {
    let proxy = Proxy::with(&setup(&server.url(), origin.address(), subscription));
    delivering(&proxy);
    proxy
}

pub fn delivering(proxy: &Proxy) {
    eventually(LIMIT, "it is connected, and consumes", || {
        proxy.admin("GET", "/brokers", "").json()[0]["connected"] == true
            && state(proxy)["state"] == "delivering"
    });
}

pub fn state(proxy: &Proxy) -> Value {
    proxy.admin("GET", "/subscriptions/handler", "").json()
}

fn publish(proxy: &Proxy, kind: &str, id: &str) {
    let fields = [
        ("idempotency-key", id),
        ("content-type", "application/json"),
    ];
    let body = format!("{{\"id\":\"{id}\"}}");
    let answer = proxy
        .client()
        .request("POST", &format!("/publish/{kind}"), &fields, &body);
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(
        answer.json(),
        json!({ "message_id": id, "broker": "events", "confirmed": true })
    );
}
