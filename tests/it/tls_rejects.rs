//! Certificates that are not good enough: in the config, and from callers.

use std::path::Path;

use crate::support::pki::{Ask, Authority, Leaf, put, signed_over_sha1};
use crate::support::{Launch, Origin, Proxy, SOON, Setup, TlsClient, eventually};

fn in_config(files: &Path, more: &str) -> Setup {
    let setup = Setup::to_address("127.0.0.1:1").listener(format!(
        "tls.cert = {:?}\ntls.key = {:?}",
        files.join("server.crt"),
        files.join("server.key")
    ));
    match more {
        "" => setup,
        more => setup.listener(more.replace("FILES", files.to_str().unwrap())),
    }
}

/// What the proxy says instead of starting.
fn refused(files: &Path, more: &str) -> String {
    let exited = Launch::new(in_config(files, more).toml())
        .try_start()
        .err()
        .expect("it does not start");
    assert_eq!(exited.code, Some(2), "{}", exited.output);
    exited.output
}

#[test]
fn a_certificate_that_cannot_serve_is_an_error_at_its_place() {
    let ca = Authority::new("ca");
    let good = ca.issue(Ask::of(&["localhost"]));
    let with_key = |key: &str| Leaf {
        key: key.to_owned(),
        ..good.clone()
    };
    let with_cert = |cert: &str| Leaf {
        cert: cert.to_owned(),
        ..good.clone()
    };
    let other = ca.issue(Ask::of(&["localhost"]));
    let cut = &good.cert[..good.cert.len() / 2];
    let garbled = "-----BEGIN CERTIFICATE-----\nMIIBAAAA\n-----END CERTIFICATE-----\n";
    let odd_key = "-----BEGIN PRIVATE KEY-----\nMIIBAAAA\n-----END PRIVATE KEY-----\n";
    for (leaf, key, says) in [
        (
            ca.issue(Ask::of(&["x"]).only_for_clients()),
            "tls.cert",
            "not meant for servers",
        ),
        (
            with_key(&other.key),
            "tls.key",
            "does not fit the certificate",
        ),
        (with_key(odd_key), "tls.key", "is of no kind that serves"),
        (
            with_key(&good.cert),
            "tls.key",
            "holds no private key, but a `CERTIFICATE`",
        ),
        (with_cert(cut), "tls.cert", "is cut off"),
        (with_cert(""), "tls.cert", "holds no certificate"),
        (with_cert(garbled), "tls.cert", "not a certificate"),
        (
            with_cert(&good.key),
            "tls.cert",
            "holds no certificate, but a `PRIVATE KEY`",
        ),
    ] {
        let files = tempfile::tempdir().unwrap();
        leaf.write(files.path(), "server");
        let output = refused(files.path(), "");
        assert!(output.contains(says), "{says}: {output}");
        assert!(output.contains(&format!("{key} = ")), "{key}: {output}");
    }
}

#[test]
fn what_does_not_go_together_is_an_error() {
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    ca.issue(Ask::of(&["localhost"]))
        .write(files.path(), "server");
    put(&files.path().join("ca.pem"), ca.pem());
    put(&files.path().join("bad.pem"), "nothing");
    put(
        &files.path().join("crl.pem"),
        "-----BEGIN X509 CRL-----\nMIIBAAAA\n-----END X509 CRL-----\n",
    );
    for (more, says) in [
        (
            "tls.crl = \"FILES/crl.pem\"",
            "no caller is asked for a certificate",
        ),
        (
            "tls.client_auth = \"optional\"",
            "no caller is asked for a certificate",
        ),
        ("tls.client_ca = \"FILES/bad.pem\"", "holds no certificate"),
        ("tls.client_ca = \"FILES/none.pem\"", "cannot read"),
        (
            "tls.client_ca = \"FILES/ca.pem\"\ntls.crl = \"FILES/crl.pem\"",
            "malformed revocation list",
        ),
        ("tls.ocsp = \"FILES/bad.pem\"", "not an OCSP response"),
        (
            "tls.certificates = [{ cert = \"FILES/ca.pem\", key = \"FILES/server.key\" }]",
            "does not fit",
        ),
        ("tls.min_version = \"1.1\"", "1.2"),
        ("tls.handshake_timeout = \"0s\"", "longer than 0"),
        (
            "tls.clientca = \"FILES/ca.pem\"",
            "did you mean `client_ca`",
        ),
    ] {
        let output = refused(files.path(), more);
        assert!(output.contains(says), "{more}: {output}");
    }
    let alone = Setup::to_address("127.0.0.1:1").listener("tls = { min_version = \"1.3\" }");
    let output = Launch::new(alone.toml())
        .try_start()
        .err()
        .expect("an error")
        .output;
    assert!(output.contains("TLS needs a certificate"), "{output}");
}

