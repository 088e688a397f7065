#!/bin/bash
# lapin 4.12.3 (Rust) against RabbitMQ (Debian's rabbitmq-server; seen with 3.10.8). With publisher confirms, and messages that
# are mandatory, a message that leads to no queue comes back with its confirm: `take_message()` gives it. One would guess
# that it comes with the confirm of that very message. With several messages under way on one channel it comes with
# whichever is confirmed next: now and then a message that is stored is told as returned, and one that is nowhere as
# stored. The message that is given back is the right one, so who compares it with what was sent can tell; or one keeps
# one message under way on a channel.
# Seen, of 1,000 messages of which each second leads nowhere: 0 to 14 of each kind in a run.
set -euo pipefail

command -v rabbitmq-server >/dev/null || PATH=$PATH:/usr/sbin
command -v rabbitmq-server >/dev/null || apt-get install -y -qq --no-install-recommends rabbitmq-server </dev/null

work=$(mktemp -d)
export RABBITMQ_NODENAME=returned@localhost RABBITMQ_NODE_PORT=25680 RABBITMQ_DIST_PORT=25681
export ERL_EPMD_PORT=25682 ERL_EPMD_ADDRESS=127.0.0.1 RABBITMQ_NODE_IP_ADDRESS=127.0.0.1
export RABBITMQ_MNESIA_BASE=$work/mnesia RABBITMQ_LOG_BASE=$work/log RABBITMQ_PID_FILE=$work/pid
export RABBITMQ_ENABLED_PLUGINS_FILE=$work/plugins RABBITMQ_CONFIG_FILE=$work/rabbitmq
server=$(compgen -G '/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin' | tail -1)
HOME=$work setsid "$server/rabbitmq-server" </dev/null &>"$work/server.log" &
stop() {
    [[ ! -f $work/pid ]] || kill "$(<"$work/pid")" || true
    wait
    epmd -port 25682 -kill &>/dev/null || true
    rm -rf "$work"
}
trap stop EXIT
cd "$work"

mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "returned"
version = "0.0.0"
edition = "2024"

[dependencies]
futures-util = "=0.3.34"
lapin = { version = "=4.12.3", default-features = false, features = ["tokio"] }
tokio = { version = "=1.54.1", features = ["macros", "rt"] }
TOML
cat >src/main.rs <<'RUST'
use futures_util::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = "amqp://guest:guest@127.0.0.1:25680";
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare("there".into(), durable, FieldTable::default()).await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let mandatory = BasicPublishOptions { mandatory: true, ..Default::default() };
    let mut sent = Vec::new();
    for place in 0..1000 {
        let queue = if place % 2 == 0 { "there" } else { "nowhere" };
        let persistent = BasicProperties::default().with_delivery_mode(2);
        let published = channel.basic_publish("".into(), queue.into(), mandatory, queue.as_bytes(), persistent);
        let confirm = published.await.unwrap();
        sent.push(async move { (queue, confirm.await.unwrap().take_message()) });
    }
    let (mut stored_as_returned, mut returned_as_stored) = (0, 0);
    for (queue, returned) in join_all(sent).await {
        match (queue, returned) {
            ("there", Some(message)) => {
                assert_eq!(message.data, b"nowhere");
                stored_as_returned += 1;
            }
            ("nowhere", None) => returned_as_stored += 1,
            _ => {}
        }
    }
    println!("{stored_as_returned} {returned_as_stored}");
}
RUST
CARGO_TARGET_DIR=$work/target cargo build --quiet
until (: </dev/tcp/127.0.0.1/25680) 2>/dev/null; do sleep 0.5; done

for _ in {1..30}; do
    read -r stored_as_returned returned_as_stored < <("$work/target/debug/returned")
    echo "stored, and told as returned: $stored_as_returned; returned, and told as stored: $returned_as_stored"
    if ((stored_as_returned > 0 && returned_as_stored > 0)); then
        echo "as described"
        exit 0
    fi
done
echo "every message came back with its own confirm, thirty times"
exit 1
