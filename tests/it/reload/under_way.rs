//! What is under way while the config changes: requests, streams and connections.

use super::saying;
use crate::support::{
    Client, Gate, H2Client, H2Origin, Launch, Origin, Proxy, SOON, Script, Setup, eventually,
};

#[test]
fn a_connection_stays_and_its_next_request_takes_the_new_route() {
    let mut proxy = Proxy::start(&saying("one"));
    let mut http1 = proxy.client();
    let http2 = H2Client::connect(proxy.address());
    assert_eq!(http1.get("/").text(), "one");
    assert_eq!(http2.get("/").text(), "one");
    proxy.reload_with(saying("two"));
    assert_eq!(http1.get("/").text(), "two");
    assert_eq!(http2.get("/").text(), "two");
}

#[test]
fn a_request_keeps_the_route_that_it_started_with_to_the_end_of_its_body() {
    let gate = Gate::new();
    let origin = Origin::start().on(
        "/",
        Script::new()
            .send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nfirst")
            .wait(&gate)
            .send("end"),
    );
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    client.send_request("GET", "/", &[], "").read_head();
    // Its route and its upstream are gone.
    proxy.reload_with(saying("new"));
    assert_eq!(proxy.get("/").text(), "new");
    gate.open();
    assert_eq!(client.read_bytes(8), b"firstend");
    assert_eq!(client.get("/").text(), "new");
}

#[test]
fn long_streams_outlive_reloads() {
    let (origin, grpc) = (
        Origin::start()
            .on("/ws", Script::upgrade("websocket"))
            .on("/upload", Script::echo_pieces()),
        H2Origin::start(),
    );
    let setup = |note: &str| {
        Setup::to(&origin)
            .route(format!("response = {{ set_headers = {{ x-note = \"{note}\" }} }}"))
            .also(format!(
                "[upstreams.grpc]\nendpoints = [\"{}\"]\n[routes.grpc]\nmatch = {{ path = \"/grpc\" }}\nupstream = \"grpc\"\n",
                grpc.address()
            ))
            .toml()
    };
    let mut proxy = Proxy::start(&setup("0"));
    let mut websocket = proxy.client();
    websocket
        .send("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(websocket.read_head().word(1), "101");
    let mut upload = proxy.client();
    upload.send("POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    upload.read_head();
    let caller = H2Client::connect(proxy.address());
    let mut call = caller.open("POST", "/grpc", &[("content-type", "application/grpc")]);
    assert_eq!(call.status(), 200);

    for number in 1..=3 {
        proxy.reload_with(setup(&number.to_string()));
        websocket.send("ping");
        assert_eq!(websocket.read_bytes(4), b"ping");
        upload.send("1\r\nx\r\n");
        assert_eq!(upload.read_bytes(6), b"1\r\nx\r\n");
        call.send("ping");
        assert_eq!(call.next().as_deref(), Some("ping"));
    }
    call.end();
    assert_eq!(call.answer().grpc_status(), Some("0"));
}

#[test]
fn upstream_connections_outlive_a_reload() {
    let origin = Origin::start();
    let mut proxy = Launch::new(Setup::to(&origin).toml()).one_worker().start();
    assert_eq!(proxy.get("/").status, 200);
    proxy.reload_with(Setup::to(&origin).route(r#"timeout = "9s""#).toml());
    assert_eq!(proxy.get("/").status, 200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn requests_in_flight_count_against_a_limit_that_is_new() {
    let origin = Origin::start().on("/stall", Script::new().stall());
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    client.send_request("GET", "/stall", &[], "");
    eventually(SOON, "the request arrives", || origin.requests().len() == 1);
    proxy.reload_with(Setup::to(&origin).upstream("max_in_flight = 1").toml());
    proxy.get("/").assert_refused(503, "overloaded");
}

#[test]
fn no_request_fails_while_configs_come_and_go() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let address = proxy.address();
    let gate = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let done = gate.clone();
            std::thread::spawn(move || {
                let mut client = Client::tcp(address);
                let mut served = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    assert_eq!(client.get("/").status, 200);
                    served += 1;
                }
                served
            })
        })
        .collect();
    for number in 0..3 {
        proxy.reload_with(
            Setup::to(&origin)
                .route(format!("timeout = \"{}s\"", 10 + number))
                .toml(),
        );
        proxy.reload_refused(format!("[routes.all]\nnonsense = {number}\n"));
    }
    gate.store(true, std::sync::atomic::Ordering::Relaxed);
    for caller in callers {
        assert!(caller.join().unwrap() > 0);
    }
}
