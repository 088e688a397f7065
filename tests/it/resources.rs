//! Memory and files stay what they were, whatever passes through.

use std::time::Duration;

use crate::support::pki::{Ask, Authority};
use crate::support::{
    Client, Launch, Origin, Proxy, SOON, Script, Setup, TlsClient, eventually, stays,
};

const MIB: u64 = 1 << 20;

/// What bodies that pass may cost: buffers, not bodies.
const GROWTH: u64 = 8 * MIB;

#[test]
fn a_large_answer_passes_in_constant_memory() {
    let length = 512 * MIB;
    let origin = Origin::start().on("/large", Script::zeros(length));
    let proxy = Proxy::with(&Setup::to(&origin));
    assert_eq!(proxy.get("/").status, 200);
    let before = proxy.resident();
    assert_eq!(proxy.get("/large").length, length);
    let grown = proxy.resident().saturating_sub(before);
    assert!(grown < GROWTH, "grew by {grown} bytes");
}

#[test]
fn a_large_request_passes_in_constant_memory() {
    let length = 256 * MIB;
    let origin = Origin::start().on("/large", Script::answer("all of it"));
    let proxy = Proxy::with(&Setup::to(&origin));
    assert_eq!(proxy.get("/").status, 200);
    let before = proxy.resident();
    let mut client = proxy.client();
    client.send(format!(
        "POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    ));
    let piece = vec![0; MIB as usize];
    for _ in 0..length / MIB {
        client.try_send(&piece).unwrap();
    }
    assert_eq!(client.read_answer().text(), "all of it");
    assert_eq!(origin.requests().pop().unwrap().length, length);
    let grown = proxy.resident().saturating_sub(before);
    assert!(grown < GROWTH, "grew by {grown} bytes");
}

#[test]
fn a_slow_reader_holds_the_upstream_back() {
    let origin = Origin::start().on("/large", Script::zeros(1 << 40));
    let proxy = Proxy::with(&Setup::to(&origin));
    assert_eq!(proxy.get("/").status, 200);
    let before = proxy.resident();
    let mut client = proxy.client();
    client.send_request("GET", "/large", &[], "").read_head();
    stays(Duration::from_millis(300), "memory stays flat", || {
        proxy.resident().saturating_sub(before) < GROWTH
    });
}

#[test]
fn a_slow_upstream_holds_the_caller_back() {
    let origin = Origin::start().on(
        "/large",
        Script::at_head().wait(&crate::support::Gate::new()).close(),
    );
    let proxy = Proxy::with(&Setup::to(&origin));
    assert_eq!(proxy.get("/").status, 200);
    let before = proxy.resident();
    let mut client = proxy.client();
    client.send("POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: 1099511627776\r\n\r\n");
    let mut writer = client.writer();
    let sending = std::thread::spawn(move || {
        let piece = vec![0; 64 << 10];
        while writer.try_send(&piece).is_ok() {}
    });
    eventually(SOON, "the request arrives", || origin.requests().len() == 2);
    stays(Duration::from_millis(300), "memory stays flat", || {
        proxy.resident().saturating_sub(before) < GROWTH
    });
    client.reset();
    drop(proxy);
    sending.join().unwrap();
}

#[test]
fn what_only_a_start_or_a_reload_needs_does_not_stay_resident() {
    let origin = Origin::start();
    let setup = Setup::to(&origin);
    let mut proxy = Proxy::with(&setup);
    assert_eq!(proxy.get("/").status, 200);
    let gone = |proxy: &Proxy| {
        eventually(SOON, "pages of the program are let go", || {
            proxy.below_peak() > MIB
        });
    };
    gone(&proxy);
    proxy.forget_peak();
    proxy.reload_with(setup.route("timeout = \"9s\"").toml());
    gone(&proxy);
    assert_eq!(proxy.get("/").status, 200);
}

#[test]
fn what_only_load_needs_does_not_stay_resident() {
    let origin = Origin::start().on("/large", Script::zeros(16 * MIB));
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut clients: Vec<Client> = (0..16).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send_request("GET", "/large", &[], "");
    }
    for client in &mut clients {
        assert_eq!(client.read_answer().length, 16 * MIB);
    }
    let program = proxy.resident_files();
    // It looks every ten seconds whether load is over.
    eventually(9 * SOON, "pages of the program are let go", || {
        proxy.resident_files() < program - MIB
    });
    assert_eq!(proxy.get("/").status, 200);
}

#[test]
fn idle_connections_are_cheap_and_leave_nothing_behind() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let address = proxy.address();
    assert_eq!(proxy.get("/").status, 200);
    let (memory, files) = (proxy.resident(), proxy.open_files());
    let mut clients: Vec<Client> = (0..400).map(|_| Client::tcp(address)).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    let each = proxy.resident().saturating_sub(memory) / 400;
    assert!(each < 32 << 10, "{each} bytes a connection");
    // The first request's own connection may have been counted before, and be closed by now.
    assert!(proxy.open_files() >= files + 390);
    drop(clients);
    // What remains beside is pooled connections to the one upstream.
    eventually(SOON, "their files are closed", || {
        proxy.open_files() <= files + 4
    });
}

