//! What arrives at the upstream, and what comes back: methods, bodies, interim answers, the connection.

use crate::support::{Client, Gate, Origin, Proxy, Script, Setup};

#[test]
fn every_method_arrives_with_its_target_and_body() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
        let body = if method == "GET" { "" } else { "hello" };
        let answer = client.request(method, "/a/b?c=d&e=%20f", &[], body);
        assert_eq!(
            (answer.status, answer.text()),
            (200, body.into()),
            "{method}"
        );
        let seen = origin.requests().pop().unwrap();
        assert_eq!((seen.method(), seen.target()), (method, "/a/b?c=d&e=%20f"));
    }
}

#[test]
fn a_sized_request_body_stays_sized() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    proxy.client().request("POST", "/", &[], "hello");
    let seen = origin.only_request();
    assert_eq!(seen.head.all("content-length"), ["5"]);
    assert_eq!(seen.header("transfer-encoding"), None);
}

#[test]
fn a_request_without_a_body_gets_no_framing() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    proxy.get("/");
    let seen = origin.only_request();
    assert_eq!(seen.header("content-length"), None);
    assert_eq!(seen.header("transfer-encoding"), None);
}

#[test]
fn a_chunked_request_arrives_whole_with_its_trailers() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let answer = proxy
        .client()
        .send("POST / HTTP/1.1\r\nHost: x\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n")
        .send("3\r\nabc\r\n2;note=1\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n")
        .read_answer();
    assert_eq!(answer.text(), "abcde");
    let seen = origin.only_request();
    assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
    assert_eq!(seen.trailers.get("x-sum"), Some("5"));
}

#[test]
fn a_chunked_answer_arrives_whole_with_its_trailers() {
    let origin = Origin::start().on(
        "/",
        Script::new()
            .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n")
            .send("3\r\nabc\r\n0\r\nx-sum: 3\r\n\r\n"),
    );
    let proxy = Proxy::with(&Setup::to(&origin));
    let answer = proxy
        .client()
        .request("GET", "/", &[("TE", "trailers")], "");
    assert_eq!(answer.text(), "abc");
    assert_eq!(answer.trailers.get("x-sum"), Some("3"));
}

#[test]
fn an_answer_that_ends_with_its_connection_is_whole_to_the_caller() {
    let origin = Origin::start().on(
        "/",
        Script::new()
            .send("HTTP/1.1 200 OK\r\n\r\nuntil the end")
            .close(),
    );
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    assert_eq!(client.get("/").text(), "until the end");
    assert_eq!(
        client.get("/other").status,
        200,
        "the caller's connection stays"
    );
}

#[test]
fn both_bodies_stream_at_once() {
    let origin = Origin::start().on("/", Script::echo_pieces());
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_eq!(client.read_head().word(1), "200");
    assert_eq!(client.read_bytes(8), b"3\r\nabc\r\n");
    client.send("2\r\nde\r\n");
    assert_eq!(client.read_bytes(7), b"2\r\nde\r\n");
    client.send("0\r\n\r\n");
    assert_eq!(client.read_bytes(5), b"0\r\n\r\n");
}

#[test]
fn events_are_passed_on_as_they_come() {
    let gate = Gate::new();
    let origin = Origin::start().on(
        "/",
        Script::new()
            .send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            .send("9\r\ndata: 1\n\n\r\n")
            .wait(&gate)
            .send("9\r\ndata: 2\n\n\r\n0\r\n\r\n"),
    );
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    client.send_request("GET", "/", &[], "").read_head();
    assert_eq!(client.read_bytes(14), b"9\r\ndata: 1\n\n\r\n");
    gate.open();
    assert_eq!(client.read_bytes(14), b"9\r\ndata: 2\n\n\r\n");
}

#[test]
fn a_head_request_gets_the_length_and_no_body() {
    let origin = Origin::start().on(
        "/",
        Script::new().send("HTTP/1.1 200 OK\r\ncontent-length: 12345\r\n\r\n"),
    );
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    let answer = client.request("HEAD", "/", &[], "");
    assert_eq!(answer.header("content-length"), Some("12345"));
    assert_eq!(client.get("/next").status, 200);
}

#[test]
fn options_of_the_server_itself_keeps_its_star() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let answer = proxy.client().request("OPTIONS", "*", &[], "");
    assert_eq!(answer.status, 200);
    assert_eq!(origin.only_request().target(), "*");
}

#[test]
fn answers_that_have_no_body_leave_the_connection_usable() {
    let origin = Origin::start()
        .on(
            "/204",
            Script::new().send("HTTP/1.1 204 No Content\r\n\r\n"),
        )
        .on(
            "/304",
            Script::new()
                .send("HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\netag: \"a\"\r\n\r\n"),
        );
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    let answer = client.get("/204");
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("content-length"), None);
    assert_eq!(answer.header("transfer-encoding"), None);
    let answer = client.get("/304");
    assert_eq!((answer.status, answer.header("etag")), (304, Some("\"a\"")));
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn a_status_that_nobody_knows_passes() {
    let origin = Origin::start().on("/", Script::new().answering("299 Quite Odd", "fine"));
    let proxy = Proxy::with(&Setup::to(&origin));
    assert_eq!(proxy.get("/").status, 299);
}

