//! Ending without losing a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::frames::{DATA, FrameClient, GOAWAY};
use crate::support::{Client, Gate, LIMIT, Origin, Proxy, SOON, Script, Setup, eventually};

fn wait_until_draining(proxy: &Proxy) {
    eventually(SOON, "readiness fails", || !proxy.is_ready());
}

/// The delay is over too, and nobody new is taken in.
fn wait_until_closed(address: SocketAddr) {
    eventually(SOON, "connections are refused", || {
        Client::try_tcp(address).is_err()
    });
}

#[test]
fn an_idle_proxy_ends_at_once_and_well() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let mut idle = proxy.client();
    assert_eq!(idle.get("/").status, 200);
    proxy.terminate();
    assert_eq!(proxy.wait_exit(SOON).code(), Some(0), "{}", proxy.log());
    assert!(idle.closes_within(SOON));
}

#[test]
fn an_interrupt_ends_it_just_so() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    proxy.signal(rustix::process::Signal::INT);
    assert_eq!(proxy.wait_exit(SOON).code(), Some(0), "{}", proxy.log());
}

#[test]
fn requests_in_flight_finish_and_their_connections_are_closed() {
    let gate = Gate::new();
    let origin = Origin::start()
        .on(
            "/wait",
            Script::new().wait(&gate).answering("200 OK", "whole"),
        )
        .on(
            "/body",
            Script::new()
                .send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc")
                .wait(&gate)
                .send("def"),
        );
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let address = proxy.address();
    let (mut waiting, mut body) = (proxy.client(), proxy.client());
    waiting.send_request("GET", "/wait", &[], "");
    body.send_request("GET", "/body", &[], "").read_head();
    eventually(SOON, "both arrive", || origin.requests().len() == 2);
    proxy.terminate();
    wait_until_closed(address);
    gate.open();
    let answer = waiting.read_answer();
    assert_eq!((answer.status, answer.text()), (200, "whole".into()));
    assert!(answer.head.lists("connection", "close"));
    assert_eq!(body.read_bytes(6), b"abcdef");
    assert!(waiting.closes_within(SOON));
    assert!(body.closes_within(SOON));
    assert_eq!(proxy.wait_exit(SOON).code(), Some(0), "{}", proxy.log());
}

#[test]
fn an_upload_in_flight_finishes() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc");
    eventually(SOON, "its first half arrives", || {
        origin
            .requests()
            .first()
            .is_some_and(|request| request.text() == "abc")
    });
    proxy.terminate();
    wait_until_draining(&proxy);
    client.send("def");
    assert_eq!(client.read_answer().text(), "abcdef");
    assert_eq!(proxy.wait_exit(SOON).code(), Some(0), "{}", proxy.log());
}

#[test]
fn nobody_new_is_taken_in_while_draining() {
    let gate = Gate::new();
    let origin = Origin::start().on("/", Script::new().wait(&gate).answering("200 OK", "x"));
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let address = proxy.address();
    let mut client = proxy.client();
    client.send_request("GET", "/", &[], "");
    eventually(SOON, "the request arrives", || origin.requests().len() == 1);
    proxy.terminate();
    wait_until_closed(address);
    let answer = proxy.admin("GET", "/readyz", "");
    assert_eq!(answer.status, 503);
    assert_eq!(
        proxy.admin("GET", "/livez", "").status,
        200,
        "it is alive to the end"
    );
    gate.open();
    client.read_answer();
    assert_eq!(proxy.wait_exit(SOON).code(), Some(0), "{}", proxy.log());
}

#[test]
fn http2_is_told_to_go_away_and_its_streams_finish() {
    let gate = Gate::new();
    let origin = Origin::start().on("/", Script::new().wait(&gate).answering("200 OK", "x"));
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let mut client = FrameClient::connect(proxy.address());
    let stream = client.get("/");
    eventually(SOON, "the request arrives", || origin.requests().len() == 1);
    proxy.terminate();
    let goaway = client
        .next(GOAWAY)
        .expect("GOAWAY before the connection closes");
    // NO_ERROR (RFC 9113, section 6.8).
    assert_eq!(goaway.payload[4..8], [0, 0, 0, 0]);
    gate.open();
    let end = client.next(DATA).expect("the stream's answer");
    assert_eq!(
        (end.stream, end.payload.as_slice()),
        (stream, b"x".as_slice())
    );
    assert_eq!(proxy.wait_exit(SOON).code(), Some(0), "{}", proxy.log());
}

