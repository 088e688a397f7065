//! TLS from callers.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::pki::{Ask, Authority, put};
use crate::support::{LIMIT, Origin, Proxy, SOON, Script, Setup, TlsClient, eventually};

/// A CA, and a proxy whose listener shows a certificate of it for `localhost`.
struct Tls {
    ca: Authority,
    proxy: Proxy,
    _files: tempfile::TempDir,
}

impl Tls {
    /// `more` are lines of the listener.
    fn before(origin: &Origin, more: &[&str]) -> Tls {
        let ca = Authority::new("ca");
        let files = tempfile::tempdir().unwrap();
        let (cert, key) = ca
            .issue(Ask::of(&["localhost"]))
            .write(files.path(), "server");
        put(&files.path().join("ca.pem"), ca.pem());
        let mut setup = Setup::to(origin)
            .listener(format!("tls.cert = {cert:?}"))
            .listener(format!("tls.key = {key:?}"));
        for line in more {
            let line = line.replace("FILES", files.path().to_str().unwrap());
            setup = setup.listener(line);
        }
        Tls {
            ca,
            proxy: Proxy::with(&setup),
            _files: files,
        }
    }

    fn client(&self) -> TlsClient {
        TlsClient::trusting(self.ca.pem())
    }
}

#[test]
fn both_versions_of_tls_and_of_http_are_served() {
    let origin = Origin::start();
    let tls = Tls::before(&origin, &[]);
    let address = tls.proxy.address();
    let old = TlsClient::old(tls.ca.pem(), None);
    for client in [tls.client(), old] {
        let answer = client.connect(address).request("POST", "/one", &[], "body");
        assert_eq!(answer.status, 200);
        let answer = client.http2(address).request("POST", "/two", &[], "body");
        assert_eq!(answer.status, 200);
    }
    assert_eq!(origin.requests().len(), 4);
    assert!(
        origin
            .requests()
            .iter()
            .all(|request| request.text() == "body")
    );
    let metrics = tls.proxy.metrics();
    let ok = [("listener", "main"), ("result", "ok")];
    assert_eq!(metrics.sum("outrigger_tls_handshakes_total", &ok), 4.0);
}

