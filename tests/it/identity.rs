//! Who a caller has proven to be, and what that is good for.

use crate::support::pki::{Ask, Authority, put};
use crate::support::{Client, Launch, Origin, Proxy, SOON, Setup, TlsClient, eventually};

struct Site {
    ca: Authority,
    proxy: Proxy,
    _files: tempfile::TempDir,
}

/// A listener to which callers may prove who they are; `tables` come behind it.
fn site(origin: &Origin, more: &str, tables: &str) -> Site {
    let ca = Authority::new("ca");
    let files = tempfile::tempdir().unwrap();
    let (cert, key) = ca
        .issue(Ask::of(&["localhost"]))
        .write(files.path(), "server");
    put(&files.path().join("ca.pem"), ca.pem());
    let client_ca = files.path().join("ca.pem");
    let setup = Setup::to(origin)
        .listener(format!("tls = {{ cert = {cert:?}, key = {key:?}, client_ca = {client_ca:?}, client_auth = \"optional\"{more} }}"))
        .route("request = { set_headers = { x-caller = \"[${client.identity}]\" } }")
        .also(tables);
    Site {
        ca,
        proxy: Proxy::with(&setup),
        _files: files,
    }
}

impl Site {
    fn caller(&self, names: &[&str]) -> Client {
        let leaf = self.ca.issue(Ask::of(names));
        TlsClient::with_certificate(self.ca.pem(), &leaf).connect(self.proxy.address())
    }

    fn nobody(&self) -> Client {
        TlsClient::trusting(self.ca.pem()).connect(self.proxy.address())
    }
}

#[test]
fn routes_are_for_those_who_are_named() {
    let origin = Origin::start();
    let tables = r#"
[routes.one]
match = { path = "/one" }
upstream = "origin"
authorize = { clients = ["spiffe://td/ns/x/sa/y", "dns:svc.example"] }
[routes.below]
match = { path = "/below" }
upstream = "origin"
authorize = { clients = ["spiffe://td/ns/x/*"] }
[routes.any]
match = { path = "/any" }
upstream = "origin"
authorize = { clients = ["*"], cidrs = ["127.0.0.0/8"] }
[routes.elsewhere]
match = { path = "/elsewhere" }
upstream = "origin"
authorize = { clients = ["*"], cidrs = ["10.0.0.0/8"] }
"#;
    let site = site(&origin, "", tables);
    let allowed = |mut caller: Client| {
        ["/one", "/below", "/any", "/elsewhere"].map(|path| {
            let answer = caller.get(path);
            if answer.status != 200 {
                answer.assert_refused(403, "forbidden");
                assert!(!answer.text().contains("spiffe"), "{}", answer.text());
            }
            answer.status == 200
        })
    };
    assert_eq!(
        allowed(site.caller(&["spiffe://td/ns/x/sa/y"])),
        [true, true, true, false]
    );
    assert_eq!(
        allowed(site.caller(&["spiffe://td/ns/x/sa/z"])),
        [false, true, true, false]
    );
    assert_eq!(
        allowed(site.caller(&["spiffe://other/ns/x/sa/y"])),
        [false, false, true, false]
    );
    assert_eq!(
        allowed(site.caller(&["svc.example"])),
        [true, false, true, false]
    );
    // Two SPIFFE IDs are none (X.509-SVID, section 2).
    let two = ["spiffe://td/ns/x/sa/y", "spiffe://td/ns/x/sa/z"];
    assert_eq!(allowed(site.caller(&two)), [false, false, true, false]);
    assert_eq!(allowed(site.nobody()), [false; 4]);
}

#[test]
fn the_upstream_is_told_who_calls_and_nobody_can_pretend() {
    let origin = Origin::start();
    let site = site(&origin, "", "[log]\naccess_log = true\nformat = \"json\"\n");
    let lie = [
        ("x-forwarded-client-cert", "URI=spiffe://td/admin"),
        ("x-caller", "admin"),
    ];
    site.caller(&["spiffe://td/app", "app.example"])
        .request("GET", "/a", &lie, "");
    site.nobody().request("GET", "/b", &lie, "");
    let [known, unknown] = &origin.requests()[..] else {
        panic!("two requests");
    };
    let told = known.head.all("x-forwarded-client-cert");
    let [told] = told[..] else {
        panic!("one header: {told:?}");
    };
    let (hash, rest) = told.split_once(';').unwrap();
    assert_eq!(hash.len(), "Hash=".len() + 64, "{told}");
    assert_eq!(
        rest,
        "Subject=\"CN=spiffe://td/app\";URI=spiffe://td/app;DNS=app.example"
    );
    assert_eq!(known.header("x-caller"), Some("[spiffe://td/app]"));
    assert_eq!(unknown.header("x-forwarded-client-cert"), None);
    assert_eq!(unknown.header("x-caller"), Some("[]"));
    eventually(SOON, "the access log names the caller", || {
        site.proxy
            .stdout()
            .contains(r#""outrigger.identity":"spiffe://td/app""#)
    });
}

#[test]
fn what_a_caller_has_proven_stays_here_where_the_config_says_so() {
    let origin = Origin::start();
    let site = site(&origin, ", forward_client_cert = false", "");
    assert_eq!(site.caller(&["spiffe://td/app"]).get("/").status, 200);
    assert_eq!(
        origin.only_request().header("x-forwarded-client-cert"),
        None
    );
}

#[test]
fn a_pattern_that_names_nobody_is_an_error_at_its_place() {
    for (authorize, says) in [
        ("{ clients = [\"spiffe://td/*/x\"] }", "names no caller"),
        ("{ clients = [] }", "nobody may call"),
        ("{}", "does not say who may call"),
    ] {
        let setup = Setup::to_address("127.0.0.1:1").route(format!("authorize = {authorize}"));
        let output = Launch::new(setup.toml())
            .try_start()
            .err()
            .expect("an error")
            .output;
        assert!(
            output.contains(says) && output.contains("authorize = "),
            "{says}: {output}"
        );
    }
    let setup = Setup::to_address("127.0.0.1:1").route("authorize = { clients = [\"*\"] }");
    let proxy = Proxy::with(&setup);
    eventually(SOON, "it is told", || {
        proxy
            .log()
            .contains("no listener of this route has callers prove")
    });
}

#[test]
fn callers_are_counted_by_who_they_are() {
    let origin = Origin::start();
    let limited = r#"
[routes.limited]
match = { path = "/limited" }
upstream = "origin"
rate_limit = { requests = 2, per = "1h", key = "client-identity" }
"#;
    let site = site(&origin, "", limited);
    let granted = |caller: Client| {
        let mut caller = caller;
        (0..4)
            .filter(|_| caller.get("/limited").status == 200)
            .count()
    };
    assert_eq!(granted(site.caller(&["spiffe://td/ns/x/sa/y"])), 2);
    assert_eq!(granted(site.caller(&["spiffe://td/ns/x/sa/z"])), 2);
    assert_eq!(granted(site.caller(&["spiffe://td/ns/x/sa/y"])), 0);
    assert_eq!(granted(site.nobody()), 2);
}
