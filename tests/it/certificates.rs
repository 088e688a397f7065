//! The list of certificates, for operators and their alerts.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::support::pki::{Ask, Authority, put};
use crate::support::{Origin, Proxy, SOON, Setup, eventually};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const EXPIRY: &str = "outrigger_certificate_expiry_timestamp_seconds";

/// A listener and an upstream that show the same certificate, and trust the same CA.
fn setup(files: &Path, to: &Origin) -> Setup {
    let file = |name: &str| files.join(name);
    let pair = format!("cert = {:?}, key = {:?}", file("app.crt"), file("app.key"));
    Setup::to(to)
        .listener(format!(
            "tls = {{ {pair}, client_ca = {:?}, crl = {:?} }}",
            file("ca.pem"),
            file("crl.pem")
        ))
        .upstream(format!("tls = {{ {pair}, ca = {:?} }}", file("ca.pem")))
}

fn certs(config: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_outrigger"))
        .arg("certs")
        .args(more)
        .arg(config)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (status.code(), text(&stdout), text(&stderr))
}

fn kinds(list: &Value) -> Vec<&str> {
    let items = list.as_array().expect("a list").iter();
    items.filter_map(|item| item["kind"].as_str()).collect()
}

#[test]
fn every_certificate_is_listed_with_those_who_use_it() {
    let origin = Origin::start();
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    let ask = Ask::of(&["spiffe://td/app", "localhost"]).serial(0x1234);
    ca.issue(ask.valid_for(100 * DAY))
        .write(files.path(), "app");
    put(&files.path().join("ca.pem"), ca.pem());
    put(&files.path().join("crl.pem"), &ca.revoke(&[7], 50));
    let config = files.path().join("outrigger.toml");
    std::fs::write(&config, setup(files.path(), &origin).toml()).unwrap();

    let (code, text, said) = certs(&config, &[]);
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<&str> = text.lines().collect();
    let [head, crl, cert, ca_line] = &lines[..] else {
        panic!("three items: {text}");
    };
    assert!(head.trim_start().starts_with("DAYS"), "{head}");
    assert!(
        crl.trim_start().starts_with("49 ") && crl.contains("revocation list"),
        "{crl}"
    );
    for part in [
        " 99 ",
        "spiffe://td/app, localhost",
        "CN=ca",
        "1234",
        "listeners.main.tls.cert, upstreams.origin.tls.cert (",
        "app.crt)",
    ] {
        assert!(cert.contains(part), "{part}: {cert}");
    }
    assert!(
        ca_line.contains("listeners.main.tls.client_ca, upstreams.origin.tls.ca"),
        "{ca_line}"
    );

    let (code, text, _) = certs(&config, &["--format", "json"]);
    assert_eq!(code, Some(0));
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(kinds(&list), ["revocation-list", "certificate", "ca"]);
    assert_eq!(list[1]["days_left"], 99);
    assert_eq!(list[1]["names"][0], "spiffe://td/app");
    assert_eq!(list[1]["subject"], "CN=spiffe://td/app");
    assert!(list[1]["not_after"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn what_has_expired_is_listed_too() {
    let origin = Origin::start();
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    ca.issue(Ask::of(&["localhost"]).expired())
        .write(files.path(), "app");
    put(&files.path().join("ca.pem"), ca.pem());
    put(&files.path().join("crl.pem"), &ca.revoke(&[], 50));
    let config = files.path().join("outrigger.toml");
    std::fs::write(&config, setup(files.path(), &origin).toml()).unwrap();
    let (code, text, said) = certs(&config, &[]);
    assert_eq!(code, Some(0), "{said}");
    let first = text.lines().nth(1).unwrap();
    assert!(first.trim_start().starts_with("-2 "), "{text}");

    std::fs::write(&config, "[listeners").unwrap();
    let (code, text, said) = certs(&config, &[]);
    assert_eq!((code, text.trim()), (Some(2), "no certificates"), "{said}");
}

#[test]
fn what_serves_is_told_and_measured_also_after_a_rotation() {
    let origin = Origin::start();
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    let issue = |serial, days| {
        let ask = Ask::of(&["localhost"]).serial(serial);
        ca.issue(ask.valid_for(days * DAY))
            .write(files.path(), "app");
    };
    issue(0x11, 100);
    put(&files.path().join("ca.pem"), ca.pem());
    put(&files.path().join("crl.pem"), &ca.revoke(&[], 50));
    let setup = setup(files.path(), &origin);
    let mut proxy = Proxy::with(&setup);
    let serial = || proxy.admin("GET", "/certs", "").json()[1]["serial"].clone();
    let expires_in = |name: &str| {
        let at = proxy.metrics().sum(EXPIRY, &[("name", name)]);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        ((at - now.unwrap().as_secs_f64()) / DAY.as_secs_f64()).ceil()
    };
    assert_eq!(serial(), "11");
    assert_eq!(expires_in("listeners.main.tls.cert"), 100.0);
    assert_eq!(expires_in("upstreams.origin.tls.cert"), 100.0);

    issue(0x12, 200);
    eventually(SOON, "the new one is told", || serial() == "12");
    assert_eq!(expires_in("listeners.main.tls.cert"), 200.0);

    // What is broken never served.
    put(&files.path().join("app.crt"), "nothing");
    eventually(SOON, "it is refused", || !proxy.last_error().is_empty());
    assert_eq!(serial(), "12");
    issue(0x13, 200);
    eventually(SOON, "the third is told", || serial() == "13");

    proxy.reload_with(Setup::to(&origin).toml());
    assert!(!proxy.metrics().has(EXPIRY));
    assert_eq!(
        proxy.admin("GET", "/certs", "").json(),
        serde_json::json!([])
    );
}

#[test]
fn a_chain_that_leads_nowhere_is_a_warning() {
    let origin = Origin::start();
    let root = Authority::new("root");
    let files = tempfile::tempdir().unwrap();
    let mut leaf = root.intermediate("below").issue(Ask::of(&["localhost"]));
    let end = leaf.cert.find("END CERTIFICATE-----").unwrap() + "END CERTIFICATE-----".len();
    leaf.cert.truncate(end);
    leaf.write(files.path(), "app");
    put(&files.path().join("ca.pem"), root.pem());
    put(&files.path().join("crl.pem"), &root.revoke(&[], 50));
    let config = files.path().join("outrigger.toml");
    std::fs::write(&config, setup(files.path(), &origin).toml()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_outrigger"))
        .args(["check", "--strict"])
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("leads to no CA that is known here: `CN=below`"),
        "{said}"
    );
}
