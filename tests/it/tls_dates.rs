//! Certificates and CAs that are out of their time, or come into it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::pki::{Ask, Authority, put};
use crate::support::{LIMIT, Origin, Proxy, SOON, Setup, TlsClient, TlsServer, eventually};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How far ahead a clock is.
const AHEAD: Duration = Duration::from_secs(5);
/// A life that is long enough for a proxy to start and serve.
const BRIEF: Duration = Duration::from_secs(12);

fn listener(files: &Path, origin: &Origin) -> Setup {
    Setup::to(origin).listener(format!(
        "tls.cert = {:?}\ntls.key = {:?}",
        files.join("server.crt"),
        files.join("server.key")
    ))
}

fn trusting(files: &Path, origin: &Origin) -> Setup {
    listener(files, origin).listener(format!("tls.client_ca = {:?}", files.join("ca.pem")))
}

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
fn a_renewed_certificate_that_is_not_valid_yet_serves_when_its_time_comes() {
    let origin = Origin::start();
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    let old = ca.issue(Ask::of(&["localhost"]));
    old.write(files.path(), "server");
    let setup = listener(files.path(), &origin);
    let mut proxy = Proxy::with(&setup);
    let client = TlsClient::trusting(ca.pem()).anew();
    assert!(client.shake(proxy.address()).is_ok());

    let begins = SystemTime::now() + AHEAD;
    let new = ca.issue(Ask::of(&["localhost"]).valid_in(AHEAD));
    new.write(files.path(), "server");
    // Nothing else is held up meanwhile.
    proxy_reloads(&mut proxy, &setup);
    let shown = || {
        let shaken = client.shake(proxy.address()).unwrap();
        shaken.shown()[0].clone()
    };
    eventually(AHEAD + LIMIT, "the new one serves", || {
        let shown = shown();
        let is_new = shown == new.chain()[0];
        assert!(is_new || shown == old.chain()[0]);
        assert!(!is_new || SystemTime::now() + Duration::from_secs(1) >= begins);
        is_new
    });
    assert!(SystemTime::now() < begins + LIMIT);
    eventually(SOON, "it is told", || {
        proxy.log().contains("are judged anew")
    });
}

fn proxy_reloads(proxy: &mut Proxy, setup: &Setup) {
    let more = "[routes.more]\nmatch = { path = \"/more\" }\nrespond = { body = \"more\" }\n";
    proxy.reload_with(format!("{}\n{more}", setup.toml()));
}

#[test]
fn a_certificate_that_is_not_valid_yet_serves_where_there_was_none_before() {
    let origin = Origin::start();
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    ca.issue(Ask::of(&["localhost"]).not_yet_valid())
        .write(files.path(), "server");
    let proxy = Proxy::with(&listener(files.path(), &origin));
    eventually(SOON, "it is told", || {
        proxy.log().contains("is not valid before")
    });
    let client = TlsClient::trusting(ca.pem());
    assert!(client.shake(proxy.address()).is_err());
    ca.issue(Ask::of(&["localhost"]).valid_in(AHEAD))
        .write(files.path(), "server");
    eventually(AHEAD + LIMIT, "it is accepted", || {
        client.shake(proxy.address()).is_ok()
    });
}

#[test]
fn a_certificate_towards_servers_waits_for_its_time_too() {
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    let server = ca.issue(Ask::of(&["localhost"]));
    let origin = Origin::over_tls(&TlsServer::asking(&server, ca.pem()));
    let (cert, key) = ca
        .issue(Ask::of(&["spiffe://td/old"]))
        .write(files.path(), "proxy");
    put(&files.path().join("ca.pem"), ca.pem());
    let setup = Setup::to_address(format!("localhost:{}", origin.address().port()))
        .upstream(format!(
            "tls = {{ ca = {:?}, cert = {cert:?}, key = {key:?} }}",
            files.path().join("ca.pem")
        ))
        .upstream("connect_timeout = \"5s\"");
    let mut proxy = Proxy::with(&setup);
    assert_eq!(proxy.get("/").status, 200);
    let new = ca.issue(Ask::of(&["spiffe://td/new"]).valid_in(AHEAD));
    new.write(files.path(), "proxy");
    proxy_reloads(&mut proxy, &setup);
    eventually(
        Duration::from_secs(10) + LIMIT,
        "the new one is shown",
        || {
            assert_eq!(proxy.get("/").status, 200);
            let shown = origin.shown_by_open();
            !shown.is_empty() && shown.iter().all(|leaf| *leaf == new.chain()[0])
        },
    );
}

