//! The clients and origins, facing each other directly.

use crate::support::{Client, Gate, H2Client, H2Origin, Origin, SOON, Script, eventually};

#[test]
fn an_origin_without_a_script_echoes_and_remembers_the_exact_bytes() {
    let origin = Origin::start();
    let answer =
        Client::tcp(origin.address()).request("POST", "/a?b", &[("X-Case", "kept")], "hello");
    assert_eq!((answer.status, answer.text()), (200, "hello".into()));
    let seen = origin.only_request();
    assert_eq!((seen.method(), seen.target()), ("POST", "/a?b"));
    assert_eq!(
        seen.head.raw,
        b"POST /a?b HTTP/1.1\r\nHost: localhost\r\nX-Case: kept\r\nContent-Length: 5\r\n\r\n"
    );
}

#[test]
fn one_connection_carries_requests_one_after_another() {
    let origin = Origin::start().on("/", Script::answer("hi"));
    let mut client = Client::tcp(origin.address());
    assert_eq!(client.get("/").text(), "hi");
    assert_eq!(client.get("/").text(), "hi");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn chunks_and_trailers_are_read_and_echoed_as_they_arrive() {
    let origin = Origin::start().on("/", Script::echo_pieces());
    let mut client = Client::tcp(origin.address());
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_eq!(client.read_head().word(1), "200");
    assert_eq!(client.read_bytes(8), b"3\r\nabc\r\n");
    client.send("0\r\nX-End: yes\r\n\r\n");
    assert_eq!(client.read_bytes(17), b"0\r\nX-End: yes\r\n\r\n");
    assert_eq!(origin.only_request().trailers.get("x-end"), Some("yes"));
}

#[test]
fn a_gate_holds_an_answer_back() {
    let gate = Gate::new();
    let origin = Origin::start().on(
        "/",
        Script::new()
            .send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
            .wait(&gate)
            .send("cd"),
    );
    let mut client = Client::tcp(origin.address());
    client.send_request("GET", "/", &[], "");
    assert_eq!(client.read_head().word(1), "200");
    assert_eq!(client.read_bytes(2), b"ab");
    gate.open();
    assert_eq!(client.read_bytes(2), b"cd");
}

#[test]
fn a_cut_answer_is_told_from_a_whole_one() {
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort";
    let origin = Origin::start()
        .on("/close", Script::new().send(short).close())
        .on("/reset", Script::new().send(short).reset());
    for path in ["/close", "/reset"] {
        let mut client = Client::tcp(origin.address());
        let cut = client.send_request("GET", path, &[], "").try_answer();
        assert!(cut.is_err(), "{path}");
    }
    eventually(SOON, "its connections are closed", || {
        origin.open_connections() == 0
    });
}

#[test]
fn scripts_of_one_path_are_taken_in_order() {
    let origin = Origin::start()
        .on("/", Script::answer("first"))
        .on("/", Script::answer("then"));
    let mut client = Client::tcp(origin.address());
    assert_eq!(client.get("/").text(), "first");
    assert_eq!(client.get("/").text(), "then");
    assert_eq!(client.get("/").text(), "then");
}

#[test]
fn an_upgraded_connection_echoes_and_keeps_its_half_close() {
    let origin = Origin::start().on("/", Script::upgrade("test"));
    let mut client = Client::tcp(origin.address());
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n");
    assert_eq!(client.read_head().word(1), "101");
    client.send("ping");
    assert_eq!(client.read_bytes(4), b"ping");
    client.half_close();
    assert_eq!(client.read_to_end(), b"[end]");
}

#[test]
fn a_huge_answer_is_counted_not_kept() {
    let length = 64 << 20;
    let origin = Origin::start().on("/", Script::zeros(length));
    let answer = Client::tcp(origin.address()).get("/");
    assert_eq!(answer.length, length);
    assert_eq!(answer.body.len(), 1 << 20);
}

#[test]
fn http2_streams_both_ways_with_trailers() {
    let origin = H2Origin::start();
    let client = H2Client::connect(origin.address());
    let mut exchange = client.open("POST", "/echo", &[("content-type", "application/grpc")]);
    assert_eq!(exchange.status(), 200);
    exchange.send("one");
    assert_eq!(exchange.next().as_deref(), Some("one"));
    exchange.end_with("x-end", "yes");
    let answer = exchange.answer();
    assert_eq!(answer.trailer("x-end"), Some("yes"));
    assert_eq!(answer.grpc_status(), Some("0"));
    assert_eq!(client.get("/plain").status, 200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_cut_http2_answer_is_an_error() {
    let origin = H2Origin::start();
    let client = H2Client::connect(origin.address());
    let mut exchange = client.open("POST", "/cut", &[]);
    exchange.send("piece");
    assert!(exchange.try_answer().is_err());
}
