//! Connections that are not HTTP, by TCP routes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{LIMIT, Launch, Proxy, SOON, eventually};

/// A server that says its name first, and then repeats what it hears until that ends.
fn server(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for caller in listener.incoming() {
            let Ok(mut caller) = caller else { return };
            thread::spawn(move || {
                let mut hears = caller.try_clone()?;
                caller.write_all(name.as_bytes())?;
                std::io::copy(&mut hears, &mut caller)?;
                caller.shutdown(Shutdown::Write)
            });
        }
    });
    address
}

fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A listener that speaks no HTTP, before `more`.
fn config(more: &str) -> String {
    format!(
        "[log]\naccess_log = true\n[listeners.tcp]\nlisten = \"127.0.0.1:0\"\nprotocols = []\npass_through = {{}}\n{more}"
    )
}

fn upstream(name: &str, endpoints: &[SocketAddr]) -> String {
    let endpoints = endpoints.iter().map(|endpoint| format!("\"{endpoint}\""));
    let endpoints = endpoints.collect::<Vec<_>>().join(", ");
    format!("[upstreams.{name}]\nendpoints = [{endpoints}]\nbalancer = \"round-robin\"\n")
}

fn connect(proxy: &Proxy) -> TcpStream {
    let address = proxy.address_of("tcp").unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

fn hear(stream: &mut TcpStream, length: usize) -> String {
    let mut heard = vec![0; length];
    stream.read_exact(&mut heard).unwrap();
    String::from_utf8(heard).unwrap()
}

/// All that comes until the end, however that is.
fn rest(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    let _reset = stream.read_to_end(&mut heard);
    String::from_utf8_lossy(&heard).into_owned()
}

fn passed(proxy: &Proxy, route: &str, result: &str) -> f64 {
    let labels = [("listener", "tcp"), ("route", route), ("result", result)];
    let name = "outrigger_passed_through_connections_total";
    proxy.metrics().sum(name, &labels)
}

fn open(proxy: &Proxy) -> f64 {
    let labels = [("listener", "tcp")];
    proxy
        .metrics()
        .sum("outrigger_passed_through_connections_open", &labels)
}

/// The lines about connections, once there are so many.
fn lines(proxy: &Proxy, count: usize) -> Vec<Value> {
    let mut lines: Vec<Value> = Vec::new();
    eventually(LIMIT, "the access log has its lines", || {
        let text = proxy.stdout();
        let read = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines = read
            .filter(|line: &Value| line["network.transport"] == "tcp")
            .collect();
        lines.len() >= count
    });
    lines
}

/// The first message of TLS, for `name`, as RFC 8446 and RFC 6066 have it.
fn hello(name: &str) -> Vec<u8> {
    let length = name.len() as u16;
    let extension = [
        &[0, 0][..],
        &(length + 5).to_be_bytes(),
        &(length + 3).to_be_bytes(),
        &[0],
        &length.to_be_bytes(),
        name.as_bytes(),
    ]
    .concat();
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0, 0, 2, 0, 47, 1, 0],
        &(extension.len() as u16).to_be_bytes(),
        &extension,
    ]
    .concat();
    let message = [&[1, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat();
    [
        &[22, 3, 1][..],
        &(message.len() as u16).to_be_bytes(),
        &message,
    ]
    .concat()
}

#[test]
fn a_listener_without_http_passes_bytes_both_ways_to_the_end_of_each() {
    let (first, second) = (server("one"), server("two"));
    let proxy = Launch::new(config(&format!(
        "{}[tcp_routes.all]\nupstream = \"app\"\n",
        upstream("app", &[first, second])
    )))
    .start();
    let began = Instant::now();
    let mut streams = [connect(&proxy), connect(&proxy)];
    let mut names = streams.each_mut().map(|stream| hear(stream, 3));
    names.sort();
    assert_eq!(names, ["one", "two"]);
    assert!(began.elapsed() < LIMIT);
    assert_eq!(open(&proxy), 2.0);
    let long = "GET / HTTP/1.1\r\n\r\n".repeat(20_000);
    for mut stream in streams {
        let mut sends = stream.try_clone().unwrap();
        let sent = long.clone();
        let sender = thread::spawn(move || {
            sends.write_all(sent.as_bytes()).unwrap();
            sends.shutdown(Shutdown::Write).unwrap();
        });
        assert!(rest(&mut stream) == long);
        sender.join().unwrap();
    }
    for line in lines(&proxy, 2) {
        assert_eq!(line["outrigger.tcp_route"], "all");
        assert_eq!(line["outrigger.upstream"], "app");
        assert_eq!(line["outrigger.end"], "closed");
        assert_eq!(line["outrigger.bytes_from_caller"], long.len());
        assert_eq!(line["outrigger.bytes_to_caller"], long.len() + 3);
        assert_eq!(line["client.address"], "127.0.0.1");
        assert!(line["outrigger.endpoint"].is_string());
    }
    assert_eq!(passed(&proxy, "all", "ok"), 2.0);
    for (from, more) in [("caller", 0), ("server", 3)] {
        let labels = [("route", "all"), ("from", from)];
        let bytes = proxy
            .metrics()
            .sum("outrigger_passed_through_bytes_total", &labels);
        assert_eq!(bytes, 2.0 * (long.len() + more) as f64);
    }
    eventually(SOON, "none is open", || open(&proxy) == 0.0);
}

#[test]
fn tls_goes_by_the_name_that_it_asks_for() {
    let servers = ["exact", "below", "other"].map(|name| (name, server(name)));
    let upstreams = servers
        .map(|(name, address)| upstream(name, &[address]))
        .concat();
    let proxy = Launch::new(config(&format!(
        "{upstreams}
        [tcp_routes.exact]
        match = {{ sni = \"db.example\" }}
        upstream = \"exact\"
        [tcp_routes.below]
        match = {{ sni = [\"*.example\", \"*.test\"] }}
        upstream = \"below\"
        [tcp_routes.never]
        match = {{ sni = \"no.example\" }}
        refuse = true
        [tcp_routes.other]
        upstream = \"other\"
        "
    )))
    .start();
    let answer = |pieces: &[&[u8]]| {
        let mut stream = connect(&proxy);
        for piece in pieces {
            stream.write_all(piece).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        rest(&mut stream)
    };
    let reached = |name: &str, hello: &[u8]| format!("{name}{}", String::from_utf8_lossy(hello));
    for (name, server) in [
        ("db.example", "exact"),
        ("DB.Example", "exact"),
        ("x.db.example", "below"),
        ("a.test", "below"),
        ("elsewhere", "other"),
    ] {
        let hello = hello(name);
        assert_eq!(answer(&[&hello]), reached(server, &hello), "{name}");
        let (early, late) = hello.split_at(20);
        assert_eq!(
            answer(&[early, late]),
            reached(server, &hello),
            "{name} in pieces"
        );
    }
    // What breaks off, or is no TLS, has no name.
    for other in [
        &hello("db.example")[..30],
        b"\x16\x03\x01\x00\x02\x09\x09",
        b"SSH-2.0-me\r\n",
    ] {
        assert_eq!(answer(&[other]), reached("other", other));
    }
    assert_eq!(answer(&[&hello("no.example")]), "");
    eventually(SOON, "the refusal is counted", || {
        passed(&proxy, "never", "refused") == 1.0
    });
    let told = lines(&proxy, 14);
    let refused = told.iter().find(|line| line["outrigger.end"] == "refused");
    let refused = refused.unwrap();
    assert_eq!(refused["tls.client.server_name"], "no.example");
    assert_eq!(refused["outrigger.bytes_to_caller"], 0);
}

#[test]
fn http_goes_on_by_its_routes_where_the_listener_speaks_it() {
    let ssh = server("SSH-2.0-there\r\n");
    let more = format!(
        "{}[tcp_routes.all]\nupstream = \"app\"\n[routes.web]\nrespond = {{ body = \"web\" }}\n",
        upstream("app", &[ssh])
    );
    let proxy = Launch::new(config(&more).replace("protocols = []\n", "")).start();
    let mut web = connect(&proxy);
    web.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .unwrap();
    assert!(rest(&mut web).starts_with("HTTP/1.1 200"));
    let mut silent = connect(&proxy);
    assert_eq!(hear(&mut silent, 15), "SSH-2.0-there\r\n");
}

#[test]
fn limits_hold_and_endpoints_that_refuse_are_passed_over() {
    let more = format!(
        "{}{}[tcp_routes.app]\nupstream = \"app\"\nmax_connections = 1\nidle_timeout = \"100ms\"\n",
        upstream("app", &[nobody(), server("one")]),
        upstream("none", &[nobody()])
    );
    let mut proxy = Launch::new(config(&more)).start();
    for _ in 0..4 {
        let mut stream = connect(&proxy);
        assert_eq!(rest(&mut stream), "one", "until it was idle for too long");
        eventually(SOON, "its place is free", || open(&proxy) == 0.0);
    }
    let told = lines(&proxy, 4);
    assert!(
        told.iter()
            .all(|line| line["outrigger.end"] == "idle_timeout")
    );

    proxy.reload_with(config(&more.replace("100ms", "1h")));
    let mut stream = connect(&proxy);
    assert_eq!(hear(&mut stream, 3), "one");
    assert_eq!(rest(&mut connect(&proxy)), "");
    assert_eq!(passed(&proxy, "app", "overloaded"), 1.0);

    // The connection stays, and counts, when its route goes elsewhere.
    let elsewhere = more.replace("upstream = \"app\"", "upstream = \"none\"");
    proxy.reload_with(config(&elsewhere.replace("100ms", "1h")));
    stream.write_all(b"still").unwrap();
    assert_eq!(hear(&mut stream, 5), "still");
    assert_eq!(rest(&mut connect(&proxy)), "");
    eventually(SOON, "it counts", || {
        passed(&proxy, "app", "overloaded") == 2.0
    });
    drop(stream);
    eventually(SOON, "its place is free", || open(&proxy) == 0.0);
    assert_eq!(rest(&mut connect(&proxy)), "");
    eventually(SOON, "it is counted", || {
        passed(&proxy, "app", "connect_failed") == 1.0
    });
    let log = proxy.log();
    assert!(
        log.contains("a connection that is not HTTP was not passed on"),
        "{log}"
    );
}

#[test]
fn connections_go_on_while_the_proxy_drains_until_that_is_over() {
    let more = format!(
        "{}[tcp_routes.app]\nupstream = \"app\"\n[shutdown]\ndrain_timeout = \"DRAIN\"\n",
        upstream("app", &[server("one")])
    );
    for (limit, end, sent) in [("60s", "closed", 5), ("300ms", "cut", 0)] {
        let mut proxy = Launch::new(config(&more.replace("DRAIN", limit))).start();
        let address = proxy.address_of("tcp").unwrap();
        let mut stream = connect(&proxy);
        assert_eq!(hear(&mut stream, 3), "one");
        proxy.terminate();
        if end == "closed" {
            eventually(SOON, "nobody new is taken", || {
                TcpStream::connect(&address).is_err()
            });
            stream.write_all(b"still").unwrap();
            assert_eq!(hear(&mut stream, 5), "still");
            stream.shutdown(Shutdown::Write).unwrap();
        }
        assert_eq!(rest(&mut stream), "");
        assert_eq!(proxy.wait_exit(LIMIT).code(), Some(0), "{}", proxy.log());
        proxy.wait_output();
        // Others may have been let in just before nobody was any more.
        let told = lines(&proxy, 1);
        let mut ended = told.iter().filter(|line| {
            line["outrigger.end"] == end && line["outrigger.bytes_from_caller"] == sent
        });
        assert!(ended.next().is_some(), "{told:?}");
    }
}

#[test]
fn a_route_may_be_for_a_unix_socket() {
    let more = format!(
        "{}[tcp_routes.app]\nupstream = \"app\"\n",
        upstream("app", &[server("one")])
    );
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("db.sock");
    let listen = format!("unix:{}", path.display());
    let _proxy = Launch::new(config(&more).replace("127.0.0.1:0", &listen)).start();
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut heard = [0; 3];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"one");
}