#[test]
fn idle_tls_connections_hold_no_buffers() {
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    let (cert, key) = ca.issue(Ask::of(&["localhost"])).write(files.path(), "tls");
    let origin = Origin::start();
    let setup = Setup::to(&origin).listener(format!("tls = {{ cert = {cert:?}, key = {key:?} }}"));
    let proxy = Launch::new(setup.toml()).one_worker().start();
    let client = TlsClient::trusting(ca.pem());
    let body = "x".repeat(40_000);
    let connect = || {
        let mut connected = client.connect(proxy.address());
        assert_eq!(connected.request("POST", "/", &[], &body).status, 200);
        connected
    };
    let mut kept = vec![connect()];
    let before = proxy.resident();
    kept.extend((0..200).map(|_| connect()));
    let each = proxy.resident().saturating_sub(before) / 200;
    // The records that brought the body had 16 KiB each.
    assert!(each < 24 << 10, "{each} bytes a connection");
}

#[test]
fn callers_that_misbehave_leave_nothing_behind() {
    let origin = Origin::start().on("/reset", Script::new().reset());
    let proxy = Proxy::with(&Setup::to(&origin).upstream(r#"pool = { idle_timeout = "50ms" }"#));
    let address = proxy.address();
    assert_eq!(proxy.get("/").status, 200);
    let misbehave = || {
        for bytes in [
            "",
            "GET / HT",
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "GET /reset HTTP/1.1\r\nHost: x\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\u{ff}\u{1}",
            "\0\0\0",
        ] {
            let mut client = Client::tcp(address);
            client.send(bytes);
            client.reset();
        }
    };
    let settled = |files: usize| {
        eventually(SOON, "their files are closed", || {
            proxy.open_files() <= files + 2
        });
    };
    let files = proxy.open_files();
    for _ in 0..10 {
        misbehave();
    }
    settled(files);
    let memory = proxy.resident();
    for _ in 0..50 {
        misbehave();
    }
    settled(files);
    let grown = proxy.resident().saturating_sub(memory);
    assert!(grown < 4 * MIB, "grew by {grown} bytes");
    assert_eq!(proxy.get("/").status, 200);
}

#[test]
fn connections_beyond_the_limit_wait_for_their_turn() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).listener("max_connections = 2"));
    let mut held: Vec<Client> = (0..2).map(|_| proxy.client()).collect();
    for client in &mut held {
        assert_eq!(client.get("/").status, 200);
    }
    let mut waiting = proxy.client();
    waiting.send_request("GET", "/waiting", &[], "");
    stays(Duration::from_millis(100), "it waits", || {
        !origin
            .requests()
            .iter()
            .any(|request| request.target() == "/waiting")
    });
    held.pop();
    assert_eq!(waiting.read_answer().status, 200);
}
