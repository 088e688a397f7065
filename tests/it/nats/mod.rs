//! The client of NATS, against a real server.

mod connecting;
mod consuming;
mod dead_letters;
mod lanes;
mod outages;
mod publishing;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use outrigger::broker::{Client, Confirmed, Consumer, Destination, Message, Refusal, Source};
use serde_json::{Value, json};

use crate::support::NatsServer;
use crate::support::brokers::{client, next, soon, until};

/// A client that is connected.
async fn connected(server: &NatsServer, config: &str) -> Arc<dyn Client> {
    let client = client(&server.url(), config);
    until("it is connected", || client.state().is_connected()).await;
    client
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
