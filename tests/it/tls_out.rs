//! TLS to upstreams.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;

use crate::support::pki::{Ask, Authority, Leaf, put, signed_over_sha1};
use crate::support::{
    H2Client, H2Origin, Launch, Origin, Proxy, SOON, Script, Setup, TlsServer, eventually,
};

/// A CA that a proxy trusts, and the proxy's own certificate of it.
struct Pki {
    ca: Authority,
    files: tempfile::TempDir,
}

impl Pki {
    fn new() -> Pki {
        let ca = Authority::new("ca");
        let files = tempfile::tempdir().unwrap();
        put(&files.path().join("ca.pem"), ca.pem());
        ca.issue(Ask::of(&["spiffe://td/proxy"]).only_for_clients())
            .write(files.path(), "proxy");
        Pki { ca, files }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// `more` are keys of `tls`.
    fn setup(&self, address: impl std::fmt::Display, more: &[&str]) -> Setup {
        let mut setup = Setup::to_address(address)
            .upstream(format!("tls.ca = {:?}", self.file("ca.pem")))
            .upstream("connect_timeout = \"5s\"");
        for line in more {
            let line = line.replace("FILES", self.files.path().to_str().unwrap());
            setup = setup.upstream(format!("tls.{line}"));
        }
        setup
    }

    fn server(&self, name: &str) -> Leaf {
        self.ca.issue(Ask::of(&[name]).only_for_servers())
    }
}

const SHOWN: [&str; 2] = ["cert = \"FILES/proxy.crt\"", "key = \"FILES/proxy.key\""];

fn named(port: u16) -> String {
    format!("localhost:{port}")
}

#[test]
fn http1_is_spoken_over_both_versions_and_connections_are_used_again() {
    let pki = Pki::new();
    let leaf = pki.server("localhost");
    for server in [TlsServer::showing(&leaf), TlsServer::old(&leaf, None)] {
        let origin = Origin::over_tls(&server);
        let proxy = Launch::new(pki.setup(named(origin.address().port()), &[]).toml())
            .one_worker()
            .start();
        let mut client = proxy.client();
        for _ in 0..5 {
            let answer = client.request("POST", "/", &[], "body");
            assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
        }
        assert_eq!(origin.requests().len(), 5);
        assert_eq!(origin.connections(), 1);
        assert_eq!(
            client
                .request("POST", "/", &[], &"x".repeat(1 << 20))
                .length,
            1 << 20
        );
    }
}

#[test]
fn the_server_chooses_the_protocol_unless_the_config_does() {
    let pki = Pki::new();
    let server = TlsServer::showing(&pki.server("localhost"));
    let two = H2Origin::over_tls(&server.clone().taking(&["h2"]));
    let one = Origin::over_tls(&server.clone().taking(&["http/1.1"]));
    let proxy = Proxy::with(&pki.setup(named(two.address().port()), &[]));
    for _ in 0..3 {
        assert_eq!(proxy.get("/").status, 200);
    }
    assert_eq!(H2Client::connect(proxy.address()).get("/").status, 200);
    assert_eq!(two.requests().len(), 4);
    assert!(two.connections() <= 2, "one for each worker");

    let proxy = Proxy::with(&pki.setup(named(one.address().port()), &[]));
    assert_eq!(proxy.get("/").status, 200);
    assert_eq!(H2Client::connect(proxy.address()).get("/").status, 200);

    let forced = pki
        .setup(named(two.address().port()), &[])
        .upstream("protocol = \"http1\"");
    proxy_refuses(&Proxy::with(&forced), "none of the protocols");
    let forced = pki
        .setup(named(one.address().port()), &[])
        .upstream("protocol = \"http2\"");
    proxy_refuses(&Proxy::with(&forced), "none of the protocols");
}

/// The caller is told no more than that, the log why.
fn proxy_refuses(proxy: &Proxy, why: &str) {
    let answer = proxy.get("/");
    answer.assert_refused(502, "tls_failed");
    for secret in ["localhost", "127.0.0.1", "td", "certificate", why] {
        assert!(!answer.text().contains(secret), "{}", answer.text());
    }
    eventually(SOON, why, || proxy.log().contains(why));
}

#[test]
fn the_proxy_proves_who_it_is() {
    let pki = Pki::new();
    let leaf = pki.server("localhost");
    for server in [
        TlsServer::asking(&leaf, pki.ca.pem()),
        TlsServer::old(&leaf, Some(pki.ca.pem())),
    ] {
        let origin = Origin::over_tls(&server);
        let to = named(origin.address().port());
        let proxy = Proxy::with(&pki.setup(&to, &SHOWN));
        assert_eq!(proxy.get("/").status, 200);
        let own = std::fs::read_to_string(pki.file("proxy.crt")).unwrap();
        let own = Leaf {
            cert: own,
            key: String::new(),
        };
        assert_eq!(origin.shown_by_open(), own.chain());

        let proxy = Proxy::with(&pki.setup(&to, &[]));
        proxy.get("/").assert_refused(502, "tls_failed");
        eventually(SOON, "the log says why", || {
            proxy.log().contains("it wants a certificate")
                || proxy.log().contains("or it wants a certificate")
        });
    }
}

#[test]
fn a_server_must_prove_the_name_that_is_wanted() {
    let pki = Pki::new();
    let service = pki.ca.issue(Ask::of(&["spiffe://td/ns/pay/sa/api"]));
    let origin = Origin::over_tls(&TlsServer::showing(&service));
    let to = named(origin.address().port());
    let with = |more: &[&str]| Proxy::with(&pki.setup(&to, more));
    assert_eq!(
        with(&["identity = \"spiffe://td/ns/pay/sa/api\""])
            .get("/")
            .status,
        200
    );
    proxy_refuses(
        &with(&["identity = \"spiffe://td/ns/pay/sa/web\""]),
        "the server's certificate is for spiffe://td/ns/pay/sa/api, wanted spiffe://td/ns/pay/sa/web",
    );
    proxy_refuses(
        &with(&[]),
        "for spiffe://td/ns/pay/sa/api, wanted localhost",
    );

    let named_leaf = pki.server("pay.example");
    let origin = Origin::over_tls(&TlsServer::showing(&named_leaf));
    let to = origin.address().to_string();
    let with = |more: &[&str]| Proxy::with(&pki.setup(&to, more));
    assert_eq!(
        with(&["server_name = \"pay.example\""]).get("/").status,
        200
    );
    assert_eq!(with(&["identity = \"pay.example\""]).get("/").status, 200);
    proxy_refuses(&with(&[]), "is for pay.example, wanted 127.0.0.1");
    proxy_refuses(
        &with(&["identity = \"other.example\""]),
        "wanted other.example",
    );
}

#[test]
fn a_server_with_a_bad_certificate_gets_nothing() {
    let pki = Pki::new();
    let stranger = Authority::new("stranger");
    let deep = (0..8).fold(Authority::new("root"), |above, n| {
        above.intermediate(&format!("ca {n}"))
    });
    let (weak, weak_ca) = signed_over_sha1();
    put(&pki.file("ca.pem"), &format!("{}\n{weak_ca}", pki.ca.pem()));
    put(&pki.file("crl.pem"), &pki.ca.revoke(&[7], 1));
    let ask = || Ask::of(&["localhost"]);
    for (leaf, why) in [
        (pki.ca.issue(ask().expired()), "has expired"),
        (pki.ca.issue(ask().not_yet_valid()), "is not valid before"),
        (pki.ca.issue(ask().only_for_clients()), "extended key usage"),
        (pki.ca.issue(ask().serial(7)), "is revoked"),
        (
            pki.ca.issue(Ask::of(&["payments.old"])),
            "is for payments.old, wanted localhost",
        ),
        (ask().self_signed(), "leads to no CA"),
        (stranger.issue(ask()), "leads to no CA"),
        (deep.issue(ask()), "is too long"),
        (pki.ca.issue(ask().ca()), "is that of a CA"),
        (
            pki.ca.impostor("x").issue(ask()),
            "by somebody who is no CA",
        ),
        (
            pki.ca.only_for("example.org").issue(ask()),
            "name constraints",
        ),
        (
            weak,
            "of a kind that is not accepted, such as one over SHA-1",
        ),
    ] {
        for server in [TlsServer::showing(&leaf), TlsServer::old(&leaf, None)] {
            let origin = Origin::over_tls(&server);
            let to = named(origin.address().port());
            let proxy = Proxy::with(&pki.setup(&to, &["crl = \"FILES/crl.pem\""]));
            proxy_refuses(&proxy, why);
            assert!(origin.requests().is_empty());
            let failed = [("upstream", "origin"), ("result", "failed")];
            assert!(
                proxy
                    .metrics()
                    .sum("outrigger_upstream_connects_total", &failed)
                    >= 1.0
            );
        }
    }
}

#[test]
fn what_is_no_tls_server_is_told() {
    let pki = Pki::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::with(&pki.setup(named(listener.local_addr().unwrap().port()), &[]));
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let _begun = socket.read(&mut [0; 16]).unwrap();
        socket
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
    });
    proxy_refuses(&proxy, "does not speak TLS");
}

