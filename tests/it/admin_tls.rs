//! The admin API over TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::support::pki::{Ask, Authority, Leaf, put};
use crate::support::{Client, Launch, Origin, Proxy, SOON, Setup, TlsClient, eventually};

/// A proxy whose admin API shows `server.crt`, which `ca` has signed for `localhost`.
struct Site {
    ca: Authority,
    proxy: Proxy,
    files: tempfile::TempDir,
}

/// The keys of `[admin.tls]` that name the certificate.
fn pair(files: &Path) -> String {
    let file = |name: &str| files.join(name);
    let (cert, key) = (file("server.crt"), file("server.key"));
    format!("[admin.tls]\ncert = {cert:?}\nkey = {key:?}\n")
}

/// `more` are keys of `[admin.tls]`. `operator` is the certificate with which the test itself asks.
fn site(origin: &Origin, more: &str, operator: impl FnOnce(&Authority) -> Option<Leaf>) -> Site {
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    ca.issue(Ask::of(&["localhost"]))
        .write(files.path(), "server");
    put(&files.path().join("ca.pem"), ca.pem());
    let more = more.replace("FILES", files.path().to_str().unwrap());
    let setup = Setup::to(origin).also(format!("{}{more}", pair(files.path())));
    let client = match operator(&ca) {
        Some(leaf) => TlsClient::with_certificate(ca.pem(), &leaf),
        None => TlsClient::trusting(ca.pem()),
    };
    Site {
        proxy: Launch::new(setup.toml()).admin_over_tls(&client).start(),
        ca,
        files,
    }
}

fn shows(ca: &Authority, address: SocketAddr, leaf: &Leaf) -> bool {
    let client = TlsClient::trusting(ca.pem()).anew();
    let shaken = client.shake(address);
    shaken.is_ok_and(|shaken| shaken.shown() == leaf.chain())
}

#[test]
fn it_is_served_over_tls_under_any_name_but_not_to_pages_of_other_sites() {
    let origin = Origin::start();
    let Site { ca, proxy, files } = &site(&origin, "", |_| None);
    let address = proxy.admin_address();
    let shown = proxy.config();
    let cert = files.path().join("server.crt");
    let tls = &shown["config"]["admin"]["tls"];
    assert_eq!(tls["cert"], cert.to_str().unwrap(), "{shown}");
    let used = proxy.admin("GET", "/certs", "").text();
    assert!(used.contains("admin.tls.cert"), "{used}");

    for client in [
        TlsClient::trusting(ca.pem()),
        TlsClient::old(ca.pem(), None),
    ] {
        let ask = |headers: &str| {
            let mut client = client.connect(address);
            client.send(format!(
                "PUT /log-level HTTP/1.1\r\n{headers}content-length: 4\r\n\r\ninfo"
            ));
            client.read_answer().status
        };
        let host = "host: pod.example:15000\r\n";
        assert_eq!(ask(host), 200);
        let own = "origin: https://pod.example:15000\r\n";
        assert_eq!(ask(&format!("{host}{own}")), 200);
        let other = "origin: https://evil.example\r\n";
        assert_eq!(ask(&format!("{host}{other}")), 403);
    }
}

#[test]
fn who_speaks_no_tls_is_told_so_and_who_says_nothing_is_shown_out() {
    let origin = Origin::start();
    let Site { proxy, .. } = &site(&origin, "handshake_timeout = \"2s\"\n", |_| None);
    let address = proxy.admin_address();
    let answer = Client::tcp(address).request("POST", "/quit", &[], "");
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("write https://"),
        "{}",
        answer.text()
    );
    let mut other = Client::tcp(address);
    other.send(b"\x00\x00\x00\x00");
    assert!(other.closes_within(SOON));
    eventually(SOON, "it is logged", || {
        proxy.log().contains("the caller speaks no TLS")
    });
    assert!(Client::tcp(address).closes_within(SOON));
    assert!(proxy.is_ready());
}

