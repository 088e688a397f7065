//! What the upstream is shown in the name of the caller, and that nobody else sees it.

use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use serde_json::Value;

use crate::support::pki::{Ask, Authority, put};
use crate::support::{Gate, Launch, Origin, Proxy, SOON, Script, Setup, TlsServer, eventually};

fn token(token: &str, more: &str) -> Script {
    Script::answer(&format!(
        r#"{{"access_token":"{token}","token_type":"Bearer"{more}}}"#
    ))
}

fn oauth2(setup: Setup, idp: &Origin) -> Setup {
    let url = format!("http://{}/token", idp.address());
    setup.also(format!(
        r#"
        [routes.all.credentials.oauth2]
        token_url = "{url}"
        client_id = "client"
        client_secret = {{ value = "s3cret" }}
        "#
    ))
}

fn authorizations(origin: &Origin) -> Vec<String> {
    let sent = |request: &crate::support::Recorded| {
        request
            .header("authorization")
            .unwrap_or_default()
            .to_owned()
    };
    origin.requests().iter().map(sent).collect()
}

fn oauth2_state(proxy: &Proxy) -> Value {
    let route = proxy.admin("GET", "/routes/all", "").json();
    route["state"]["credentials"].clone()
}

#[test]
fn a_secret_from_a_file_follows_the_file() {
    let origin = Origin::start();
    let setup = Setup::to(&origin).route(r#"credentials = { bearer = { file = "token" } }"#);
    let proxy = Launch::new(setup.toml()).file("token", "first\n").start();
    let theirs = [("Authorization", "Bearer theirs")];
    proxy.client().request("GET", "/", &theirs, "");
    assert_eq!(authorizations(&origin), ["Bearer first"]);

    let generation = proxy.generation();
    proxy.write_file("token", "second\n");
    eventually(SOON, "the new secret serves", || {
        proxy.generation() > generation
    });
    proxy.get("/");
    assert_eq!(authorizations(&origin)[1], "Bearer second");

    // A broken one is kept out, and mending it is seen.
    proxy.write_file("token", "\n");
    eventually(SOON, "an empty secret is refused", || {
        proxy.last_error().contains("is empty")
    });
    proxy.get("/");
    assert_eq!(authorizations(&origin)[2], "Bearer second");
    proxy.write_file("token", "third");
    eventually(SOON, "the mended secret serves", || {
        proxy.get("/");
        authorizations(&origin).last().unwrap() == "Bearer third"
    });
}

#[test]
fn a_token_is_fetched_once_for_all_who_wait() {
    let gate = Gate::new();
    let idp = Origin::start().on(
        "/token",
        Script::new().wait(&gate).answering(
            "200 OK",
            r#"{"access_token":"t0ken","token_type":"bearer","expires_in":3600}"#,
        ),
    );
    let origin = Origin::start();
    let proxy = Proxy::with(&oauth2(Setup::to(&origin), &idp));
    let mut clients: Vec<_> = (0..16).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send_request("GET", "/", &[("Authorization", "Basic dGhlaXJz")], "");
    }
    eventually(SOON, "the token is asked for", || {
        !idp.requests().is_empty()
    });
    gate.open();
    for client in &mut clients {
        assert_eq!(client.read_answer().status, 200);
    }
    assert_eq!(idp.requests().len(), 1);
    let asked = &idp.requests()[0];
    assert_eq!(asked.text(), "grant_type=client_credentials");
    assert_eq!(
        asked.header("authorization"),
        Some("Basic Y2xpZW50OnMzY3JldA==")
    );
    assert!(
        authorizations(&origin)
            .iter()
            .all(|sent| sent == "Bearer t0ken")
    );
    assert_eq!(oauth2_state(&proxy)["token"], "valid");
    let metrics = proxy.metrics();
    let refreshed = [("route", "all"), ("result", "refreshed")];
    assert_eq!(
        metrics.sum("outrigger_credential_refreshes_total", &refreshed),
        1.0
    );
    let expiry = "outrigger_credential_expiry_timestamp_seconds";
    assert!(metrics.sum(expiry, &[("route", "all")]) > 1e9);
    let listed = proxy.admin("GET", "/stats", "").json()["tokens"][0].clone();
    assert_eq!(listed["route"], "all", "{listed}");
    let left = listed["seconds_left"].as_f64().unwrap();
    assert!(3000.0 < left && left <= 3600.0, "{listed}");
    assert!(!listed.to_string().contains("t0ken"), "{listed}");
}

