//! HTTP/2 in cleartext, on either side.

use std::io::Write;
use std::net::{TcpListener, TcpStream};

use crate::support::frames::{FrameClient, GOAWAY, HEADERS, RST_STREAM, SETTINGS};
use crate::support::{
    Gate, H2Client, H2Origin, Launch, Origin, Proxy, Refusing, SOON, Script, Setup, eventually,
};

fn to_h2(origin: &H2Origin) -> Setup {
    Setup::to_address(origin.address()).upstream(r#"protocol = "http2""#)
}

#[test]
fn an_http2_request_arrives_at_an_http1_upstream() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let client = H2Client::connect(proxy.address());
    let headers = [
        ("x-case", "1"),
        ("cookie", "a=b"),
        ("cookie", "c=d"),
        ("te", "trailers"),
    ];
    let answer = client.request("POST", "/a?b=c", &headers, "hello");
    assert_eq!((answer.status, answer.text()), (200, "hello".into()));
    let seen = origin.only_request();
    assert_eq!(seen.head.start, "POST /a?b=c HTTP/1.1");
    assert_eq!(seen.head.all("host"), ["localhost"]);
    assert_eq!(seen.header("x-case"), Some("1"));
    assert_eq!(
        seen.head.all("cookie"),
        ["a=b; c=d"],
        "RFC 9113, section 8.2.3"
    );
    assert!(
        seen.head
            .fields
            .iter()
            .all(|(name, _)| !name.starts_with(':'))
    );
}

#[test]
fn an_http1_request_arrives_at_an_http2_upstream() {
    let origin = H2Origin::start();
    let proxy = Proxy::with(&to_h2(&origin));
    let headers = [
        ("Host", "shop.example"),
        ("Connection", "x-hop"),
        ("X-Hop", "1"),
    ];
    let answer = proxy.client().request("POST", "/a", &headers, "hello");
    assert_eq!((answer.status, answer.text()), (200, "hello".into()));
    let seen = origin.requests().remove(0);
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/a"));
    assert_eq!(seen.authority.as_deref(), Some("shop.example"));
    assert_eq!(seen.version, http::Version::HTTP_2);
    assert!(!seen.headers.contains_key("x-hop"));
}

#[test]
fn trailers_pass_from_http1_to_http2_and_back() {
    let origin = Origin::start().on("/", Script::echo_pieces());
    let proxy = Proxy::with(&Setup::to(&origin));
    let client = H2Client::connect(proxy.address());
    let mut exchange = client.open("POST", "/", &[("te", "trailers")]);
    exchange.send("abc");
    exchange.end_with("x-sum", "3");
    let answer = exchange.answer();
    assert_eq!(answer.text(), "abc");
    assert_eq!(answer.trailer("x-sum"), Some("3"));
    assert_eq!(origin.only_request().trailers.get("x-sum"), Some("3"));
}

#[test]
fn a_grpc_call_streams_both_ways_and_ends_with_its_status() {
    let origin = H2Origin::start();
    // Without `protocol`: a gRPC call goes over HTTP/2 when its caller speaks it.
    let proxy = Proxy::with(&Setup::to_address(origin.address()));
    let client = H2Client::connect(proxy.address());
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let mut call = client.open("POST", "/pkg.Service/Chat", &headers);
    assert_eq!(call.status(), 200);
    for piece in ["one", "two"] {
        call.send(piece);
        assert_eq!(call.next().as_deref(), Some(piece));
    }
    call.end();
    let answer = call.answer();
    assert_eq!(answer.trailer("grpc-status"), Some("0"));
    assert_eq!(origin.requests()[0].headers["te"], "trailers");
}

#[test]
fn a_grpc_caller_is_refused_in_its_own_words() {
    let stalling = H2Origin::start();
    let refusing = Refusing::bind();
    let proxy = Proxy::with(
        &to_h2(&stalling)
            .route(r#"match = { path = "/stall" }"#)
            .route(r#"timeout = "100ms""#)
            .also(format!(
                "[upstreams.down]\nendpoints = [\"{}\"]\n[routes.down]\nmatch = {{ path = \"/down\" }}\nupstream = \"down\"\n",
                refusing.address()
            )),
    );
    let client = H2Client::connect(proxy.address());
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    // Codes: https://grpc.github.io/grpc/core/md_doc_statuscodes.html
    for (path, status, reason) in [
        ("/none", "12", "no_route"),
        ("/down", "14", "connect_failed"),
        ("/stall", "4", "upstream_timeout"),
    ] {
        let answer = client.request("POST", path, &headers, "");
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.grpc_status(), Some(status), "{path}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/grpc"),
            "{path}"
        );
        assert_eq!(answer.header("outrigger-reason"), Some(reason), "{path}");
        assert!(answer.header("grpc-message").is_some(), "{path}");
        assert!(answer.body.is_empty(), "{path}");
    }
}

