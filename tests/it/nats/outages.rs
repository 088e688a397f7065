//! Servers that stand still or die, and clients that do.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures_util::future::join_all;
use outrigger::broker::{Client, Consumer, Refusal, Verdict};
use serde_json::Value;
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::{ask, client, connected, next, publish, soon, source, stored, until};
use crate::support::NatsServer;

const ORDERS: &str = "
    [streams.orders]
    subjects = [\"orders.>\"]
    retention = \"work-queue\"
";

#[tokio::test]
async fn a_server_that_stands_still_is_gone_within_a_heartbeat() {
    let server = NatsServer::start();
    let client = connected(&server, &format!("heartbeat = \"3s\"\n{ORDERS}")).await;
    server.freeze(true);
    let before = Instant::now();
    // It stands still a moment after it was told to.
    let mut ids = 0_u64..;
    let refusal = loop {
        let id = ids.next().unwrap_or_default().to_string();
        if let Err(refusal) = soon(publish(&client, "orders.new", &id)).await {
            break refusal;
        }
    };
    assert!(matches!(refusal, Refusal::Unknown(_)), "{refusal:?}");
    let noticed = before.elapsed();
    assert!(noticed < Duration::from_secs(5), "after {noticed:?}");
    let before = Instant::now();
    let refusal = soon(publish(&client, "orders.new", "late"))
        .await
        .unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable(_)), "{refusal:?}");
    assert!(before.elapsed() < Duration::from_secs(1));
    server.freeze(false);
    until("it is connected again", || client.state().is_connected()).await;
    soon(publish(&client, "orders.new", "again")).await.unwrap();
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    let built = builder.worker_threads(1).enable_all().build();
    built.expect("a runtime")
}

/// As by SIGKILL: nobody tells the server. It hears nothing more of what was under way.
#[test]
fn what_a_client_had_that_died_comes_again_soon() {
    let server = NatsServer::start();
    let dead = runtime();
    let taken = dead.block_on(async {
        let client = connected(&server, ORDERS).await;
        let mut consumer = client.consume(&source("orders"), 4);
        soon(publish(&client, "orders.new", "1")).await.unwrap();
        (next(&mut consumer).await, consumer, client)
    });
    dead.shutdown_background();
    let died = Instant::now();
    runtime().block_on(async {
        let client = connected(&server, ORDERS).await;
        let mut consumer = client.consume(&source("orders"), 4);
        let again = next(&mut consumer).await;
        assert_eq!((&*again.message.id, again.attempt), ("1", 1));
        assert!(again.redelivered);
        let waited = died.elapsed();
        assert!(waited < Duration::from_secs(13), "after {waited:?}");
        soon(again.settle.settle(Verdict::Done)).await.unwrap();
    });
    drop(taken);
}

/// Publishes `orders.new` again and again, up to 64 messages ahead of what was `seen`.
async fn publish_ahead(
    client: &Arc<dyn Client>,
    confirmed: &RefCell<HashSet<String>>,
    seen: &RefCell<HashSet<String>>,
    is_done: &Cell<bool>,
) {
    let mut number = 0;
    while !is_done.get() {
        if confirmed.borrow().len() > seen.borrow().len() + 64 {
            sleep(Duration::from_millis(1)).await;
            continue;
        }
        let ids: Vec<String> = (number..number + 8).map(|id| id.to_string()).collect();
        number += 8;
        // What was on its way to a leader that died is never answered.
        let published = ids.iter().map(|id| {
            let published = publish(client, "orders.new", id);
            timeout(Duration::from_secs(3), published)
        });
        let results = join_all(published).await;
        for (id, result) in ids.into_iter().zip(results) {
            match result {
                Ok(Ok(_)) => {
                    confirmed.borrow_mut().insert(id);
                }
                Err(_) | Ok(Err(Refusal::Unknown(_))) => {}
                Ok(Err(Refusal::Unavailable(_))) => sleep(Duration::from_millis(10)).await,
                Ok(Err(other)) => panic!("{id}: {other:?}"),
            }
        }
    }
}

/// Takes one message, and lets it be settled meanwhile.
async fn take(consumer: &mut Box<dyn Consumer>, seen: &RefCell<HashSet<String>>) {
    let delivery = next(consumer).await;
    seen.borrow_mut().insert(delivery.message.id.clone());
    // What the server does not hear of comes again.
    drop(tokio::spawn(delivery.settle.settle(Verdict::Done)));
}

