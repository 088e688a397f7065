//! When one side goes away in the middle, the other side learns it.

use crate::support::{H2Client, H2Origin, Origin, Proxy, SOON, Script, Setup, eventually};

#[test]
fn a_caller_that_leaves_before_the_answer_ends_the_request_upstream() {
    let origin = Origin::start().on("/", Script::new().stall());
    let proxy = Proxy::with(&Setup::to(&origin));
    for reset in [true, false] {
        let mut client = proxy.client();
        client.send_request("GET", "/", &[], "");
        eventually(SOON, "the request arrives", || {
            origin.open_connections() == 1
        });
        if reset {
            client.reset()
        } else {
            drop(client)
        }
        eventually(SOON, "the origin's connection ends", || {
            origin.open_connections() == 0
        });
    }
}

#[test]
fn a_caller_that_leaves_within_the_answer_ends_it_upstream() {
    let origin = Origin::start().on("/", Script::zeros(1 << 40));
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    client.send_request("GET", "/", &[], "").read_head();
    client.read_bytes(1 << 20);
    drop(client);
    eventually(SOON, "the origin's connection ends", || {
        origin.open_connections() == 0
    });
}

#[test]
fn a_caller_that_ends_within_its_body_is_not_answered_with_what_is_only_logged() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    for head in [
        "Content-Length: 10\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let mut client = proxy.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: x\r\n{head}"));
        client.half_close();
        assert_eq!(client.read_to_end(), b"");
    }
    eventually(SOON, "both are counted", || {
        let gone = [("route", "all"), ("code", "499")];
        proxy.metrics().sum("outrigger_requests_total", &gone) == 2.0
    });
}

#[test]
fn a_caller_that_leaves_within_its_body_does_not_end_it_well_upstream() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    for head in [
        "Content-Length: 10\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let mut client = proxy.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: x\r\n{head}"));
        eventually(SOON, "the first bytes arrive", || {
            origin
                .requests()
                .last()
                .is_some_and(|request| request.text() == "abc")
        });
        drop(client);
        eventually(SOON, "the origin's connection ends", || {
            origin.open_connections() == 0
        });
        assert!(origin.requests().iter().all(|request| !request.complete));
    }
}

#[test]
fn an_upstream_that_dies_within_its_answer_is_a_cut_to_the_caller() {
    let sized = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let origin = Origin::start()
        .on("/sized/close", Script::new().send(sized).close())
        .on("/sized/reset", Script::new().send(sized).reset())
        .on("/chunked/close", Script::new().send(chunked).close())
        .on("/chunked/reset", Script::new().send(chunked).reset())
        .on(
            "/chunked/half",
            Script::new().send(chunked).send("5\r\nab").close(),
        );
    let proxy = Proxy::with(&Setup::to(&origin));
    for path in [
        "/sized/close",
        "/sized/reset",
        "/chunked/close",
        "/chunked/reset",
        "/chunked/half",
    ] {
        match proxy
            .client()
            .send_request("GET", path, &[], "")
            .try_answer()
        {
            Err(_cut) => {}
            // The end can overtake the head.
            Ok(answer) => answer.assert_refused(502, "upstream_reset"),
        }
    }
    let http2 = H2Client::connect(proxy.address());
    for path in ["/sized/close", "/chunked/close", "/chunked/half"] {
        match http2.open("GET", path, &[]).ended().try_answer() {
            Err(_cut) => {}
            Ok(answer) => assert_eq!(answer.status, 502, "{path}"),
        }
    }
    assert_eq!(http2.get("/").status, 200, "the other streams go on");
}

#[test]
fn an_http2_upstream_that_resets_a_stream_is_a_cut_to_the_caller() {
    let origin = H2Origin::start();
    let proxy = Proxy::with(&Setup::to_address(origin.address()).upstream(r#"protocol = "http2""#));
    let answer = proxy
        .client()
        .send("POST /cut HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .try_answer();
    assert!(answer.is_err());
}

#[test]
fn an_upstream_that_dies_before_its_answer_is_named() {
    let origin = Origin::start()
        .on("/close", Script::new().close())
        .on("/reset", Script::new().reset())
        .on("/half", Script::new().send("HTTP/1.1 200 O").close());
    let proxy = Proxy::with(&Setup::to(&origin).route("retry = false"));
    for path in ["/close", "/reset", "/half"] {
        proxy.get(path).assert_refused(502, "upstream_reset");
    }
}

#[test]
fn nothing_stays_in_flight_after_all_have_gone() {
    let origin = Origin::start().on("/stall", Script::new().stall());
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut clients: Vec<_> = (0..10).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send_request("GET", "/stall", &[], "");
    }
    eventually(SOON, "all are in flight", || {
        proxy.metrics().sum("outrigger_requests_in_flight", &[]) == 10.0
    });
    drop(clients);
    eventually(SOON, "none is in flight", || {
        let metrics = proxy.metrics();
        metrics.sum("outrigger_requests_in_flight", &[]) == 0.0
            && metrics.sum("outrigger_downstream_connections", &[]) == 0.0
    });
}
