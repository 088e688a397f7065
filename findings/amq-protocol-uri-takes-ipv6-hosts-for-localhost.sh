#!/bin/bash
# amq-protocol-uri 10.6.3 (Rust; what lapin reads its URLs with) takes every IPv6 address that stands for a host for
# `localhost`, without an error: a client that was given the broker's address in a dual-stack or IPv6-only cluster sends
# its login to whatever listens on the machine that it runs on. IPv4 addresses and names are read as they are. One would
# guess that the address comes out, with its brackets or without, as the crate `url`, on which it is built, has it.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "hosts"
version = "0.0.0"
edition = "2024"

[dependencies]
amq-protocol-uri = "=10.6.3"
url = "=2.5.8"
TOML
cat >src/main.rs <<'RUST'
use amq_protocol_uri::AMQPUri;
use url::Url;

fn main() {
    for text in ["amqp://192.0.2.7:5673", "amqp://broker.example:5673", "amqp://[2001:db8::7]:5673", "amqp://[::1]:5673"] {
        let read: AMQPUri = text.parse().unwrap();
        let by_url = Url::parse(text).unwrap();
        println!("{text}: {} ({})", read.authority.host, by_url.host_str().unwrap());
    }
}
RUST
# Built apart from any workspace and cache of the caller's.
seen=$(CARGO_TARGET_DIR=$work/target cargo run --quiet)
expected="amqp://192.0.2.7:5673: 192.0.2.7 (192.0.2.7)
amqp://broker.example:5673: broker.example (broker.example)
amqp://[2001:db8::7]:5673: localhost ([2001:db8::7])
amqp://[::1]:5673: localhost ([::1])"
echo "$seen"
[[ $seen == "$expected" ]] || { echo "it is otherwise now" >&2; exit 1; }