#[test]
fn many_streams_share_one_connection_on_both_sides() {
    let origin = H2Origin::start();
    let proxy = Launch::new(to_h2(&origin).toml()).one_worker().start();
    let client = H2Client::connect(proxy.address());
    let mut open: Vec<_> = (0..50).map(|_| client.open("POST", "/", &[])).collect();
    for exchange in &mut open {
        assert_eq!(exchange.status(), 200);
    }
    for (number, mut exchange) in open.into_iter().enumerate() {
        exchange.send(&number.to_string());
        assert_eq!(exchange.ended().answer().text(), number.to_string());
    }
    assert_eq!(origin.connections(), 1);
    let connects = proxy.metrics();
    let connects = connects.sum(
        "outrigger_upstream_connects_total",
        &[("result", "connected")],
    );
    assert_eq!(connects, 1.0, "who waits for a connection makes none");
}

#[test]
fn a_stalled_stream_does_not_stall_its_siblings() {
    let gate = Gate::new();
    let origin = Origin::start().on(
        "/slow",
        Script::new().wait(&gate).answering("200 OK", "slow"),
    );
    let proxy = Proxy::with(&Setup::to(&origin));
    let client = H2Client::connect(proxy.address());
    let slow = client.open("GET", "/slow", &[]).ended();
    for _ in 0..10 {
        assert_eq!(client.get("/").status, 200);
    }
    gate.open();
    assert_eq!(slow.answer().text(), "slow");
}

#[test]
fn a_large_answer_passes_flow_control() {
    let length = 16 << 20;
    let origin = Origin::start().on("/", Script::zeros(length));
    let proxy = Proxy::with(&Setup::to(&origin));
    let answer = H2Client::connect(proxy.address()).get("/");
    assert_eq!(answer.body.len() as u64, length);
}

#[test]
fn a_large_body_passes_flow_control_both_ways() {
    let origin = H2Origin::start();
    let proxy = Proxy::with(&to_h2(&origin));
    let body = "0123456789abcdef".repeat(256 << 10);
    let answer = H2Client::connect(proxy.address()).request("POST", "/", &[], &body);
    assert!(answer.text() == body);
}

#[test]
fn a_head_request_and_an_empty_answer_end_their_streams() {
    let origin = Origin::start()
        .on(
            "/head",
            Script::new().send("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n"),
        )
        .on(
            "/empty",
            Script::new().send("HTTP/1.1 204 No Content\r\n\r\n"),
        );
    let proxy = Proxy::with(&Setup::to(&origin));
    let client = H2Client::connect(proxy.address());
    let answer = client.request("HEAD", "/head", &[], "");
    assert_eq!(answer.header("content-length"), Some("12"));
    assert_eq!(client.get("/empty").status, 204);
}

#[test]
fn connection_headers_do_not_come_back_over_http2() {
    let origin = Origin::start().on(
        "/",
        Script::new().send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nkeep-alive: timeout=5\r\nconnection: keep-alive\r\n\r\n"),
    );
    let proxy = Proxy::with(&Setup::to(&origin));
    let answer = H2Client::connect(proxy.address()).get("/");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("keep-alive"), None);
    assert_eq!(answer.header("connection"), None);
}

#[test]
fn a_refusal_over_http2_says_why() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"match = { path = "/only" }"#));
    let answer = H2Client::connect(proxy.address()).get("/other");
    assert_eq!(
        (answer.status, answer.header("outrigger-reason")),
        (404, Some("no_route"))
    );
}

#[test]
fn the_limit_of_streams_is_announced() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).listener("max_concurrent_streams = 7"));
    let settings = FrameClient::connect(proxy.address())
        .next(SETTINGS)
        .unwrap();
    // SETTINGS_MAX_CONCURRENT_STREAMS is 3 (RFC 9113, section 6.5.2).
    let announced = settings
        .payload
        .chunks(6)
        .any(|one| one == [0, 3, 0, 0, 0, 7]);
    assert!(announced, "{:?}", settings.payload);
}