#[test]
fn operators_must_show_a_certificate_where_their_ca_is_named() {
    let origin = Origin::start();
    let operator = |ca: &Authority| Some(ca.issue(Ask::of(&["spiffe://td/operator"])));
    let Site { ca, proxy, .. } = &site(&origin, "client_ca = \"FILES/ca.pem\"\n", operator);
    let address = proxy.admin_address();
    assert_eq!(proxy.admin("POST", "/reload", "").status, 200);

    let stranger = Authority::new("stranger").issue(Ask::of(&["spiffe://td/operator"]));
    let expired = ca.issue(Ask::of(&["spiffe://td/operator"]).expired());
    for client in [
        TlsClient::trusting(ca.pem()),
        TlsClient::with_certificate(ca.pem(), &stranger),
        TlsClient::with_certificate(ca.pem(), &expired),
    ] {
        assert!(client.shake(address).is_err());
    }
    eventually(SOON, "they are logged", || {
        let log = proxy.log();
        log.matches("a TLS handshake with the admin API failed")
            .count()
            == 3
    });

    // Who is let in stays no longer than the certificate.
    let ask = Ask::of(&["spiffe://td/operator"]).valid_for(Duration::from_secs(3));
    let brief = TlsClient::with_certificate(ca.pem(), &ca.issue(ask));
    let mut connected = brief.connect(address);
    assert_eq!(connected.get("/livez").status, 200);
    assert!(connected.closes_within(SOON));
}

#[test]
fn a_renewed_certificate_is_shown_and_older_connections_end() {
    let origin = Origin::start();
    let Site { ca, proxy, files } = &site(&origin, "", |_| None);
    let address = proxy.admin_address();
    let client = TlsClient::trusting(ca.pem());
    let mut asked = client.connect(address);
    assert_eq!(asked.get("/livez").status, 200);
    let (mut silent, mut asking) = (client.connect(address), client.connect(address));
    asking.send("GET /config HTTP/1.1\r\n");
    let renewed = ca.issue(Ask::of(&["localhost"]));
    renewed.write(files.path(), "server");
    eventually(SOON, "the new certificate", || shows(ca, address, &renewed));
    assert!(asked.closes_within(SOON));
    assert!(silent.closes_within(SOON));
    asking.send("host: localhost\r\n\r\n");
    assert_eq!(asking.read_answer().status, 403);
    assert!(asking.closes_within(SOON));
    assert_eq!(proxy.generation(), 2);
}

#[test]
fn it_comes_and_goes_with_the_config() {
    let origin = Origin::start();
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    let leaf = ca.issue(Ask::of(&["localhost"]));
    leaf.write(files.path(), "server");
    let setup = || Setup::to(&origin);
    let mut proxy = Launch::new(setup().toml()).admin_on_tcp().start();
    let address = proxy.admin_address();
    let mut plain = proxy.admin_client();
    assert_eq!(plain.get("/livez").status, 200);

    proxy.write_config(setup().also(pair(files.path())).toml());
    eventually(SOON, "TLS is spoken", || shows(&ca, address, &leaf));
    assert!(plain.closes_within(SOON));
    assert_eq!(proxy.admin("GET", "/config", "").status, 400);

    proxy.write_config(setup().toml());
    eventually(SOON, "none is spoken", || proxy.is_ready());
    assert_eq!(proxy.generation(), 3);
}

#[test]
fn what_is_wrong_is_refused_at_its_place() {
    let origin = Origin::start();
    let mut site = site(&origin, "", |_| None);
    let files = site.files.path().to_owned();
    let tls = |more: &str| {
        Setup::to(&origin)
            .also(format!("{}{more}", pair(&files)))
            .toml()
    };
    for (toml, says) in [
        (tls("crl = \"x.pem\"\n"), "without `client_ca` no caller"),
        (tls("client_ca = \"/nowhere.pem\"\n"), "/nowhere.pem"),
        (tls("cret = 1\n"), "unknown key `cret`"),
    ] {
        let error = site.proxy.reload_refused(toml);
        assert!(error.contains(says), "{error}");
    }
    assert!(site.proxy.is_ready());
}