#[test]
fn alpn_chooses_the_protocol_and_without_it_the_first_bytes_do() {
    let origin = Origin::start();
    let tls = Tls::before(&origin, &[]);
    let agreed = |offered: &[&str]| {
        tls.client()
            .offering(offered)
            .shake(tls.proxy.address())
            .unwrap()
            .protocol()
    };
    assert_eq!(agreed(&["http/1.1", "h2"]).as_deref(), Some("h2"));
    assert_eq!(agreed(&["http/1.1"]).as_deref(), Some("http/1.1"));
    assert_eq!(agreed(&[]), None);
    assert!(
        tls.client()
            .offering(&["smtp"])
            .shake(tls.proxy.address())
            .is_err()
    );
    assert_eq!(
        tls.client().connect(tls.proxy.address()).get("/").status,
        200
    );

    let tls = Tls::before(&origin, &[r#"protocols = ["http1"]"#]);
    let shaken = tls
        .client()
        .offering(&["h2", "http/1.1"])
        .shake(tls.proxy.address())
        .unwrap();
    assert_eq!(shaken.protocol().as_deref(), Some("http/1.1"));
}

#[test]
fn the_key_exchange_withstands_quantum_computers_where_the_caller_can() {
    let origin = Origin::start();
    let tls = Tls::before(&origin, &[]);
    let shaken = tls.client().shake(tls.proxy.address()).unwrap();
    assert_eq!(shaken.key_exchange(), "X25519MLKEM768");
}

#[test]
fn the_certificate_is_that_of_the_name_asked_for() {
    let origin = Origin::start();
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    let leaves = [
        vec!["first.example"],
        vec!["*.wild.example"],
        vec!["exact.wild.example"],
    ]
    .map(|names| ca.issue(Ask::of(&names)));
    let list: Vec<String> = leaves
        .iter()
        .enumerate()
        .map(|(n, leaf)| {
            let (cert, key) = leaf.write(files.path(), &n.to_string());
            format!("{{ cert = {cert:?}, key = {key:?} }}")
        })
        .collect();
    let setup = Setup::to(&origin).listener(format!("tls.certificates = [{}]", list.join(", ")));
    let proxy = Proxy::with(&setup);
    for (name, expected) in [
        ("first.example", 0),
        ("a.wild.example", 1),
        ("exact.wild.example", 2),
    ] {
        let shaken = TlsClient::trusting(ca.pem())
            .name(name)
            .shake(proxy.address())
            .unwrap();
        assert_eq!(shaken.shown(), leaves[expected].chain(), "{name}");
        assert_eq!(shaken.http1().get("/").status, 200);
    }
}

#[test]
fn an_rsa_certificate_serves_as_well() {
    let origin = Origin::start();
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    let (cert, key) = ca
        .issue(Ask::of(&["localhost"]).rsa())
        .write(files.path(), "rsa");
    let setup = Setup::to(&origin).listener(format!(
        "tls = {{ cert = {cert:?}, key = {key:?}, min_version = \"1.3\" }}"
    ));
    let proxy = Proxy::with(&setup);
    let client = TlsClient::trusting(ca.pem());
    assert_eq!(client.connect(proxy.address()).get("/").status, 200);
    let refused = TlsClient::old(ca.pem(), None).shake(proxy.address());
    assert!(refused.is_err(), "TLS 1.2 where 1.3 is the least");
    eventually(SOON, "the log says why", || proxy.log().contains("too old"));
}

#[test]
fn bodies_of_any_size_pass_whole_both_ways() {
    const SIZE: usize = 3 << 20;
    let origin = Origin::start().on("/large", Script::zeros(SIZE as u64));
    let tls = Tls::before(&origin, &[]);
    let body = "0123456789abcdef".repeat(SIZE / 16);
    let mut client = tls.client().connect(tls.proxy.address());
    let answer = client.request("POST", "/echo", &[], &body);
    assert_eq!(answer.status, 200);
    assert_eq!(origin.requests()[0].length, SIZE as u64);
    let begun = &origin.requests()[0].body;
    assert!(*begun == body.as_bytes()[..begun.len()]);
    for _ in 0..3 {
        let answer = client.get("/large");
        assert_eq!((answer.status, answer.length), (200, SIZE as u64));
    }
    let over_http2 = tls.client().http2(tls.proxy.address());
    assert_eq!(over_http2.get("/large").body.len(), SIZE);
}

#[test]
fn the_upstream_is_told_that_the_caller_is_encrypted() {
    let origin = Origin::start();
    let tls = Tls::before(&origin, &[r#"forwarded_headers = "set""#]);
    tls.client().connect(tls.proxy.address()).get("/");
    assert_eq!(
        origin.only_request().head.get("x-forwarded-proto"),
        Some("https")
    );
}

#[test]
fn plain_http_on_the_port_is_told_so() {
    let origin = Origin::start();
    let tls = Tls::before(&origin, &[]);
    let answer = tls.proxy.get("/");
    answer.assert_refused(400, "bad_request");
    assert!(
        answer.text().contains("this port speaks TLS"),
        "{}",
        answer.text()
    );
    // What is neither has nothing to read.
    assert!(tls.proxy.client().send("\0\0\0\0").closes_within(LIMIT));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_caller_that_is_slow_to_shake_hands_is_dropped_and_holds_up_nobody() {
    let origin = Origin::start();
    let tls = Tls::before(&origin, &[r#"tls.handshake_timeout = "1s""#]);
    let mut slow: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect(tls.proxy.address()).unwrap())
        .collect();
    for socket in slow.iter_mut().skip(1) {
        socket.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    }
    let mut client = tls.client().connect(tls.proxy.address());
    assert_eq!(client.get("/").status, 200);
    for socket in &mut slow {
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        let end = socket.read(&mut [0; 16]);
        assert!(!matches!(end, Ok(1..)), "{end:?}");
    }
    let timeout = [("listener", "main"), ("result", "timeout")];
    eventually(SOON, "each is counted", || {
        let metrics = tls.proxy.metrics();
        metrics.sum("outrigger_tls_handshakes_total", &timeout) == 100.0
    });
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn hands_are_shaken_by_many_at_once_while_others_are_served() {
    let origin = Origin::start();
    let tls = Tls::before(&origin, &[]);
    let (client, address) = (tls.client(), tls.proxy.address());
    let mut connected = client.connect(address);
    std::thread::scope(|scope| {
        let many: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    (0..25)
                        .map(|_| client.connect(address).get("/").status)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        while many.iter().any(|thread| !thread.is_finished()) {
            assert_eq!(connected.get("/").status, 200);
        }
        for thread in many {
            assert_eq!(thread.join().unwrap(), [200; 25]);
        }
    });
}

#[test]
fn an_answer_that_ends_with_the_connection_ends_with_a_close_notify() {
    let origin = Origin::start();
    let tls = Tls::before(&origin, &[]);
    let mut client = tls.client().connect(tls.proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(client.read_answer().status, 200);
    // Without a close_notify this would be an error.
    assert_eq!(client.read_to_end(), b"");
}

#[test]
fn a_request_that_is_cut_off_does_not_count_as_whole() {
    let origin = Origin::start();
    let tls = Tls::before(&origin, &[]);
    let mut client = tls.client().connect(tls.proxy.address());
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\npart");
    eventually(SOON, "the request reaches the origin", || {
        !origin.requests().is_empty()
    });
    drop(client);
    eventually(SOON, "the origin's connection ends", || {
        origin.open_connections() == 0
    });
    assert!(!origin.requests()[0].complete);
}

#[test]
fn a_session_is_resumed() {
    let origin = Origin::start();
    let tls = Tls::before(&origin, &[]);
    for client in [tls.client(), TlsClient::old(tls.ca.pem(), None)] {
        let first = client.shake(tls.proxy.address()).unwrap();
        assert!(!first.was_resumed());
        assert_eq!(first.http1().get("/").status, 200);
        let second = client.shake(tls.proxy.address()).unwrap();
        assert!(second.was_resumed());
        assert_eq!(second.http1().get("/").status, 200);
    }
}

#[test]
fn a_certificate_of_the_caller_is_required_or_optional() {
    let origin = Origin::start();
    let tls = Tls::before(&origin, &[r#"tls.client_ca = "FILES/ca.pem""#]);
    let leaf = tls
        .ca
        .issue(Ask::of(&["spiffe://td/app"]).only_for_clients());
    let address = tls.proxy.address();
    assert!(tls.client().shake(address).is_err());
    eventually(SOON, "the log says why", || {
        tls.proxy.log().contains("showed no certificate")
    });
    let known = TlsClient::with_certificate(tls.ca.pem(), &leaf);
    assert_eq!(known.connect(address).get("/").status, 200);
    assert_eq!(known.http2(address).get("/").status, 200);
    let old = TlsClient::old(tls.ca.pem(), Some(&leaf));
    assert_eq!(old.connect(address).get("/").status, 200);

    let optional = r#"tls.client_auth = "optional""#;
    let tls = Tls::before(&origin, &[r#"tls.client_ca = "FILES/ca.pem""#, optional]);
    assert_eq!(
        tls.client().connect(tls.proxy.address()).get("/").status,
        200
    );
    let stranger = Authority::new("other").issue(Ask::of(&["spiffe://td/app"]));
    let stranger = TlsClient::with_certificate(tls.ca.pem(), &stranger);
    assert!(stranger.shake(tls.proxy.address()).is_err());
}

#[test]
fn what_upgrades_is_a_tunnel_through_tls() {
    let origin = Origin::start().on("/chat", Script::upgrade("chat"));
    let tls = Tls::before(&origin, &[]);
    let mut client = tls.client().connect(tls.proxy.address());
    client.send(
        "GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n",
    );
    assert_eq!(client.read_head().word(1), "101");
    client.send("hello");
    assert_eq!(client.read_bytes(5), b"hello");
}
