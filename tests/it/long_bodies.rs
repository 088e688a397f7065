//! Long bodies with a known length, which pass without being looked at.

use std::time::Duration;

use crate::support::{Gate, Origin, Proxy, SOON, Script, Setup, eventually};

const KIB: usize = 1 << 10;
/// Around every size at which the way of a body changes.
const LENGTHS: [usize; 12] = [
    1,
    2 * KIB,
    18 * KIB,
    32 * KIB - 1,
    34 * KIB,
    48 * KIB - 1,
    48 * KIB,
    64 * KIB,
    68 * KIB,
    256 * KIB - 1,
    260 * KIB,
    1000 * KIB,
];

/// Bytes of which no two stretches are alike.
fn content(length: usize) -> String {
    let numbers = (0..length / 8 + 1).map(|n| format!("{n:07} "));
    let mut content: String = numbers.collect();
    content.truncate(length);
    content
}

fn assert_same(body: &[u8], content: &str, what: &str) {
    assert_eq!(body.len(), content.len(), "{what}");
    let differs = body
        .iter()
        .zip(content.as_bytes())
        .position(|(a, b)| a != b);
    assert_eq!(differs, None, "{what}");
}

fn sized(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n")
}

#[test]
fn every_length_passes_whole_both_ways_over_the_same_connections() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    // Up and down, so that each kind of body follows each.
    for length in LENGTHS.into_iter().chain(LENGTHS.into_iter().rev()) {
        let content = content(length);
        let answer = client.request("POST", "/", &[], &content);
        assert_same(&answer.body, &content, &format!("{length} bytes"));
    }
    assert_eq!(origin.connections(), 1);
    let passed: usize = 2 * LENGTHS.iter().sum::<usize>();
    for name in [
        "outrigger_request_bytes_total",
        "outrigger_response_bytes_total",
    ] {
        eventually(SOON, name, || {
            proxy.metrics().sum(name, &[]) == passed as f64
        });
    }
}

#[test]
fn requests_sent_behind_a_long_one_are_answered_in_order() {
    let long = content(300 * KIB);
    let origin = Origin::start().on("/long", Script::answer(&long));
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    let mut writer = client.writer();
    let body = long.clone();
    let sending = std::thread::spawn(move || {
        for _ in 0..4 {
            writer.send_request("POST", "/long", &[], &body);
            writer.send_request("POST", "/echo", &[], "short");
        }
    });
    for _ in 0..4 {
        assert_same(&client.read_answer().body, &long, "the long answer");
        assert_eq!(client.read_answer().text(), "short");
    }
    sending.join().unwrap();
}

#[test]
fn a_body_in_drips_passes_as_it_comes() {
    let content = content(200 * KIB);
    let gates: Vec<Gate> = (0..8).map(|_| Gate::new()).collect();
    let mut script = Script::new().send(sized(content.len()));
    for (gate, piece) in gates
        .iter()
        .zip(content.as_bytes().chunks(content.len() / 8))
    {
        script = script.wait(gate).send(piece);
    }
    let origin = Origin::start().on("/", script);
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    client.send_request("GET", "/", &[], "").read_head();
    let mut arrived = Vec::new();
    for gate in &gates {
        gate.open();
        // What has come is not held back until there is more.
        arrived.extend(client.read_bytes(content.len() / 8));
    }
    assert_same(&arrived, &content, "all drips");
    assert_same(&client.get("/").body, &content, "the next answer");
}

#[test]
fn a_request_s_body_in_drips_passes_as_it_comes() {
    let content = content(160 * KIB);
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    let length = content.len();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    ));
    let mut sent = 0;
    for piece in content.as_bytes().chunks(length / 8) {
        client.send(piece);
        sent += piece.len();
        eventually(SOON, "the piece arrives", || {
            origin
                .requests()
                .first()
                .is_some_and(|request| request.length as usize == sent)
        });
    }
    assert_same(&client.read_answer().body, &content, "the echo");
}

#[test]
fn a_slow_reader_gets_all_of_it() {
    let content = content(1000 * KIB);
    let origin = Origin::start().on("/", Script::answer(&content.repeat(16)));
    let proxy = Proxy::with(&Setup::to(&origin));
    let mut slow = proxy.client();
    slow.send_request("GET", "/", &[], "").read_head();
    let mut quick = proxy.client();
    for _ in 0..16 {
        assert_same(&slow.read_bytes(content.len()), &content, "the slow one");
        assert_eq!(quick.request("POST", "/echo", &[], "quick").text(), "quick");
    }
}

