//! The client of NATS, against a real server.

mod connecting;
mod consuming;
mod dead_letters;
mod publishing;
mod streams;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use outrigger::broker::{
    self, Checked, Client, Config, Confirmed, Consumer, Delivery, Destination, Message, Refusal,
    Source,
};
use outrigger::value::problem::Problems;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::support::{LIMIT, NatsServer};

/// A client of the broker whose block has `url` and then `config`.
fn client(url: &str, config: &str) -> Arc<dyn Client> {
    let block = format!("url = {{ value = {url:?} }}\n{config}");
    let config: Config = toml::from_str(&block).expect("a block of a broker");
    let mut problems = Problems::default();
    let (opened, _) = config.open(&mut problems);
    let opened = opened.unwrap_or_else(|| panic!("{:?}", problems.into_vec()));
    let checked = Checked::new(config, opened);
    let client = broker::connect("events", &checked, &Handle::current());
    client.expect("NATS is built in")
}

/// A client that is connected.
async fn connected(server: &NatsServer, config: &str) -> Arc<dyn Client> {
    let client = client(&server.url(), config);
    until("it is connected", || client.state().is_connected()).await;
    client
}

/// Looks again and again until `holds`.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Its result, which comes within the limit of a test.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(LIMIT, future).await;
    result.expect("an answer in time")
}

fn message(id: &str) -> Message {
    Message {
        id: id.to_owned(),
        content_type: Some("text/plain".to_owned()),
        headers: Vec::new(),
        body: Bytes::from(format!("message {id}")),
    }
}

fn publish<'a>(
    client: &'a Arc<dyn Client>,
    subject: &str,
    id: &str,
) -> BoxFuture<'a, Result<Confirmed, Refusal>> {
    client.publish(Destination::Subject(subject.to_owned()), message(id))
}

fn source(stream: &str) -> Source {
    Source::Stream {
        stream: stream.to_owned(),
        subject: None,
        consumer: "handler".to_owned(),
    }
}

async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    soon(consumer.next()).await
}

/// Whether nothing comes for a while.
async fn nothing_comes(consumer: &mut Box<dyn Consumer>) -> bool {
    let while_ = Duration::from_millis(300);
    tokio::time::timeout(while_, consumer.next()).await.is_err()
}

/// Asks JetStream, past the client that is tested.
async fn ask(server: &NatsServer, what: &str, body: Value) -> Value {
    let client = soon(async_nats::connect(server.url())).await.unwrap();
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let answer = soon(client.request(format!("$JS.API.{what}"), body.into())).await;
    serde_json::from_slice(&answer.unwrap().payload).unwrap()
}

/// How many messages a stream has.
async fn stored(server: &NatsServer, stream: &str) -> u64 {
    let info = ask(server, &format!("STREAM.INFO.{stream}"), Value::Null).await;
    info["state"]["messages"]
        .as_u64()
        .unwrap_or_else(|| panic!("{info}"))
}

/// A durable consumer as others make it.
async fn make_consumer(server: &NatsServer, stream: &str, name: &str, config: Value) {
    let mut whole = json!({ "durable_name": name, "ack_policy": "explicit" });
    for (key, value) in config.as_object().unwrap() {
        whole[key] = value.clone();
    }
    let body = json!({ "stream_name": stream, "config": whole });
    let made = ask(
        server,
        &format!("CONSUMER.DURABLE.CREATE.{stream}.{name}"),
        body,
    )
    .await;
    assert!(made["error"].is_null(), "{made}");
}