#[test]
fn a_body_that_is_cut_off_does_not_count_as_whole() {
    let pki = Pki::new();
    let server = TlsServer::showing(&pki.server("localhost"));
    let cut = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nthe beginning";
    let origin = Origin::over_tls(&server).on("/", Script::new().send(cut).close());
    let proxy = Proxy::with(&pki.setup(named(origin.address().port()), &[]));
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let answer = client.try_answer();
    assert!(answer.is_err(), "{answer:?}");
}

#[test]
fn what_cannot_serve_is_an_error_at_its_place() {
    let pki = Pki::new();
    pki.ca
        .issue(Ask::of(&["x"]).only_for_servers())
        .write(pki.files.path(), "server");
    for (more, says) in [
        (
            &["cert = \"FILES/proxy.crt\""][..],
            "a certificate needs its key",
        ),
        (
            &["key = \"FILES/proxy.key\""],
            "a key needs its certificate",
        ),
        (
            &["cert = \"FILES/server.crt\"", "key = \"FILES/server.key\""],
            "not meant for clients",
        ),
        (
            &["cert = \"FILES/proxy.crt\"", "key = \"FILES/server.key\""],
            "does not fit",
        ),
        (
            &["server_name = \"a b\""],
            "neither a DNS name nor an IP address",
        ),
        (
            &["identity = \"spiffe://TD/x\""],
            "neither a SPIFFE ID nor a DNS name",
        ),
        (
            &["crl = \"FILES/ca.pem\""],
            "holds no revocation list, but a `CERTIFICATE`",
        ),
        (&["insecure = true"], "unknown key `insecure`"),
    ] {
        let exited = Launch::new(pki.setup("localhost:1", more).toml()).try_start();
        let output = exited.err().expect("an error").output;
        assert!(output.contains(says), "{says}: {output}");
    }
}

#[test]
fn endpoints_are_asked_over_tls_whether_they_are_well() {
    let pki = Pki::new();
    let origin = Origin::over_tls(&TlsServer::asking(&pki.server("localhost"), pki.ca.pem()));
    let setup = pki
        .setup(named(origin.address().port()), &SHOWN)
        .upstream("health_check = { path = \"/healthz\", interval = \"100ms\" }");
    let proxy = Proxy::with(&setup);
    eventually(SOON, "the endpoint is asked", || {
        !origin.requests().is_empty()
    });
    let health = || proxy.metrics().sum("outrigger_endpoint_healthy", &[]);
    eventually(SOON, "the endpoint is well", || health() == 1.0);
    assert_eq!(proxy.get("/").status, 200);
}