#[test]
fn a_ca_is_believed_from_its_first_to_its_last_second() {
    let origin = Origin::start();
    let own = Authority::new("own");
    let files = tempfile::tempdir().unwrap();
    own.issue(Ask::of(&["localhost"]))
        .write(files.path(), "server");
    let now = SystemTime::now();
    let early = Authority::valid("early", now + AHEAD, now + 365 * DAY);
    let later = Authority::valid("later", now + DAY, now + 365 * DAY);
    let over = Authority::valid("over", now - 365 * DAY, now - DAY);
    let app = |ca: &Authority| {
        TlsClient::with_certificate(own.pem(), &ca.issue(Ask::of(&["spiffe://td/app"])))
    };
    put(
        &files.path().join("ca.pem"),
        &[early.pem(), later.pem(), over.pem()].concat(),
    );
    let setup = trusting(files.path(), &origin);
    let (code, said) = check(files.path(), &setup);
    assert_eq!(code, Some(0), "{said}");
    for part in ["(CN=later) is not valid before", "(CN=over) has expired"] {
        assert!(said.contains(part), "{part}: {said}");
    }

    let proxy = Proxy::with(&setup);
    assert!(app(&over).shake(proxy.address()).is_err());
    eventually(SOON, "it is told", || {
        proxy
            .log()
            .contains("a CA above the peer's certificate has expired")
    });
    assert!(app(&later).shake(proxy.address()).is_err());
    eventually(SOON, "it is told", || {
        let said = "a CA above the peer's certificate is not valid before";
        proxy.log().contains(said)
    });
    eventually(AHEAD + LIMIT, "its time has come", || {
        app(&early).shake(proxy.address()).is_ok()
    });
    assert!(SystemTime::now() + Duration::from_secs(1) >= now + AHEAD);
    assert_eq!(proxy.generation(), 1);
}

#[test]
fn callers_of_a_ca_that_expires_are_let_go_and_cannot_resume_and_the_log_tells_it() {
    let origin = Origin::start();
    let own = Authority::new("own");
    let files = tempfile::tempdir().unwrap();
    own.issue(Ask::of(&["localhost"]))
        .write(files.path(), "server");
    let now = SystemTime::now();
    let brief = Authority::valid("brief", now - DAY, now + BRIEF);
    put(
        &files.path().join("ca.pem"),
        &format!("{}{}", brief.pem(), own.pem()),
    );
    let proxy = Proxy::with(&trusting(files.path(), &origin));
    let app = |ca: &Authority| {
        TlsClient::with_certificate(own.pem(), &ca.issue(Ask::of(&["spiffe://td/app"])))
    };
    let (of_brief, of_own) = (app(&brief), app(&own));
    let mut connected = of_brief.connect(proxy.address());
    let mut other = of_own.connect(proxy.address());
    assert_eq!(connected.get("/").status, 200);
    assert_eq!(other.get("/").status, 200);
    assert!(connected.closes_within(BRIEF + LIMIT));
    assert!(of_brief.shake(proxy.address()).is_err());
    eventually(SOON, "it is told", || {
        let said = proxy.log();
        said.contains("ca.pem` (CN=brief) has expired")
            && said.contains("a CA above the peer's certificate has expired")
    });
    assert_eq!(other.get("/").status, 200);
}

