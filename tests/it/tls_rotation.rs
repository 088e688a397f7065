//! Certificates, CAs and revocation lists that change while the proxy runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use crate::support::pki::{Ask, Authority, Leaf, put};
use crate::support::{
    H2Origin, LIMIT, Launch, Origin, Proxy, SOON, Setup, TlsClient, TlsServer, eventually, stays,
};

struct Site {
    proxy: Proxy,
    files: tempfile::TempDir,
}

/// A listener with the files `server.crt`, `server.key` and `ca.pem`, and `crl.pem` if there is one.
fn site(origin: &Origin, server: &Leaf, trusted: &str, crl: Option<&str>) -> Site {
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name);
    let (cert, key) = server.write(files.path(), "server");
    put(&path("ca.pem"), trusted);
    let mut setup = Setup::to(origin)
        .listener(format!("tls.cert = {cert:?}\ntls.key = {key:?}"))
        .listener(format!(
            "tls.client_ca = {:?}\ntls.client_auth = \"optional\"",
            path("ca.pem")
        ));
    if let Some(crl) = crl {
        put(&path("crl.pem"), crl);
        setup = setup.listener(format!("tls.crl = {:?}", path("crl.pem")));
    }
    Site {
        proxy: Proxy::with(&setup),
        files,
    }
}

fn shows(client: &TlsClient, proxy: &Proxy, leaf: &Leaf) -> bool {
    let shaken = client.clone().anew().shake(proxy.address()).unwrap();
    shaken.shown() == leaf.chain()
}

#[test]
fn new_callers_are_shown_the_new_certificate_and_others_stay_connected() {
    let origin = Origin::start();
    let ca = Authority::new("ca");
    let leaves = [1, 2].map(|_| ca.issue(Ask::of(&["localhost"])));
    let site = site(&origin, &leaves[0], ca.pem(), None);
    let client = TlsClient::trusting(ca.pem());
    let mut connected = client.connect(site.proxy.address());
    assert_eq!(connected.get("/").status, 200);
    leaves[1].write(site.files.path(), "server");
    eventually(SOON, "the new certificate", || {
        shows(&client, &site.proxy, &leaves[1])
    });
    assert_eq!(connected.get("/").status, 200);
    assert_eq!(site.proxy.generation(), 2);
}

#[test]
fn a_secret_volume_is_swapped_as_one() {
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    let leaves = [1, 2, 3].map(|_| ca.issue(Ask::of(&["localhost"])));
    let swap = |number: usize| {
        let version = format!("..v{number}");
        fs::create_dir(files.path().join(&version)).unwrap();
        leaves[number].write(&files.path().join(&version), "tls");
        let next = files.path().join("..data_tmp");
        symlink(&version, &next).unwrap();
        fs::rename(&next, files.path().join("..data")).unwrap();
        if number > 0 {
            fs::remove_dir_all(files.path().join(format!("..v{}", number - 1))).unwrap();
        }
    };
    swap(0);
    for name in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(name), files.path().join(name)).unwrap();
    }
    let origin = Origin::start();
    let setup = Setup::to(&origin).listener(format!(
        "tls = {{ cert = {:?}, key = {:?} }}",
        files.path().join("tls.crt"),
        files.path().join("tls.key")
    ));
    let proxy = Proxy::with(&setup);
    let client = TlsClient::trusting(ca.pem());
    assert!(shows(&client, &proxy, &leaves[0]));
    for number in [1, 2] {
        swap(number);
        eventually(SOON, "the new certificate", || {
            shows(&client, &proxy, &leaves[number])
        });
    }
}

#[test]
fn a_broken_pair_is_refused_loudly_and_the_old_one_serves_on() {
    let origin = Origin::start();
    let ca = Authority::new("ca");
    let leaves = [1, 2].map(|_| ca.issue(Ask::of(&["localhost"])));
    let site = site(&origin, &leaves[0], ca.pem(), None);
    let client = TlsClient::trusting(ca.pem());
    let successful = || {
        site.proxy
            .metrics()
            .sum("outrigger_config_last_reload_successful", &[])
    };
    put(&site.files.path().join("server.crt"), &leaves[1].cert);
    eventually(SOON, "the pair is refused", || successful() == 0.0);
    assert!(
        site.proxy.last_error().contains("does not fit"),
        "{}",
        site.proxy.last_error()
    );
    assert!(shows(&client, &site.proxy, &leaves[0]));
    fs::remove_file(site.files.path().join("server.key")).unwrap();
    eventually(SOON, "the missing key is told", || {
        site.proxy.last_error().contains("cannot read")
    });
    assert!(shows(&client, &site.proxy, &leaves[0]));
    put(&site.files.path().join("server.key"), &leaves[1].key);
    eventually(SOON, "the new pair", || {
        shows(&client, &site.proxy, &leaves[1])
    });
    assert_eq!(successful(), 1.0);
}

