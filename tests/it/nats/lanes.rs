//! Runtimes that publish, each by a connection of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use futures_util::future::join_all;
use futures_util::poll;
use outrigger::broker::{Client, Refusal};
use serde_json::Value;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::{connected, publish, soon, stored, until};
use crate::support::{self, NatsServer, SOON};

const ORDERS: &str = "streams.orders.subjects = [\"orders.>\"]";

/// Does something with a client on a thread that has a runtime of its own.
fn elsewhere<T: Send + 'static>(
    client: &Arc<dyn Client>,
    what: impl AsyncFnOnce(Arc<dyn Client>) -> T + Send + 'static,
) -> JoinHandle<T> {
    let client = client.clone();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(what(client))
    })
}

async fn done<T>(thread: JoinHandle<T>) -> T {
    until("it has ended", || thread.is_finished()).await;
    thread.join().unwrap()
}

/// How many have logged in.
fn connections(monitor: SocketAddr) -> u64 {
    let shown = support::Client::tcp(monitor).get("/connz");
    let shown: Value = serde_json::from_slice(&shown.body).unwrap();
    shown["num_connections"].as_u64().unwrap()
}

#[tokio::test]
async fn each_runtime_that_publishes_has_a_connection_of_its_own_and_one_only() {
    let mut server = NatsServer::start();
    let mut monitor: SocketAddr = server.host().parse().unwrap();
    monitor.set_port(8222);
    server.configure(&format!("http: \"{monitor}\""));
    server.again();
    let client = connected(&server, ORDERS).await;
    let here = connections(monitor);
    soon(publish(&client, "orders.new", "here")).await.unwrap();
    assert_eq!(connections(monitor), here);
    let there = elsewhere(&client, async move |client| {
        let ids: Vec<String> = (0..64).map(|number| number.to_string()).collect();
        for confirmed in join_all(ids.iter().map(|id| publish(&client, "orders.new", id))).await {
            confirmed.unwrap();
        }
        connections(monitor)
    });
    assert_eq!(done(there).await, here + 1);
    // What a runtime had ends with it, and all with the client.
    until("its connection has ended", || connections(monitor) == here).await;
    soon(client.close()).await;
    until("all have ended", || connections(monitor) == 0).await;
    assert_eq!(stored(&server, "orders").await, 65);
}

#[tokio::test]
async fn where_no_more_connections_are_permitted_all_share_one() {
    let server = NatsServer::with("max_connections: 1");
    let client = connected(&server, ORDERS).await;
    let there = elsewhere(&client, async |client| {
        for id in ["1", "2"] {
            publish(&client, "orders.new", id).await.unwrap();
        }
    });
    done(there).await;
}

#[tokio::test]
async fn what_another_runtime_has_under_way_when_the_server_dies_is_unknown_at_once() {
    let mut server = NatsServer::start();
    let client = connected(&server, ORDERS).await;
    let (connected_there, is_connected) = oneshot::channel();
    let (frozen, is_frozen) = oneshot::channel();
    let (sent, is_sent) = oneshot::channel();
    let (again, is_again) = oneshot::channel::<()>();
    let there = elsewhere(&client, async |client| {
        publish(&client, "orders.new", "1").await.unwrap();
        connected_there.send(()).unwrap();
        is_frozen.await.unwrap();
        let mut publishing = publish(&client, "orders.new", "2");
        assert!(poll!(&mut publishing).is_pending());
        sent.send(()).unwrap();
        let refusal = publishing.await.unwrap_err();
        let when = Instant::now();
        is_again.await.unwrap();
        publish(&client, "orders.new", "3").await.unwrap();
        (refusal, when)
    });
    soon(is_connected).await.unwrap();
    server.freeze(true);
    frozen.send(()).unwrap();
    soon(is_sent).await.unwrap();
    let before = Instant::now();
    server.kill();
    until("the connection is lost", || !client.state().is_connected()).await;
    server.again();
    until("it is connected again", || client.state().is_connected()).await;
    again.send(()).unwrap();
    let (refusal, when) = done(there).await;
    assert!(matches!(refusal, Refusal::Unknown(_)), "{refusal:?}");
    assert!(when.duration_since(before) < SOON);
    assert_eq!(stored(&server, "orders").await, 2);
}