#[test]
fn a_caller_that_expects_100_gets_it_when_the_upstream_goes_on() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    client.send("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.read_head().word(1), "100");
    client.send("hello");
    assert_eq!(client.read_answer().text(), "hello");
}

#[test]
fn a_caller_that_expects_100_and_is_refused_never_sees_it() {
    let origin = Origin::start().on(
        "/",
        Script::at_head()
            .answering("417 Expectation Failed", "no")
            .close(),
    );
    let proxy = Proxy::with(&Setup::to(&origin));
    let answer = proxy
        .client()
        .send("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .read_answer();
    assert_eq!((answer.status, answer.interim.len()), (417, 0));
}

#[test]
fn early_hints_pass_before_the_answer() {
    let origin = Origin::start().on(
        "/",
        Script::new()
            .send("HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n")
            .answering("200 OK", "page"),
    );
    let proxy = Proxy::with(&Setup::to(&origin));
    let answer = proxy.get("/");
    assert_eq!(answer.text(), "page");
    assert_eq!(answer.interim.len(), 1);
    assert_eq!(answer.interim[0].word(1), "103");
    assert_eq!(answer.interim[0].get("link"), Some("</a.css>; rel=preload"));
}

#[test]
fn early_hints_are_dropped_where_callers_would_take_them_for_the_answer() {
    let origin = Origin::start().on(
        "/",
        Script::new()
            .send("HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n")
            .answering("200 OK", "page"),
    );
    let setup = Setup::to(&origin).also(
        "[defaults]\ninterim_responses = \"drop\"\n[routes.pass]\nmatch.headers = { x-pass = \"*\" }\n\
         upstream = \"origin\"\ninterim_responses = \"pass\"\n",
    );
    let proxy = Proxy::with(&setup);
    let answer = proxy.get("/");
    assert_eq!((answer.text(), answer.interim.len()), ("page".into(), 0));
    let pass = [("X-Pass", "1")];
    let answer = proxy.client().request("GET", "/", &pass, "");
    assert_eq!(answer.interim.len(), 1);
    // Who waits to be asked for its body still is.
    let mut client = proxy.client();
    client
        .send("PUT /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.read_head().word(1), "100");
    client.send("hello");
    assert_eq!(client.read_answer().text(), "hello");
}

#[test]
fn an_answer_that_comes_while_the_body_is_arriving_reaches_the_caller() {
    let origin = Origin::start().on(
        "/",
        Script::at_head()
            .read_at_least(1)
            .answering("413 Content Too Large", "enough")
            .close(),
    );
    let proxy = Proxy::with(&Setup::to(&origin));
    let answer = proxy
        .client()
        .send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nsome of it")
        .read_answer();
    assert_eq!((answer.status, answer.text()), (413, "enough".into()));
    assert_eq!(answer.reason(), None, "it is the upstream's own answer");
}

#[test]
fn an_early_answer_reaches_a_caller_that_goes_on_sending() {
    let origin = Origin::start().on(
        "/",
        Script::at_head()
            .answering("413 Content Too Large", "enough")
            .close(),
    );
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n");
    let mut writer = client.writer();
    let sending = std::thread::spawn(move || {
        let piece = [b'x'; 16 << 10];
        while writer.try_send(piece).is_ok() {}
    });
    assert_eq!(client.read_answer().status, 413);
    drop(client);
    sending.join().unwrap();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start()
        .on("/1", Script::answer("one"))
        .on("/2", Script::answer("two"))
        .on("/3", Script::answer("three"));
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    client.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\n\r\n");
    for expected in ["one", "two", "three"] {
        assert_eq!(client.read_answer().text(), expected);
    }
}

#[test]
fn http_1_0_gets_an_answer_that_it_can_read() {
    let origin = Origin::start().on(
        "/",
        Script::new()
            .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    );
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    let answer = client.send("GET / HTTP/1.0\r\n\r\n").read_answer();
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(answer.text(), "abc");
    assert!(client.read_to_end().is_empty());
    assert!(origin.only_request().head.start.ends_with("HTTP/1.1"));
}

#[test]
fn a_caller_that_asks_to_close_is_closed_after_its_answer() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    let answer = client.request("GET", "/", &[("Connection", "close")], "");
    assert_eq!(answer.status, 200);
    assert!(answer.head.lists("connection", "close"));
    assert!(client.read_to_end().is_empty());
}

#[test]
fn an_upstream_that_closes_does_not_close_the_caller() {
    let origin = Origin::start().on(
        "/",
        Script::new()
            .send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi")
            .close(),
    );
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    for _ in 0..3 {
        let answer = client.get("/");
        assert_eq!(answer.text(), "hi");
        assert!(!answer.head.lists("connection", "close"));
    }
    assert_eq!(origin.connections(), 3);
}

#[test]
fn callers_on_a_unix_socket_are_served() {
    let origin = Origin::start();
    let toml = Setup::to(&origin)
        .toml()
        .replace("127.0.0.1:0", "unix:main.sock");
    let proxy = Proxy::start(&toml);
    let socket = proxy.path("config/main.sock");
    assert_eq!(Client::unix(&socket).get("/").status, 200);
}