#[test]
fn who_is_revoked_is_let_go_and_cannot_come_back() {
    let origin = Origin::start();
    let ca = Authority::new("ca");
    let server = ca.issue(Ask::of(&["localhost"]));
    let site = site(&origin, &server, ca.pem(), Some(&ca.revoke(&[], 1)));
    let [bad, good] = [7, 8].map(|serial| ca.issue(Ask::of(&["spiffe://td/app"]).serial(serial)));
    let bad = TlsClient::with_certificate(ca.pem(), &bad);
    let good = TlsClient::with_certificate(ca.pem(), &good);
    let address = site.proxy.address();
    let (mut bad_one, mut good_one) = (bad.connect(address), good.connect(address));
    let bad_h2 = bad.http2(address);
    assert_eq!(bad_one.get("/").status, 200);
    assert_eq!(bad_h2.get("/").status, 200);
    assert!(bad.shake(address).unwrap().was_resumed());

    put(&site.files.path().join("crl.pem"), &ca.revoke(&[7], 1));
    // Cleanly: an end without a close_notify would be an error.
    assert!(bad_one.closes_within(LIMIT));
    eventually(SOON, "the revoked caller is refused", || {
        bad.shake(address).is_err()
    });
    assert_eq!(good_one.get("/").status, 200);
    assert!(
        !good.shake(address).unwrap().was_resumed(),
        "what was resumable before is forgotten"
    );
    assert!(good.shake(address).unwrap().was_resumed());
}

#[test]
fn who_expires_is_let_go() {
    let origin = Origin::start();
    let ca = Authority::new("ca");
    let server = ca.issue(Ask::of(&["localhost"]));
    let site = site(&origin, &server, ca.pem(), None);
    let brief = ca.issue(Ask::of(&["spiffe://td/app"]).valid_for(Duration::from_secs(4)));
    let brief = TlsClient::with_certificate(ca.pem(), &brief);
    let mut connected = brief.connect(site.proxy.address());
    assert_eq!(connected.get("/").status, 200);
    assert!(connected.closes_within(LIMIT));
    // Whoever resumes shows no certificate, so that it is looked at once more.
    let shaken = brief.shake(site.proxy.address());
    let answer = shaken.map(|shaken| {
        shaken
            .http1()
            .send_request("GET", "/", &[], "")
            .try_answer()
    });
    assert!(!matches!(answer, Ok(Ok(_))));
}

#[test]
fn a_ca_is_replaced_by_way_of_both() {
    let origin = Origin::start();
    let [old, new] = ["old", "new"].map(Authority::new);
    let both = format!("{}\n{}\n", old.pem(), new.pem());
    let server = old.issue(Ask::of(&["localhost"]));
    let site = site(&origin, &server, old.pem(), None);
    let address = site.proxy.address();
    let app = |ca: &Authority| {
        TlsClient::with_certificate(&both, &ca.issue(Ask::of(&["spiffe://td/app"])))
    };
    let (of_old, of_new) = (app(&old), app(&new));
    let mut connected = of_old.connect(address);
    assert_eq!(connected.get("/").status, 200);
    assert!(of_new.shake(address).is_err());

    put(&site.files.path().join("ca.pem"), &both);
    eventually(SOON, "both are believed", || of_new.shake(address).is_ok());
    assert!(of_old.shake(address).is_ok());
    assert_eq!(
        connected.get("/").status,
        200,
        "who is believed before and after stays"
    );
    new.issue(Ask::of(&["localhost"]))
        .write(site.files.path(), "server");

    put(&site.files.path().join("ca.pem"), new.pem());
    assert!(connected.closes_within(LIMIT));
    eventually(SOON, "the old one is believed no more", || {
        of_old.shake(address).is_err()
    });
    assert_eq!(of_new.connect(address).get("/").status, 200);
}