#[test]
fn within_the_delay_new_connections_are_still_served() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin).also("[shutdown]\ndelay = \"500ms\"\n"));
    proxy.terminate();
    wait_until_draining(&proxy);
    assert_eq!(proxy.get("/").status, 200);
    assert_eq!(proxy.wait_exit(SOON).code(), Some(0), "{}", proxy.log());
}

#[test]
fn draining_has_an_end() {
    let origin = Origin::start().on("/", Script::new().stall());
    let mut proxy =
        Proxy::with(&Setup::to(&origin).also("[shutdown]\ndrain_timeout = \"200ms\"\n"));
    let mut stalled = proxy.client();
    stalled.send_request("GET", "/", &[], "");
    let silent = proxy.client();
    eventually(SOON, "the request arrives", || origin.requests().len() == 1);
    proxy.terminate();
    proxy.wait_exit(SOON);
    drop(silent);
}

#[test]
fn a_connection_that_never_sent_a_request_does_not_hold_the_end_up() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let silent = proxy.client();
    let mut half = proxy.client();
    half.send("GET / HT");
    drop(silent);
    let silent = proxy.client();
    proxy.terminate();
    // Well within the drain timeout: half a head is given its header timeout at most.
    assert_eq!(proxy.wait_exit(LIMIT).code(), Some(0), "{}", proxy.log());
    drop(silent);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let origin = Origin::start().on("/", Script::new().stall());
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let mut stalled = proxy.client();
    stalled.send_request("GET", "/", &[], "");
    eventually(SOON, "the request arrives", || origin.requests().len() == 1);
    proxy.terminate();
    wait_until_draining(&proxy);
    assert!(proxy.exited().is_none());
    proxy.terminate();
    proxy.wait_exit(SOON);
}

#[test]
fn a_drain_that_was_asked_for_waits_to_be_told_to_quit() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let address = proxy.address();
    assert!((200..300).contains(&proxy.admin("POST", "/drain", "").status));
    wait_until_closed(address);
    assert!(!proxy.is_ready());
    assert!(proxy.exited().is_none());
    assert!((200..300).contains(&proxy.admin("POST", "/quit", "").status));
    assert_eq!(proxy.wait_exit(SOON).code(), Some(0), "{}", proxy.log());
}

#[test]
fn quitting_lets_requests_in_flight_finish() {
    let gate = Gate::new();
    let origin = Origin::start().on("/", Script::new().wait(&gate).answering("200 OK", "whole"));
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    client.send_request("GET", "/", &[], "");
    eventually(SOON, "the request arrives", || origin.requests().len() == 1);
    assert!((200..300).contains(&proxy.admin("POST", "/quit", "").status));
    wait_until_draining(&proxy);
    gate.open();
    assert_eq!(client.read_answer().text(), "whole");
    assert_eq!(proxy.wait_exit(SOON).code(), Some(0), "{}", proxy.log());
}

#[test]
fn no_request_of_a_busy_connection_fails() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let address = proxy.address();
    let served: Arc<Vec<AtomicUsize>> = Arc::new((0..16).map(|_| AtomicUsize::new(0)).collect());
    let callers: Vec<_> = (0..16)
        .map(|caller| {
            let served = served.clone();
            std::thread::spawn(move || {
                let mut client = Client::tcp(address);
                loop {
                    let answer = client.get("/");
                    assert_eq!(answer.status, 200);
                    served[caller].fetch_add(1, Ordering::Relaxed);
                    if answer.head.lists("connection", "close") {
                        return;
                    }
                }
            })
        })
        .collect();
    eventually(SOON, "all are busy", || {
        served
            .iter()
            .all(|served| served.load(Ordering::Relaxed) > 5)
    });
    proxy.terminate();
    for caller in callers {
        caller
            .join()
            .expect("every request is answered, until an answer says that it was the last");
    }
    assert_eq!(proxy.wait_exit(SOON).code(), Some(0), "{}", proxy.log());
}

#[test]
fn a_unix_socket_is_removed_at_the_end_and_a_stale_one_is_no_obstacle() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let admin = proxy.path("admin.sock");
    assert!(admin.exists());
    proxy.terminate();
    assert_eq!(proxy.wait_exit(SOON).code(), Some(0), "{}", proxy.log());
    assert!(!admin.exists());
}
