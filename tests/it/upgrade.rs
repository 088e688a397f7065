//! Connections that change their protocol.

use crate::support::{Client, Origin, Proxy, SOON, Script, Setup, eventually};

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn upgraded(proxy: &Proxy) -> Client {
    let mut client = proxy.client();
    let head = client.send(HANDSHAKE).read_head();
    assert_eq!(head.word(1), "101");
    client
}

#[test]
fn a_websocket_handshake_passes_and_then_raw_bytes_both_ways() {
    let origin = Origin::start().on("/chat", Script::upgrade("websocket"));
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    let head = client.send(HANDSHAKE).read_head();
    assert_eq!(head.word(1), "101");
    assert_eq!(head.get("upgrade"), Some("websocket"));
    assert!(head.lists("connection", "upgrade"));
    client.send([0x81, 0x02, b'h', b'i', 0x00, 0xff]);
    assert_eq!(client.read_bytes(6), [0x81, 0x02, b'h', b'i', 0x00, 0xff]);

    let seen = origin.requests().remove(0);
    assert_eq!(seen.header("upgrade"), Some("websocket"));
    assert!(seen.head.lists("connection", "upgrade"));
    assert_eq!(
        seen.header("sec-websocket-key"),
        Some("dGhlIHNhbXBsZSBub25jZQ==")
    );
}

#[test]
fn bytes_right_behind_the_101_are_not_lost() {
    let origin = Origin::start().on(
        "/",
        Script::at_head()
            .send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nfirst")
            .tunnel(),
    );
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    assert_eq!(client.read_head().word(1), "101");
    assert_eq!(client.read_bytes(5), b"first");
}

#[test]
fn bytes_right_behind_the_handshake_arrive_after_the_101() {
    let origin = Origin::start().on("/chat", Script::upgrade("websocket"));
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    client.send(format!("{HANDSHAKE}early"));
    assert_eq!(client.read_head().word(1), "101");
    assert_eq!(client.read_bytes(5), b"early");
}

#[test]
fn bytes_behind_a_refused_handshake_never_reach_the_upstream_unseen() {
    let origin = Origin::start().on("/chat", Script::new().answering("403 Forbidden", "no"));
    let proxy = Proxy::with(
        &Setup::to(&origin)
            .also("[routes.hidden]\nmatch = { path = \"/hidden\" }\nrespond = { status = 404 }\n"),
    );
    let mut client = proxy.client();
    client.send(format!(
        "{HANDSHAKE}GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
    ));
    assert_eq!(client.read_answer().status, 403);
    // Read as the caller's next request, or not at all.
    if let Ok(answer) = client.try_answer() {
        assert_eq!(answer.status, 404);
    }
    assert!(
        origin
            .requests()
            .iter()
            .all(|request| request.target() == "/chat")
    );
}

#[test]
fn a_refused_upgrade_is_an_answer_like_any_other() {
    let origin = Origin::start().on(
        "/chat",
        Script::new().answering("426 Upgrade Required", "other"),
    );
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    let answer = client.send(HANDSHAKE).read_answer();
    assert_eq!((answer.status, answer.text()), (426, "other".into()));
    assert_eq!(client.get("/next").status, 200);
}

#[test]
fn a_side_that_ends_its_sending_can_still_read() {
    let origin = Origin::start().on("/chat", Script::upgrade("websocket"));
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = upgraded(&proxy);
    client.send("bye");
    client.half_close();
    assert_eq!(client.read_to_end(), b"bye[end]");
    eventually(SOON, "the origin's connection ends", || {
        origin.open_connections() == 0
    });
}

#[test]
fn an_upstream_that_closes_ends_the_caller_too() {
    let origin = Origin::start().on("/chat", Script::upgrade("websocket"));
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = upgraded(&proxy);
    origin.close_connections();
    assert!(client.closes_within(SOON));
}

#[test]
fn a_caller_that_is_gone_ends_the_upstream_too() {
    let origin = Origin::start().on("/chat", Script::upgrade("websocket"));
    let proxy = Proxy::with(&Setup::to(&origin));
    upgraded(&proxy).reset();
    eventually(SOON, "the origin's connection ends", || {
        origin.open_connections() == 0
    });
}

#[test]
fn an_idle_upgraded_connection_is_closed() {
    let origin = Origin::start().on("/chat", Script::upgrade("websocket"));
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"idle_timeout = "200ms""#));
    let mut client = upgraded(&proxy);
    assert!(client.closes_within(SOON));
    eventually(SOON, "the origin's connection ends", || {
        origin.open_connections() == 0
    });
}

#[test]
fn the_response_timeout_does_not_end_an_upgraded_connection() {
    let origin = Origin::start()
        .on("/chat", Script::upgrade("websocket"))
        .on("/never", Script::new().stall());
    let proxy = Proxy::with(&Setup::to(&origin).route(r#"timeout = "150ms""#));
    let mut client = upgraded(&proxy);
    // Lasts as long as the timeout does.
    proxy.get("/never").assert_refused(504, "upstream_timeout");
    client.send("still");
    assert_eq!(client.read_bytes(5), b"still");
}

#[test]
fn any_protocol_may_be_switched_to() {
    let origin = Origin::start().on("/", Script::upgrade("my-own/2"));
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: my-own/2\r\n\r\n");
    assert_eq!(client.read_head().get("upgrade"), Some("my-own/2"));
    client.send("x");
    assert_eq!(client.read_bytes(1), b"x");
}

#[test]
fn an_upgrade_that_connection_does_not_name_is_not_one() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    proxy
        .client()
        .request("GET", "/", &[("Upgrade", "websocket")], "");
    assert_eq!(origin.only_request().header("upgrade"), None);
}

#[test]
fn bytes_behind_the_heads_are_counted() {
    let origin = Origin::start().on("/chat", Script::upgrade("websocket"));
    let proxy = Proxy::with(&Setup::to(&origin).also("[log]\naccess_log = true\n"));
    // With bytes right behind the handshake. The origin sends back what it gets, and at the end a word of its own.
    let mut client = proxy.client();
    client.send(format!("{HANDSHAKE}early"));
    assert_eq!(client.read_head().word(1), "101");
    client.send("later");
    assert_eq!(client.read_bytes(10), b"earlylater");
    client.half_close();
    assert_eq!(client.read_to_end(), b"[end]");
    eventually(SOON, "the line is written", || {
        proxy.stdout().contains("\"http.response.status_code\":101")
    });
    let line: serde_json::Value = serde_json::from_str(proxy.stdout().trim()).unwrap();
    assert_eq!(line["http.request.body.size"], 10);
    assert_eq!(line["http.response.body.size"], 15);
    let route = [("route", "all")];
    let metrics = proxy.metrics();
    assert_eq!(metrics.sum("outrigger_request_bytes_total", &route), 10.0);
    assert_eq!(metrics.sum("outrigger_response_bytes_total", &route), 15.0);
}

#[test]
fn a_connect_request_is_refused_where_no_route_names_it() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let answer = proxy
        .client()
        .send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
        .read_answer();
    assert!(matches!(answer.status, 404 | 405), "{}", answer.status);
    assert_eq!(origin.connections(), 0);
}
