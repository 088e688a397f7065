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

/// A POST that asks for raw bytes behind its body, as `docker exec` does.
fn exec(path: &str, framing: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Connection: Upgrade\r\nUpgrade: tcp\r\n{framing}\r\n\r\n{body}"
    )
}

const EXEC: &str = r#"{"Tty":true}"#;

fn bodies() -> [(&'static str, String); 2] {
    [
        ("Content-Length: 12", EXEC.to_owned()),
        (
            "Transfer-Encoding: chunked",
            format!("4\r\n{}\r\n8\r\n{}\r\n0\r\n\r\n", &EXEC[..4], &EXEC[4..]),
        ),
    ]
}

const SWITCHED: &str = "HTTP/1.1 101 UPGRADED\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\nready";

#[test]
fn a_body_goes_up_whole_and_raw_bytes_follow_the_101() {
    for more in [
        "",
        "retry = {}",
        "request = { body = [{ set = { a = 1 } }] }",
    ] {
        let origin = Origin::start().on("/exec", Script::new().send(SWITCHED).tunnel());
        let proxy = Proxy::with(&Setup::to(&origin).route(more));
        for (framing, body) in bodies() {
            let mut client = proxy.client();
            client.send(exec("/exec", framing, &body) + "early");
            let head = client.read_head();
            assert_eq!(head.word(1), "101", "{more} {framing}");
            assert_eq!(head.get("upgrade"), Some("tcp"));
            assert_eq!(client.read_bytes(10), b"readyearly");
            client.send([0, 0xff, b'\r', b'\n']);
            assert_eq!(client.read_bytes(4), [0, 0xff, b'\r', b'\n']);
            let seen = origin.requests().pop().unwrap();
            assert_eq!(seen.header("upgrade"), Some("tcp"));
            // What it reads as raw bytes is kept behind its body.
            let (body, raw) = seen.body.split_at(seen.body.len() - 9);
            let expected = if more.contains("body") {
                r#"{"Tty":true,"a":1}"#
            } else {
                EXEC
            };
            assert_eq!(String::from_utf8_lossy(body), expected);
            assert_eq!(raw, b"early\0\xff\r\n");
        }
    }
}

#[test]
fn an_upstream_that_switches_early_gets_the_rest_of_the_body_first() {
    // What it reads behind its 101 comes back.
    let origin = Origin::start().on("/exec", Script::upgrade("tcp"));
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    client.send(exec("/exec", "Content-Length: 12", &EXEC[..4]));
    eventually(SOON, "the upstream has switched", || {
        !origin.requests().is_empty()
    });
    client.send(format!("{}raw", &EXEC[4..]));
    assert_eq!(client.read_head().word(1), "101");
    assert_eq!(client.read_bytes(15), format!("{EXEC}raw").as_bytes());

    // As a body, and not as raw bytes: chunk extensions go no further.
    let mut client = proxy.client();
    client.send(exec("/exec", "Transfer-Encoding: chunked", ""));
    eventually(SOON, "the upstream has switched", || {
        origin.requests().len() == 2
    });
    client.send(format!("c;a=b\r\n{EXEC}\r\n0\r\n\r\nraw"));
    assert_eq!(client.read_head().word(1), "101");
    let expected = format!("c\r\n{EXEC}\r\n0\r\n\r\nraw");
    let echoed = client.read_bytes(expected.len());
    assert_eq!(String::from_utf8_lossy(&echoed), expected);
}

#[test]
fn an_upgrade_with_a_body_that_the_upstream_ignores_is_just_answered() {
    let origin = Origin::start().on("/busy", Script::new().answering("409 Conflict", "busy"));
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    for (framing, body) in bodies() {
        // What follows is the next request, and never raw bytes.
        client.send(exec("/", framing, &body) + &exec("/busy", framing, &body));
        let answer = client.read_answer();
        assert_eq!((answer.status, answer.text()), (200, EXEC.into()));
        let answer = client.read_answer();
        assert_eq!((answer.status, answer.text()), (409, "busy".into()));
        assert_eq!(client.get("/next").status, 200);
    }
    let targets: Vec<String> = origin
        .requests()
        .iter()
        .map(|request| request.target().to_owned())
        .collect();
    let round = ["/", "/busy", "/next"];
    assert_eq!(targets, [round, round].concat());
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_upgrade_with_two_framings_is_refused() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let both = "Content-Length: 12\r\nTransfer-Encoding: chunked";
    let answer = proxy.client().send(exec("/", both, EXEC)).read_answer();
    answer.assert_refused(400, "bad_request");
    assert_eq!(origin.connections(), 0);
}
