//! CAs that may sign for some names only.

use crate::support::pki::{Ask, Authority, put};
use crate::support::{Origin, Proxy, SOON, Setup, TlsClient, eventually};

/// Name constraints that permit one subtree of one kind, given by its tag.
fn permits(tag: u8, base: &[u8]) -> Vec<u8> {
    let wrap = |tag: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap();
        [&[tag, length][..], content].concat()
    };
    let subtree = wrap(0x30, &wrap(tag, base));
    wrap(0x30, &wrap(0xa0, &subtree))
}

fn uri(host: &str) -> Vec<u8> {
    permits(0x86, host.as_bytes())
}

/// A directory name that begins with this common name.
fn directory(name: &str) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap();
    let mut base = vec![
        0x30,
        length + 11,
        0x31,
        length + 9,
        0x30,
        length + 7,
        6,
        3,
        0x55,
        4,
        3,
        0x0c,
        length,
    ];
    base.extend_from_slice(name.as_bytes());
    permits(0xa4, &base)
}

#[test]
fn a_trusted_ca_signs_for_the_trust_domains_and_directories_that_it_may() {
    let origin = Origin::start();
    let own = Authority::new("own");
    let files = tempfile::tempdir().unwrap();
    let (cert, key) = own
        .issue(Ask::of(&["localhost"]))
        .write(files.path(), "server");
    for (limits, good, bad) in [
        (uri("td"), "spiffe://td/a", "spiffe://other/a"),
        (
            uri(".example"),
            "spiffe://a.example/a",
            "spiffe://example/a",
        ),
        (directory("ACME"), "acme", "other"),
    ] {
        let ca = Authority::limited("limited", limits);
        put(&files.path().join("ca.pem"), ca.pem());
        let proxy = Proxy::with(&Setup::to(&origin).listener(format!(
            "tls = {{ cert = {cert:?}, key = {key:?}, client_ca = {:?} }}",
            files.path().join("ca.pem")
        )));
        // The first name is the subject as well.
        let client = |name| TlsClient::with_certificate(own.pem(), &ca.issue(Ask::of(&[name])));
        let answer = client(good).connect(proxy.address()).get("/");
        assert_eq!(answer.status, 200, "{good}");
        assert!(client(bad).shake(proxy.address()).is_err(), "{bad}");
        let below = ca.intermediate("acme").issue(Ask::of(&[bad]));
        let below = TlsClient::with_certificate(own.pem(), &below);
        assert!(below.shake(proxy.address()).is_err(), "{bad}");
        eventually(SOON, "it is told", || {
            proxy
                .log()
                .matches("is for a name that its CA may not sign")
                .count()
                >= 2
        });
    }
}

#[test]
fn limits_below_a_trusted_ca_that_are_not_supported_are_called_so() {
    let origin = Origin::start();
    let own = Authority::new("own");
    let files = tempfile::tempdir().unwrap();
    let (cert, key) = own
        .issue(Ask::of(&["localhost"]))
        .write(files.path(), "server");
    let below = own.limited_intermediate("below", uri("td"));
    let leaf = below.issue(Ask::of(&["spiffe://td/a"]));
    let client = TlsClient::with_certificate(own.pem(), &leaf);
    let trusting = |ca: &str| {
        put(&files.path().join("ca.pem"), ca);
        Proxy::with(&Setup::to(&origin).listener(format!(
            "tls = {{ cert = {cert:?}, key = {key:?}, client_ca = {:?} }}",
            files.path().join("ca.pem")
        )))
    };
    let proxy = trusting(own.pem());
    assert!(client.shake(proxy.address()).is_err());
    eventually(SOON, "it is told", || {
        proxy
            .log()
            .contains("may sign only for certain URIs (name constraints)")
    });
    // As the message says.
    let proxy = trusting(below.pem());
    assert_eq!(client.connect(proxy.address()).get("/").status, 200);
}