#[test]
fn what_will_not_do_for_long_is_a_warning() {
    let (ca, next) = (Authority::new("ca"), Authority::new("next"));
    let files = tempfile::tempdir().unwrap();
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    let ask = Ask::of(&["localhost"]).since(300 * day);
    ca.issue(ask.valid_for(29 * day))
        .write(files.path(), "server");
    put(
        &files.path().join("ca.pem"),
        &format!("{}\n\n{}\n", ca.pem(), next.pem()),
    );
    put(&files.path().join("crl.pem"), &ca.revoke(&[7], -1));
    let path = files.path().join("outrigger.toml");
    signed_over_sha1().0.write(files.path(), "weak");
    let more = "tls.client_ca = \"ca.pem\"\ntls.crl = \"crl.pem\"\n\
                tls.certificates = [{ cert = \"weak.crt\", key = \"weak.key\" }]";
    std::fs::write(&path, in_config(files.path(), more).toml()).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_outrigger"))
        .args(["check", "--strict"])
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "expires soon",
        "should have been replaced",
        "no revocation list of the CA `CN=next`",
        "is signed over SHA-1",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_caller_with_a_bad_certificate_is_refused_and_the_log_says_why() {
    let origin = Origin::start();
    let (ca, stranger) = (Authority::new("ca"), Authority::new("ca"));
    let deep = (0..8).fold(Authority::new("root"), |above, n| {
        above.intermediate(&format!("ca {n}"))
    });
    let files = tempfile::tempdir().unwrap();
    ca.issue(Ask::of(&["localhost"]))
        .write(files.path(), "server");
    let (weak, weak_ca) = signed_over_sha1();
    put(
        &files.path().join("ca.pem"),
        &format!("{}\n{weak_ca}", ca.pem()),
    );
    put(&files.path().join("crl.pem"), &ca.revoke(&[7], 1));
    let setup = Setup::to(&origin).listener(format!(
        "tls = {{ cert = {:?}, key = {:?}, client_ca = {:?}, crl = {:?} }}",
        files.path().join("server.crt"),
        files.path().join("server.key"),
        files.path().join("ca.pem"),
        files.path().join("crl.pem"),
    ));
    let proxy = Proxy::with(&setup);
    let app = || Ask::of(&["spiffe://td/app"]);
    for (leaf, label, says) in [
        (ca.issue(app().expired()), "expired", "has expired"),
        (
            ca.issue(app().not_yet_valid()),
            "not_valid_yet",
            "not valid before",
        ),
        (
            ca.issue(app().only_for_servers()),
            "bad_certificate",
            "not meant for this end",
        ),
        (ca.issue(app().serial(7)), "revoked", "is revoked"),
        (app().self_signed(), "unknown_ca", "leads to no CA"),
        (
            stranger.issue(app()),
            "bad_certificate",
            "signature that its issuer did not make",
        ),
        (
            deep.issue(app()),
            "bad_certificate",
            "issuers of the peer's certificate is too long",
        ),
        (ca.issue(app().ca()), "bad_certificate", "is that of a CA"),
        (
            ca.impostor("x").issue(app()),
            "bad_certificate",
            "by somebody who is no CA",
        ),
        (
            ca.only_for("example.org").issue(Ask::of(&["localhost"])),
            "bad_certificate",
            "name constraints",
        ),
        (
            weak,
            "bad_certificate",
            "of a kind that is not accepted, such as one over SHA-1",
        ),
    ] {
        for client in [
            TlsClient::with_certificate(ca.pem(), &leaf),
            TlsClient::old(ca.pem(), Some(&leaf)),
        ] {
            let before = proxy.log().matches(says).count();
            assert!(client.shake(proxy.address()).is_err(), "{says}");
            eventually(SOON, says, || proxy.log().matches(says).count() > before);
        }
        let result = [("listener", "main"), ("result", label)];
        let counted = proxy
            .metrics()
            .sum("outrigger_tls_handshakes_total", &result);
        assert!(counted >= 2.0, "{label}: {counted}");
    }
    let good = TlsClient::with_certificate(ca.pem(), &ca.issue(app().serial(8)));
    assert_eq!(good.connect(proxy.address()).get("/").status, 200);
    assert_eq!(origin.connections(), 1);
}