#[test]
fn a_token_is_renewed_in_time_and_outlives_a_reload() {
    let idp = Origin::start()
        .on("/token", token("one", r#","expires_in":2"#))
        .on("/token", token("two", r#","expires_in":"3600""#));
    let origin = Origin::start();
    let mut proxy = Proxy::with(&oauth2(Setup::to(&origin), &idp));
    proxy.get("/");
    assert_eq!(authorizations(&origin), ["Bearer one"]);
    eventually(SOON, "the second token", || idp.requests().len() == 2);
    eventually(SOON, "the second token is sent", || {
        proxy.get("/");
        authorizations(&origin).last().unwrap() == "Bearer two"
    });
    proxy.reload_with(oauth2(Setup::to(&origin).route("timeout = \"9s\""), &idp).toml());
    proxy.get("/");
    assert_eq!(authorizations(&origin).last().unwrap(), "Bearer two");
    assert_eq!(idp.requests().len(), 2);

    // Another secret is used at once.
    let rotated = oauth2(Setup::to(&origin), &idp).toml();
    proxy.reload_with(rotated.replace("s3cret", "r0tated"));
    eventually(SOON, "a token for the new secret", || {
        idp.requests().len() == 3
    });
    let asked = idp.requests()[2].header("authorization").map(str::to_owned);
    assert_eq!(asked.as_deref(), Some("Basic Y2xpZW50OnIwdGF0ZWQ="));
}

#[test]
fn without_a_token_the_caller_is_told_when_to_come_back() {
    for bad in [
        Script::new().answering("503 Service Unavailable", ""),
        Script::new().answering("400 Bad Request", r#"{"error":"invalid_client"}"#),
        token("", ""),
        token("t0ken", r#","expires_in":0"#),
        Script::answer(&format!("\"{}\"", "x".repeat(65 << 10))),
        Script::new().close(),
    ] {
        let idp = Origin::start()
            .on("/token", bad)
            .on("/token", token("good", ""));
        let origin = Origin::start();
        let proxy = Proxy::with(&oauth2(Setup::to(&origin), &idp));
        let answer = proxy.get("/");
        // The next fetch may have been faster than we.
        if answer.status != 200 {
            answer.assert_refused(503, "credentials_unavailable");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        eventually(SOON, "it is tried again", || proxy.get("/").status == 200);
        assert_eq!(authorizations(&origin).last().unwrap(), "Bearer good");
    }
}

#[test]
fn a_slow_token_endpoint_holds_nobody_for_long() {
    let idp = Origin::start().on("/token", Script::new().stall());
    let origin = Origin::start();
    let proxy = Proxy::with(&oauth2(Setup::to(&origin), &idp));
    let answer = proxy.get("/");
    answer.assert_refused(503, "credentials_unavailable");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn a_revoked_token_is_replaced_and_the_request_sent_again() {
    let idp = Origin::start()
        .on("/token", token("one", r#","expires_in":3600"#))
        .on("/token", token("two", r#","expires_in":3600"#));
    let revoked = || Script::new().answering("401 Unauthorized", "revoked");
    let origin = Origin::start()
        .on("/a", revoked())
        .on("/a", Script::echo())
        .on("/none", revoked());
    let proxy = Proxy::with(&oauth2(Setup::to(&origin), &idp));
    let answer = proxy.client().request("POST", "/a", &[], "hello");
    assert_eq!((answer.status, answer.text()), (200, "hello".to_owned()));
    assert_eq!(authorizations(&origin), ["Bearer one", "Bearer two"]);
    assert_eq!(idp.connections(), 1, "both tokens came over one");
    let bodies: Vec<_> = origin.requests().iter().map(|r| r.text()).collect();
    assert_eq!(bodies, ["hello", "hello"]);
    // Once: what is refused again is refused.
    let answer = proxy.get("/none");
    assert_eq!((answer.status, answer.text()), (401, "revoked".to_owned()));
    assert_eq!(origin.requests().len(), 4);
    // A body that is too long to be kept is sent once.
    let long = "x".repeat(65 << 10);
    assert_eq!(
        proxy.client().request("POST", "/none", &[], &long).status,
        401
    );
    assert_eq!(origin.requests().len(), 5);
}

#[test]
fn problems_are_at_their_place_and_show_no_secret() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    for (line, says) in [
        (
            r#"credentials = { bearer = "s3cret" }"#,
            "a secret is not written here itself",
        ),
        (
            r#"credentials = { bearer = { file = "missing" } }"#,
            "cannot read",
        ),
        (
            r#"credentials = { bearer = { env = "NO_SUCH" } }"#,
            "no environment variable",
        ),
        (
            r#"credentials = { bearer = { value = "Bearer s3cret" } }"#,
            "begins with the word",
        ),
        (
            r#"credentials = { bearer = { value = "s3cret\n2" } }"#,
            "line break",
        ),
        (
            r#"credentials = { bearer = { value = "s3cret", env = "PATH" } }"#,
            "a secret has one source",
        ),
        (
            r#"credentials = { oauth2 = { token_url = "http://me:s3cret@idp/", client_id = "a", client_secret = { value = "s3cret" } } }"#,
            "a URL with a user",
        ),
    ] {
        let error = proxy.reload_refused(Setup::to(&origin).route(line).toml());
        assert!(error.contains(says), "{line}: {error}");
        assert!(!error.contains("s3cret"), "{line}: {error}");
        assert!(error.contains("main.toml:9:"), "{line}: {error}");
    }
    assert!(!proxy.log().contains("s3cret"), "{}", proxy.log());
}

#[test]
fn no_secret_is_shown_anywhere() {
    const SECRETS: [&str; 6] = [
        "s3cret",
        "f1le-key",
        "p4ssword",
        "t0ken",
        "czNjcmV0",
        "cDRzc3dvcmQ",
    ];
    let idp = Origin::start()
        .on("/token", token("t0ken-1", r#","expires_in":1"#))
        .on(
            "/token",
            Script::new().answering("400 Bad Request", "s3cret t0ken"),
        )
        .on("/token", token("t0ken-2", r#","expires_in":3600"#));
    let origin = Origin::start()
        .on("/refused", Script::new().answering("401 Unauthorized", ""))
        .on("/broken", Script::new().send("HTTP/1.1 nonsense\r\n\r\n"));
    let url = format!("http://{}/token", idp.address());
    let setup = Setup::to(&origin).also(format!(
        r#"
        [log]
        level = "debug"
        access_log = true
        [routes.all.credentials.oauth2]
        token_url = "{url}"
        client_id = "client"
        client_secret = {{ value = "s3cret" }}
        [routes.key]
        match = {{ path = "/key" }}
        upstream = "origin"
        credentials = {{ api_key = {{ header = "X-Key", value = {{ file = "key" }} }} }}
        [routes.basic]
        match = {{ path = "/basic" }}
        upstream = "origin"
        credentials = {{ basic = {{ username = "me", password = {{ value = "p4ssword" }} }} }}
        "#
    ));
    let mut proxy = Launch::new(setup.toml()).file("key", "f1le-key").start();
    let mut shown = String::new();
    for target in ["/", "/refused", "/broken", "/key", "/basic"] {
        let answer = proxy.get(target);
        shown.push_str(&String::from_utf8_lossy(&answer.head.raw));
        if answer.reason().is_some() {
            shown.push_str(&answer.text());
        }
    }
    eventually(SOON, "three fetches", || idp.requests().len() >= 3);
    let broken = setup.toml().replace("path = \"/key\"", "pth = \"/key\"");
    shown.push_str(&proxy.reload_refused(broken));
    for target in [
        "/config",
        "/routes",
        "/routes/all",
        "/routes/key",
        "/routes/basic",
        "/upstreams",
        "/metrics",
    ] {
        shown.push_str(&proxy.admin("GET", target, "").text());
    }
    proxy.terminate();
    proxy.wait_exit(Duration::from_secs(20));
    shown.push_str(&proxy.log());
    assert!(shown.contains("no token could be fetched"), "{shown}");
    assert!(shown.contains("[redacted]"), "{shown}");
    for secret in SECRETS {
        assert!(!shown.contains(secret), "{secret} is shown:\n{shown}");
    }
    assert!(
        authorizations(&origin)
            .iter()
            .any(|sent| sent.starts_with("Bearer t0ken"))
    );
}

#[test]
fn a_token_is_fetched_over_tls_from_whom_the_ca_has_signed() {
    let (ca, stranger) = (Authority::new("ca"), Authority::new("stranger"));
    let files = tempfile::tempdir().unwrap();
    let trusted = files.path().join("ca.pem");
    put(&trusted, stranger.pem());
    let server = TlsServer::showing(&ca.issue(Ask::of(&["localhost"]).only_for_servers()));
    let idp = Origin::over_tls(&server).on("/token", token("t0ken", ""));
    let origin = Origin::start();
    let setup = Setup::to(&origin).also(format!(
        r#"
        [routes.all.credentials.oauth2]
        token_url = "https://localhost:{}/token"
        ca = {trusted:?}
        client_id = "client"
        client_secret = {{ value = "s3cret" }}
        "#,
        idp.address().port()
    ));
    let proxy = Proxy::with(&setup);
    proxy
        .get("/")
        .assert_refused(503, "credentials_unavailable");
    eventually(SOON, "the log says why", || {
        let log = proxy.log();
        log.contains("TLS handshake with `localhost:") && log.contains("leads to no CA")
    });
    assert!(idp.requests().is_empty(), "a secret went to a stranger");

    put(&trusted, ca.pem());
    eventually(SOON, "the right CA is believed", || {
        proxy.get("/").status == 200
    });
    assert_eq!(authorizations(&origin), ["Bearer t0ken"]);
    let certificates = proxy.admin("GET", "/certs", "").json();
    assert_eq!(
        certificates[0]["used_by"][0],
        "routes.all.credentials.oauth2.ca"
    );
}

#[test]
fn a_variable_that_is_no_text_is_not_said_to_be_missing() {
    let files = tempfile::tempdir().unwrap();
    let config = files.path().join("outrigger.toml");
    let setup =
        Setup::to_address("127.0.0.1:1").route("credentials = { bearer = { env = \"ODD\" } }");
    std::fs::write(&config, setup.toml()).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_outrigger"))
        .arg("check")
        .arg(&config)
        .env("ODD", std::ffi::OsStr::from_bytes(b"s3cret\xff"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("the environment variable `ODD` is not text in UTF-8"),
        "{said}"
    );
    assert!(!said.contains("s3cret"), "{said}");
}