#[test]
fn what_has_expired_is_a_loud_warning_and_stops_neither_a_start_nor_a_change() {
    let origin = Origin::start();
    let [root, old] = ["root", "old"].map(Authority::new);
    let files = tempfile::tempdir().unwrap();
    // A leaf, an intermediate, and the root as an older one has signed it, which nobody needs any more.
    let mut leaf = root.intermediate("below").issue(Ask::of(&["localhost"]));
    leaf.cert += &root.cross_signed_by(&old, SystemTime::now() - DAY);
    leaf.write(files.path(), "server");
    // And a certificate for servers that has expired itself.
    let (cert, key) = root
        .issue(Ask::of(&["spiffe://td/x"]).expired())
        .write(files.path(), "x");
    put(&files.path().join("ca.pem"), root.pem());
    let setup = listener(files.path(), &origin).also(format!(
        "[upstreams.x]\nendpoints = [\"127.0.0.1:1\"]\ntls = {{ ca = {:?}, cert = {cert:?}, key = {key:?} }}\n\
         [routes.x]\nmatch = {{ path = \"/x\" }}\nupstream = \"x\"\n",
        files.path().join("ca.pem")
    ));
    let (code, said) = check(files.path(), &setup);
    assert_eq!(code, Some(0), "{said}");
    let warnings = ["an issuer in the chain in", "the certificate in"];
    for part in warnings {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(said.matches("has expired").count(), 2, "{said}");
    assert!(!said.contains("does not hold"), "{said}");

    let warned = |proxy: &Proxy| proxy.log().matches("\"level\":\"WARN\"").count();
    let mut proxy = Proxy::with(&setup);
    eventually(SOON, "both are in the log", || warned(&proxy) == 2);
    // Another config says nothing new of them. What is told of one is in the log before the next one serves.
    let other = "[routes.other]\nmatch = { path = \"/other\" }\nrespond = { body = \"other\" }\n";
    proxy.reload_with(format!("{}\n{other}", setup.toml()));
    proxy_reloads(&mut proxy, &setup);
    eventually(SOON, "the third config serves", || {
        proxy.log().contains("\"generation\":3")
    });
    assert_eq!(warned(&proxy), 2, "{}", proxy.log());
    let client = TlsClient::trusting(root.pem());
    assert_eq!(client.connect(proxy.address()).get("/more").status, 200);
}

#[test]
fn an_expired_certificate_starts_and_never_takes_the_place_of_one_that_is_valid() {
    let origin = Origin::start();
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    ca.issue(Ask::of(&["localhost"]).expired())
        .write(files.path(), "server");
    let setup = listener(files.path(), &origin);
    let mut proxy = Proxy::with(&setup);
    let client = TlsClient::trusting(ca.pem()).anew();
    assert!(client.shake(proxy.address()).is_err());
    let good = ca.issue(Ask::of(&["localhost"]));
    good.write(files.path(), "server");
    eventually(SOON, "it is renewed", || {
        client.shake(proxy.address()).is_ok()
    });
    ca.issue(Ask::of(&["localhost"]).expired())
        .write(files.path(), "server");
    proxy_reloads(&mut proxy, &setup);
    assert_eq!(client.shake(proxy.address()).unwrap().shown(), good.chain());
}

#[test]
fn the_same_file_is_told_once() {
    let origin = Origin::start();
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    let ask = Ask::of(&["localhost"]).since(340 * DAY).valid_for(20 * DAY);
    ca.issue(ask).write(files.path(), "server");
    put(&files.path().join("ca.pem"), ca.pem());
    let pair = format!(
        "cert = {:?}, key = {:?}",
        files.path().join("server.crt"),
        files.path().join("server.key")
    );
    let setup = listener(files.path(), &origin)
        .listener(format!("tls.certificates = [{{ {pair} }}]"))
        .upstream(format!(
            "tls = {{ {pair}, ca = {:?} }}",
            files.path().join("ca.pem")
        ));
    let (code, said) = check(files.path(), &setup);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("expires soon").count(), 1, "{said}");
    assert_eq!(said.matches("used here too").count(), 2, "{said}");
    assert!(said.contains("1 warning"), "{said}");

    // Whoever issues certificates for an hour has half an hour to renew them.
    let ask = Ask::of(&["localhost"]).since(Duration::from_secs(1800));
    ca.issue(ask.valid_for(Duration::from_secs(1800)))
        .write(files.path(), "server");
    let (code, said) = check(files.path(), &setup);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("warning"), "{said}");
}
