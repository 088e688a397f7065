//! Revocation lists as `openssl ca` makes them.

use std::path::Path;
use std::process::Command;

use crate::support::pki::{Ask, Authority, openssl_lists, put};
use crate::support::{LIMIT, Origin, Proxy, SOON, Setup, TlsClient, TlsServer, eventually};

fn listener(files: &Path, origin: &Origin) -> Setup {
    let file = |name: &str| files.join(name);
    Setup::to(origin).listener(format!(
        "tls = {{ cert = {:?}, key = {:?}, client_ca = {:?}, crl = {:?} }}",
        file("server.crt"),
        file("server.key"),
        file("ca.pem"),
        file("crl.pem")
    ))
}

/// The exit code of `check`, and what it says.
fn check(files: &Path, setup: &Setup) -> (Option<i32>, String) {
    let config = files.join("outrigger.toml");
    std::fs::write(&config, setup.toml()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_outrigger"))
        .arg("check")
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said.into_owned())
}

#[test]
fn a_list_without_extensions_revokes() {
    let origin = Origin::start();
    let own = Authority::new("own");
    let made = openssl_lists();
    for list in [made.v1, made.v2, made.extended] {
        let files = tempfile::tempdir().unwrap();
        own.issue(Ask::of(&["localhost"]))
            .write(files.path(), "server");
        put(&files.path().join("ca.pem"), made.ca);
        put(&files.path().join("crl.pem"), list);
        let setup = listener(files.path(), &origin);
        let (code, said) = check(files.path(), &setup);
        assert_eq!(code, Some(0), "{said}");
        assert!(!said.contains("revocation"), "{said}");

        let proxy = Proxy::with(&setup);
        let good = TlsClient::with_certificate(own.pem(), &made.good);
        let mut connected = good.connect(proxy.address());
        assert_eq!(connected.get("/").status, 200);
        let bad = TlsClient::with_certificate(own.pem(), &made.bad);
        assert!(bad.shake(proxy.address()).is_err());
        eventually(SOON, "it is told", || proxy.log().contains("is revoked"));
    }
}

#[test]
fn who_is_revoked_by_a_plain_list_is_let_go() {
    let origin = Origin::start();
    let own = Authority::new("own");
    let made = openssl_lists();
    let files = tempfile::tempdir().unwrap();
    own.issue(Ask::of(&["localhost"]))
        .write(files.path(), "server");
    let both = format!("{}{}", made.ca, own.pem());
    put(&files.path().join("ca.pem"), &both);
    put(&files.path().join("crl.pem"), &own.revoke(&[], 1));
    let proxy = Proxy::with(&listener(files.path(), &origin));
    let bad = TlsClient::with_certificate(own.pem(), &made.bad);
    let mut connected = bad.connect(proxy.address());
    assert_eq!(connected.get("/").status, 200);
    put(
        &files.path().join("crl.pem"),
        &format!("{}{}", own.revoke(&[], 1), made.v1),
    );
    assert!(connected.closes_within(LIMIT));
    assert!(bad.anew().shake(proxy.address()).is_err());
}

#[test]
fn a_server_is_revoked_by_a_plain_list() {
    let made = openssl_lists();
    let files = tempfile::tempdir().unwrap();
    put(&files.path().join("ca.pem"), made.ca);
    put(&files.path().join("crl.pem"), made.v2);
    for (leaf, id, status) in [(&made.good, "good", 200), (&made.bad, "bad", 502)] {
        let origin = Origin::over_tls(&TlsServer::showing(leaf));
        let setup = Setup::to_address(format!("localhost:{}", origin.address().port()))
            .upstream(format!(
                "tls = {{ ca = {:?}, crl = {:?}, identity = \"spiffe://td/{id}\" }}",
                files.path().join("ca.pem"),
                files.path().join("crl.pem")
            ))
            .upstream("connect_timeout = \"5s\"");
        assert_eq!(Proxy::with(&setup).get("/").status, status, "{id}");
    }
}

#[test]
fn a_list_that_would_fail_at_each_handshake_is_an_error_with_its_reason() {
    let origin = Origin::start();
    let [own, namesake] = ["own", "lists"].map(Authority::new);
    let made = openssl_lists();
    let files = tempfile::tempdir().unwrap();
    own.issue(Ask::of(&["localhost"]))
        .write(files.path(), "server");
    put(&files.path().join("ca.pem"), made.ca);
    let setup = listener(files.path(), &origin);
    for (list, says) in [
        (made.sha1.to_owned(), "signed over SHA-1"),
        (
            namesake.revoke(&[], 1),
            "was not signed by the CA of this name",
        ),
        (made.v1.replace("-\nMI", "-\nNI"), "malformed"),
    ] {
        put(&files.path().join("crl.pem"), &list);
        let (code, said) = check(files.path(), &setup);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(says), "{says}: {said}");
        assert!(said.contains("crl = "), "{said}");
    }
}