/// Where `server` is reached, which then gets everything late.
async fn far(server: &NatsServer, late: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, host) = (listener.local_addr().unwrap(), server.host());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (mut from_client, mut to_client) = client.into_split();
            let server = TcpStream::connect(&host).await.unwrap();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { io::copy(&mut from_server, &mut to_client).await });
            let (sender, mut sent) = mpsc::unbounded_channel();
            tokio::spawn(async move {
                let mut bytes = BytesMut::new();
                while from_client.read_buf(&mut bytes).await.is_ok_and(|n| n > 0) {
                    let due = tokio::time::Instant::now() + late;
                    sender.send((due, bytes.split())).unwrap();
                }
            });
            tokio::spawn(async move {
                while let Some((due, bytes)) = sent.recv().await {
                    tokio::time::sleep_until(due).await;
                    to_server.write_all(&bytes).await.unwrap();
                }
            });
        }
    });
    address
}

/// What the server sends before it knows that a consumer ends goes back at once, not when it has waited for an ack.
#[tokio::test]
async fn nothing_is_held_up_when_consumers_end() {
    let server = NatsServer::start();
    let publisher = connected(&server, ORDERS).await;
    let consuming = format!("nats://{}", far(&server, Duration::from_millis(20)).await);
    let consuming = client(&consuming, ORDERS);
    let seen = RefCell::default();
    let is_done = Cell::new(false);
    let publish = async {
        let mut published = 0_usize;
        while !is_done.get() {
            let id = published.to_string();
            soon(publish(&publisher, "orders.new", &id)).await.unwrap();
            published += 1;
            sleep(Duration::from_millis(4)).await;
        }
        published
    };
    let consume = async {
        for _ in 0..10 {
            let mut consumer = consuming.consume(&source("orders"), 16);
            for _ in 0..5 {
                take(&mut consumer, &seen).await;
            }
            soon(consumer.close()).await;
        }
        is_done.set(true);
    };
    let (published, ()) = tokio::join!(publish, consume);
    let ended = Instant::now();
    let mut consumer = consuming.consume(&source("orders"), 16);
    while seen.borrow().len() < published {
        take(&mut consumer, &seen).await;
    }
    assert!(ended.elapsed() < Duration::from_secs(5));
}

/// The server that leads a stream of a cluster.
async fn leader(servers: &[NatsServer], stream: &str) -> usize {
    let info = ask(&servers[0], &format!("STREAM.INFO.{stream}"), Value::Null).await;
    let name = info["cluster"]["leader"].as_str().map(str::to_owned);
    let number = name.and_then(|name| name.strip_prefix('n')?.parse().ok());
    number.unwrap_or_else(|| panic!("{info}"))
}

#[tokio::test]
async fn a_cluster_has_all_that_it_confirmed_when_the_leader_of_a_stream_is_killed() {
    let mut servers = NatsServer::cluster();
    let hosts: Vec<String> = servers.iter().map(NatsServer::host).collect();
    let config = format!("{ORDERS}\nreplicas = 3\ndead_letter = false");
    let client = client(&format!("nats://{}", hosts.join(",")), &config);
    until("the stream is there", || {
        client.state().is_connected() && client.state().mismatches.is_empty()
    })
    .await;
    let (confirmed, seen) = (RefCell::default(), RefCell::default());
    let (is_done, is_published, is_over) = (Cell::new(false), Cell::new(false), Cell::new(false));
    let publishing = async {
        publish_ahead(&client, &confirmed, &seen, &is_done).await;
        is_published.set(true);
    };
    let consuming = async {
        let mut consumer = client.consume(&source("orders"), 16);
        while !is_over.get() {
            let take = take(&mut consumer, &seen);
            let _nothing_came = timeout(Duration::from_millis(100), take).await;
        }
    };
    let killing = async {
        let more = |than: usize| {
            let confirmed = &confirmed;
            until("more are confirmed", move || {
                confirmed.borrow().len() > than
            })
        };
        more(300).await;
        let led = leader(&servers, "orders").await;
        servers[led].kill();
        let before = confirmed.borrow().len();
        more(before + 300).await;
        is_done.set(true);
        until("all is published", || is_published.get()).await;
        until("all that was confirmed has come", || {
            let seen = seen.borrow();
            confirmed.borrow().iter().all(|id| seen.contains(id))
        })
        .await;
        // And what was stored without a word.
        let alive = &servers[(led + 1) % servers.len()];
        Box::pin(soon(async {
            while stored(alive, "orders").await > 0 {
                sleep(Duration::from_millis(10)).await;
            }
        }))
        .await;
        is_over.set(true);
    };
    let ((), (), ()) = tokio::join!(publishing, consuming, Box::pin(killing));
}