#[test]
fn a_long_answer_that_is_cut_is_a_cut_to_the_caller_and_nothing_of_it_is_lost() {
    let head = sized(1 << 30);
    let content = content(500 * KIB);
    let origin = Origin::start()
        .on("/close", Script::new().send(&head).send(&content).close())
        .on("/reset", Script::new().send(&head).send(&content).reset());
    let proxy = Proxy::with(&Setup::to(&origin));
    let cut = proxy
        .client()
        .send_request("GET", "/close", &[], "")
        .try_answer();
    let partial = cut.unwrap_err().partial.unwrap();
    assert_same(&partial.body, &content, "what had come");
    let reset = proxy
        .client()
        .send_request("GET", "/reset", &[], "")
        .try_answer();
    assert!(reset.map_or(true, |answer| answer.status == 502));
    // No byte of either is in anybody else's answer.
    let mut client = proxy.client();
    for length in LENGTHS {
        let content = self::content(length);
        let answer = client.request("POST", "/echo", &[], &content);
        assert_same(&answer.body, &content, &format!("{length} bytes"));
    }
    eventually(SOON, "both are counted as cut", || {
        let reset = [("reason", "upstream_reset")];
        proxy.metrics().sum("outrigger_refused_total", &reset) == 2.0
    });
}

#[test]
fn callers_that_leave_within_a_long_body_leave_no_files_open() {
    let origin = Origin::start()
        .on("/down", Script::zeros(1 << 40))
        .on("/up", Script::at_head().stall());
    let proxy = Proxy::with(&Setup::to(&origin).upstream(r#"pool = { idle_timeout = "50ms" }"#));
    assert_eq!(proxy.get("/").status, 200);
    eventually(SOON, "the pooled connection closes", || {
        origin.open_connections() == 0
    });
    let files = proxy.open_files();
    let piece = vec![b'x'; 100 * KIB];
    for _ in 0..20 {
        let mut down = proxy.client();
        down.send_request("GET", "/down", &[], "").read_head();
        down.read_bytes(300 * KIB);
        let mut up = proxy.client();
        up.send("POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
            .send(&piece);
        down.reset();
        up.reset();
    }
    eventually(SOON, "nothing is left of them", || {
        origin.open_connections() == 0 && proxy.open_files() <= files
    });
}

#[test]
fn an_early_answer_ends_a_long_request() {
    let content = content(400 * KIB);
    let refusal =
        "HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";
    let origin = Origin::start().on(
        "/",
        Script::at_head()
            .read_at_least(100 * KIB)
            .send(refusal)
            .close(),
    );
    let proxy = Proxy::with(&Setup::to(&origin));
    for _ in 0..4 {
        let mut client = proxy.client();
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n");
        let mut writer = client.writer();
        let piece = content.clone();
        let sending = std::thread::spawn(move || while writer.try_send(&piece).is_ok() {});
        let answer = client.try_answer();
        assert!(answer.is_ok_and(|answer| [413, 502].contains(&answer.status)));
        client.reset();
        sending.join().unwrap();
    }
}

#[test]
fn limits_of_time_hold_for_long_bodies() {
    let half = content(200 * KIB);
    let stalls = |head: String| Script::new().send(head).send(&half).stall();
    let origin = Origin::start().on("/", stalls(sized(400 * KIB)));
    for (limit, reason) in [
        (r#"idle_timeout = "100ms""#, "upstream_timeout"),
        (r#"deadline = "100ms""#, "deadline_exceeded"),
    ] {
        let proxy = Proxy::with(&Setup::to(&origin).route(limit));
        let cut = proxy
            .client()
            .send_request("GET", "/", &[], "")
            .try_answer();
        let partial = cut.unwrap_err().partial.unwrap();
        assert_same(&partial.body, &half, limit);
        eventually(SOON, reason, || {
            proxy
                .metrics()
                .sum("outrigger_refused_total", &[("reason", reason)])
                == 1.0
        });
    }
    let proxy = Proxy::with(&Setup::to(&origin).listener(r#"body_timeout = "100ms""#));
    let mut stalled = proxy.client();
    stalled.send(format!(
        "POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{half}"
    ));
    assert!(stalled.closes_within(SOON + Duration::from_secs(1)));
}
