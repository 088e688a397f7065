//! Requests that an HTTP/2 upstream has certainly not looked at (RFC 9113, section 8.7) are sent elsewhere.

use std::net::TcpListener;

use crate::support::frames::{DATA, FrameClient, GOAWAY, HEADERS};
use crate::support::{Launch, Setup};

#[test]
fn a_request_that_an_upstream_refused_unseen_is_sent_once_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::to_address(listener.local_addr().unwrap());
    let proxy = Launch::new(setup.upstream(r#"protocol = "http2""#).toml())
        .one_worker()
        .start();
    let mut client = proxy.client();
    client.send_request("POST", "/", &[], "");
    let mut origin = FrameClient::accept(&listener);
    let refused = origin.next(HEADERS).unwrap().stream;
    origin.refuse(refused);
    // The second attempt goes over a connection of its own.
    let mut origin = FrameClient::accept(&listener);
    let taken = origin.next(HEADERS).unwrap().stream;
    origin.answer(taken);
    assert_eq!(client.read_answer_to("POST").status, 200);
}

/// As many clients send it; without `retry`, and whatever a `retry` says of methods.
#[test]
fn a_body_that_came_behind_its_head_is_sent_once_more_to_who_refused_it_unseen() {
    for retry in [
        "",
        r#"retry = { attempts = 1, backoff = "1ms" }"#,
        r#"retry = { attempts = 1, backoff = "1ms", per_try_timeout = "10s" }"#,
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let setup = Setup::to_address(listener.local_addr().unwrap())
            .upstream(r#"protocol = "http2""#)
            .route(retry);
        let proxy = Launch::new(setup.toml()).one_worker().start();
        let mut client = proxy.client();
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
        let mut origin = FrameClient::accept(&listener);
        let refused = origin.next(HEADERS).unwrap().stream;
        client.send("hel");
        assert_eq!(origin.next(DATA).unwrap().payload, b"hel");
        client.send("lo");
        assert_eq!(origin.next(DATA).unwrap().payload, b"lo");
        origin.refuse(refused);
        if retry.is_empty() {
            // At once, and over a connection of its own.
            origin = FrameClient::accept(&listener);
        }
        let taken = origin.next(HEADERS).unwrap().stream;
        let mut body = Vec::new();
        while body.len() < 5 {
            body.extend(origin.next(DATA).unwrap().payload);
        }
        assert_eq!(body, b"hello");
        origin.answer(taken);
        assert_eq!(client.read_answer_to("POST").status, 200, "{retry}");
    }
}

/// A server that takes so many requests a connection, of which more wait.
#[test]
fn a_request_goes_on_to_a_connection_that_does_not_end_before_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::to_address(listener.local_addr().unwrap());
    let proxy = Launch::new(setup.upstream(r#"protocol = "http2""#).toml())
        .one_worker()
        .start();
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
    for attempt in 0..3 {
        let mut origin = FrameClient::accept(&listener);
        origin.next(HEADERS).unwrap();
        if attempt == 0 {
            client.send("hello");
        }
        assert_eq!(origin.next(DATA).unwrap().payload, b"hello");
        // Of no stream, without an error.
        origin.send(GOAWAY, 0, 0, &[0; 8]);
    }
    let mut origin = FrameClient::accept(&listener);
    let taken = origin.next(HEADERS).unwrap().stream;
    assert_eq!(origin.next(DATA).unwrap().payload, b"hello");
    origin.answer(taken);
    assert_eq!(client.read_answer_to("POST").status, 200);
}