/// An upstream that wants certificates of `ca`, and a proxy that shows `proxy.crt` and trusts `ca.pem`.
fn outbound(ca: &Authority) -> (Origin, Proxy, tempfile::TempDir, String) {
    let files = tempfile::tempdir().unwrap();
    let server = ca.issue(Ask::of(&["localhost"]));
    let origin = Origin::over_tls(&TlsServer::asking(&server, ca.pem()));
    let (cert, key) = ca
        .issue(Ask::of(&["spiffe://td/first"]))
        .write(files.path(), "proxy");
    put(&files.path().join("ca.pem"), ca.pem());
    let setup = Setup::to_address(format!("localhost:{}", origin.address().port()))
        .upstream(format!(
            "tls = {{ ca = {:?}, cert = {cert:?}, key = {key:?} }}",
            files.path().join("ca.pem")
        ))
        .upstream("connect_timeout = \"5s\"")
        .upstream("pool = { idle_timeout = \"none\" }");
    let proxy = Launch::new(setup.toml()).one_worker().start();
    (origin, proxy, files, setup.toml())
}

#[test]
fn connections_made_with_a_replaced_certificate_retire() {
    let ca = Authority::new("ca");
    let (origin, proxy, files, _) = outbound(&ca);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(proxy.get("/").status, 200));
        }
    });
    let first = origin.shown_by_open();
    assert!(!first.is_empty());
    let second = ca.issue(Ask::of(&["spiffe://td/second"]));
    second.write(files.path(), "proxy");
    let retired = Duration::from_secs(10) + LIMIT;
    eventually(
        retired,
        "no connection of the first certificate is left",
        || {
            assert_eq!(proxy.get("/").status, 200);
            let shown = origin.shown_by_open();
            !shown.is_empty() && shown.iter().all(|leaf| *leaf == second.chain()[0])
        },
    );
}

#[test]
fn an_http2_connection_made_with_a_replaced_certificate_retires() {
    let ca = Authority::new("ca");
    let server = TlsServer::asking(&ca.issue(Ask::of(&["localhost"])), ca.pem());
    let origin = H2Origin::over_tls(&server.taking(&["h2"]));
    let files = tempfile::tempdir().unwrap();
    let issue = |name| ca.issue(Ask::of(&[name])).write(files.path(), "proxy");
    let (cert, key) = issue("spiffe://td/first");
    put(&files.path().join("ca.pem"), ca.pem());
    let setup = Setup::to_address(format!("localhost:{}", origin.address().port()))
        .upstream(format!(
            "tls = {{ ca = {:?}, cert = {cert:?}, key = {key:?} }}",
            files.path().join("ca.pem")
        ))
        .upstream("connect_timeout = \"5s\"");
    let proxy = Launch::new(setup.toml()).one_worker().start();
    assert_eq!(proxy.get("/").status, 200);
    assert_eq!(origin.connections(), 1);
    issue("spiffe://td/second");
    eventually(Duration::from_secs(10) + LIMIT, "another is made", || {
        assert_eq!(proxy.get("/").status, 200);
        origin.connections() == 2
    });
    stays(Duration::from_secs(1), "and used from then on", || {
        proxy.get("/").status == 200 && origin.connections() == 2
    });
}

#[test]
fn another_trust_ends_the_connections_of_the_old_one_at_once() {
    let ca = Authority::new("ca");
    let (origin, proxy, files, _) = outbound(&ca);
    assert_eq!(proxy.get("/").status, 200);
    put(&files.path().join("ca.pem"), Authority::new("other").pem());
    eventually(SOON, "the connection is closed", || {
        origin.open_connections() == 0
    });
    proxy.get("/").assert_refused(502, "tls_failed");
    put(&files.path().join("ca.pem"), ca.pem());
    eventually(SOON, "the right CA is believed", || {
        proxy.get("/").status == 200
    });
}

#[test]
fn a_reload_that_changes_no_certificate_keeps_connections_and_sessions() {
    let ca = Authority::new("ca");
    let (origin, mut proxy, _files, text) = outbound(&ca);
    assert_eq!(proxy.get("/").status, 200);
    let again = format!(
        "{text}\n[routes.more]\nmatch = {{ path = \"/more\" }}\nrespond = {{ body = \"more\" }}\n"
    );
    proxy.reload_with(again);
    stays(Duration::from_secs(2), "the connection is kept", || {
        proxy.get("/").status == 200 && origin.connections() == 1
    });
}