#[test]
fn a_stream_that_its_caller_gives_up_ends_upstream() {
    let origin = H2Origin::start();
    let proxy = Launch::new(to_h2(&origin).toml()).one_worker().start();
    let mut client = FrameClient::connect(proxy.address());
    let stream = client.get("/stall");
    eventually(SOON, "the request arrives", || origin.open_streams() == 1);
    client.cancel(stream);
    eventually(SOON, "the stream upstream ends", || {
        origin.open_streams() == 0
    });
    assert_eq!(proxy.get("/").status, 200);
    assert_eq!(origin.connections(), 1, "the connection is kept");
}

#[test]
fn a_listener_speaks_only_the_protocols_that_it_names() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin).listener(r#"protocols = ["http1"]"#));
    assert_eq!(proxy.get("/").status, 200);
    let mut http2 = FrameClient::connect(proxy.address());
    assert!(
        http2.next(SETTINGS).is_none(),
        "HTTP/2 where only HTTP/1 is spoken"
    );

    let proxy = Proxy::with(&Setup::to(&origin).listener(r#"protocols = ["http2"]"#));
    assert_eq!(H2Client::connect(proxy.address()).get("/").status, 200);
    // A connection that begins otherwise breaks (RFC 9113, section 3.4).
    let mut http1 = TcpStream::connect(proxy.address()).unwrap();
    http1
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let goaway = FrameClient::over(http1).next(GOAWAY).unwrap();
    assert_eq!(goaway.payload[4..8], 1u32.to_be_bytes(), "PROTOCOL_ERROR");
    assert!(goaway.payload[8..].starts_with(b"HTTP/2 is spoken here"));
}

#[test]
fn an_upgrade_to_an_http2_upstream_is_refused_with_its_reason() {
    let origin = H2Origin::start();
    let proxy = Proxy::with(&to_h2(&origin));
    let headers = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    let answer = proxy.client().request("GET", "/", &headers, "");
    answer.assert_refused(502, "upgrade_unsupported");
    assert!(origin.requests().is_empty());
}

#[test]
fn a_reset_in_the_middle_of_an_answer_keeps_its_meaning() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::to_address(listener.local_addr().unwrap());
    let proxy = Proxy::with(&setup.upstream(r#"protocol = "http2""#));
    let mut client = FrameClient::connect(proxy.address());
    client.get("/");
    let mut origin = FrameClient::accept(&listener);
    let stream = origin.next(HEADERS).unwrap().stream;
    origin.send(HEADERS, 0x4, stream, &[0x88]);
    client.next(HEADERS).unwrap();
    origin.cancel(stream);
    let reset = client.next(RST_STREAM).unwrap();
    assert_eq!(reset.payload, 8u32.to_be_bytes(), "CANCEL");
}

#[test]
fn early_hints_pass_to_an_http2_caller() {
    let origin = Origin::start().on(
        "/",
        Script::new()
            .send("HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n")
            .answering("200 OK", "page"),
    );
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = FrameClient::connect(proxy.address());
    client.get("/");
    let holds = |payload: &[u8], text: &str| {
        let mut windows = payload.windows(text.len());
        windows.any(|window| window == text.as_bytes())
    };
    let hints = client.next(HEADERS).unwrap().payload;
    assert!(holds(&hints, "103") && holds(&hints, "</a.css>; rel=preload"));
    // 200 is an entry of the static table.
    assert_eq!(client.next(HEADERS).unwrap().payload[0], 0x88);
}

#[test]
fn early_hints_pass_from_an_http2_upstream() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::to_address(listener.local_addr().unwrap());
    let proxy = Proxy::with(&setup.upstream(r#"protocol = "http2""#));
    let mut client = proxy.client();
    client.send_request("GET", "/", &[], "");
    let mut origin = FrameClient::accept(&listener);
    let stream = origin.next(HEADERS).unwrap().stream;
    origin.send(HEADERS, 0x4, stream, b"\x08\x03103");
    origin.answer(stream);
    let answer = client.read_answer_to("GET");
    assert_eq!((answer.status, answer.interim.len()), (200, 1));
    assert_eq!(answer.interim[0].word(1), "103");
}

#[test]
fn a_call_whose_time_is_over_is_cancelled() {
    let origin = H2Origin::start();
    let proxy = Proxy::with(&to_h2(&origin).route(r#"deadline = "300ms""#));
    let client = H2Client::connect(proxy.address());
    let mut call = client.open("POST", "/", &[("content-type", "application/grpc")]);
    assert_eq!(call.status(), 200);
    let error = call.try_answer().unwrap_err();
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref());
    let reason = cause.and_then(h2::Error::reason);
    assert_eq!(reason, Some(h2::Reason::CANCEL));
}
