//! Callers who prove who they are by a signed token.

use serde_json::{Value, json};

use crate::support::pki::{Ask, Authority, Leaf, put};
use crate::support::{
    Issuer, Launch, Origin, Proxy, Response, SOON, Script, Setup, TlsServer, eventually, key_set,
    now,
};

const FILE: &str = r#"jwt = { issuer = "https://idp.example", jwks = { file = "keys.json" }, forward_claims = { x-user = "sub", x-role = "role" } }"#;

fn by_url(setup: Setup, server: &Origin) -> Setup {
    let url = format!("http://{}/keys", server.address());
    setup.route(format!(
        r#"jwt = {{ issuer = "https://idp.example", jwks = {{ url = "{url}" }} }}"#
    ))
}

fn call(proxy: &Proxy, authorization: &str) -> Response {
    let headers = [
        ("Authorization", authorization),
        ("X-User", "forged"),
        ("x-role", "forged"),
    ];
    proxy.client().request("GET", "/", &headers, "")
}

fn assert_unauthorized(answer: &Response, challenge: &str) {
    answer.assert_refused(401, "unauthorized");
    assert_eq!(answer.header("www-authenticate"), Some(challenge));
}

#[test]
fn a_good_token_passes_and_its_claims_are_forwarded() {
    let origin = Origin::start();
    let issuer = Issuer::new("1");
    let setup = Setup::to(&origin)
        .route(FILE)
        .route(r#"request = { set_headers = { x-all = "${jwt.sub}-${jwt.n}-${jwt.none}" } }"#);
    let proxy = Launch::new(setup.toml())
        .file("keys.json", &key_set(&[&issuer]))
        .start();
    let answer = call(&proxy, &issuer.bearer(json!({ "n": 7 })));
    assert_eq!(answer.status, 200);
    let seen = origin.only_request();
    assert_eq!(seen.head.all("x-user"), ["ann"]);
    assert_eq!(seen.head.all("x-role"), [""; 0]);
    assert_eq!(seen.head.all("x-all"), ["ann-7-"]);
    let route = proxy.admin("GET", "/routes/all", "").json();
    assert_eq!(route["state"]["jwt"]["keys"], json!(["1"]));
}

#[test]
fn what_is_no_good_token_is_refused_with_its_reason() {
    let origin = Origin::start();
    let (issuer, stranger) = (Issuer::new("1"), Issuer::new("1"));
    let proxy = Launch::new(Setup::to(&origin).route(FILE).toml())
        .file("keys.json", &key_set(&[&issuer]))
        .start();
    assert_unauthorized(&proxy.get("/"), "Bearer");
    assert_unauthorized(&call(&proxy, "Basic YTpi"), "Bearer");
    let invalid = |why| format!("Bearer error=\"invalid_token\", error_description=\"{why}\"");
    for (token, why) in [
        (
            issuer.bearer(json!({ "exp": now() - 3600 })),
            "the token has expired",
        ),
        (
            issuer.bearer(json!({ "nbf": now() + 3600 })),
            "the token is not valid yet",
        ),
        (
            issuer.bearer(json!({ "iss": "https://other.example" })),
            "the token is of another issuer",
        ),
        (
            stranger.bearer(json!({})),
            "the token's signature is not that of the issuer",
        ),
        (
            Issuer::new("2").bearer(json!({})),
            "the token names a key that the issuer does not have",
        ),
        ("Bearer a.b.c".to_owned(), "the token is not well formed"),
    ] {
        assert_unauthorized(&call(&proxy, &token), &invalid(why));
    }
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn a_file_of_keys_follows_the_file() {
    let origin = Origin::start();
    let (first, second) = (Issuer::new("1"), Issuer::new("2"));
    let proxy = Launch::new(Setup::to(&origin).route(FILE).toml())
        .file("keys.json", &key_set(&[&first]))
        .start();
    let token = first.bearer(json!({}));
    assert_eq!(call(&proxy, &token).status, 200);
    let generation = proxy.generation();
    proxy.write_file("keys.json", &key_set(&[&second]));
    eventually(SOON, "the new keys serve", || {
        proxy.generation() > generation
    });
    // A token that was verified before is of no use with its key gone.
    assert_eq!(call(&proxy, &token).status, 401);
    assert_eq!(call(&proxy, &second.bearer(json!({}))).status, 200);
    proxy.write_file("keys.json", "{}");
    eventually(SOON, "a file without keys is refused", || {
        proxy.last_error().contains("is no set of keys")
    });
    assert_eq!(call(&proxy, &second.bearer(json!({}))).status, 200);
}

#[test]
fn a_new_key_of_a_url_is_fetched_when_a_token_names_it() {
    let (first, second) = (Issuer::new("1"), Issuer::new("2"));
    let server = Origin::start()
        .on("/keys", Script::answer(&key_set(&[&first])))
        .on("/keys", Script::answer(&key_set(&[&first, &second])));
    let origin = Origin::start();
    let mut proxy = Proxy::with(&by_url(Setup::to(&origin), &server));
    assert_eq!(call(&proxy, &first.bearer(json!({}))).status, 200);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(call(&proxy, &second.bearer(json!({}))).status, 200);
    assert_eq!(server.requests().len(), 2);
    // Strangers cannot make us a flood.
    for _ in 0..20 {
        let token = Issuer::new("3").bearer(json!({}));
        call(&proxy, &token).assert_refused(401, "unauthorized");
    }
    assert!(server.requests().len() <= 5, "{}", server.requests().len());
    let fetched = server.requests().len();
    proxy.reload_with(by_url(Setup::to(&origin).route("timeout = \"9s\""), &server).toml());
    assert_eq!(call(&proxy, &second.bearer(json!({}))).status, 200);
    assert_eq!(server.requests().len(), fetched, "keys outlive a reload");
    let refreshed = [("route", "all"), ("result", "refreshed")];
    assert!(
        proxy
            .metrics()
            .sum("outrigger_key_refreshes_total", &refreshed)
            >= 2.0
    );
}

#[test]
fn without_keys_the_answer_is_503_and_then_they_are_fetched() {
    let issuer = Issuer::new("1");
    for broken in [
        Script::new().answering("500 Internal Server Error", ""),
        Script::answer("{}"),
        Script::answer(&"x".repeat(2 << 20)),
        Script::new().close(),
    ] {
        let server = Origin::start()
            .on("/keys", broken)
            .on("/keys", Script::answer(&key_set(&[&issuer])));
        let origin = Origin::start();
        let proxy = Proxy::with(&by_url(Setup::to(&origin), &server));
        let answer = call(&proxy, &issuer.bearer(json!({})));
        // The next fetch may have been faster than we.
        if answer.status != 200 {
            answer.assert_refused(503, "keys_unavailable");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        eventually(SOON, "the keys are there", || {
            call(&proxy, &issuer.bearer(json!({}))).status == 200
        });
    }
}

#[test]
fn a_token_may_be_in_a_cookie() {
    let origin = Origin::start();
    let issuer = Issuer::new("1");
    let jwt = r#"jwt = { issuer = "https://idp.example", jwks = { file = "keys.json" }, from = "cookie:session" }"#;
    let proxy = Launch::new(Setup::to(&origin).route(jwt).toml())
        .file("keys.json", &key_set(&[&issuer]))
        .start();
    let cookie = format!("a=b; session={}", issuer.token(json!({})));
    let answer = proxy
        .client()
        .request("GET", "/", &[("Cookie", &cookie)], "");
    assert_eq!(answer.status, 200);
    assert_eq!(call(&proxy, &issuer.bearer(json!({}))).status, 401);
}

#[test]
fn claims_decide_who_may_call() {
    let origin = Origin::start();
    let issuer = Issuer::new("1");
    let setup = Setup::to(&origin)
        .route(FILE)
        .route(r#"authorize = { claims = { role = ["admin"], scope = ["write"] } }"#);
    let mut proxy = Launch::new(setup.toml())
        .file("keys.json", &key_set(&[&issuer]))
        .start();
    let status = |proxy: &Proxy, claims: Value| call(proxy, &issuer.bearer(claims)).status;
    assert_eq!(
        status(
            &proxy,
            json!({ "role": ["user", "admin"], "scope": "read write" })
        ),
        200
    );
    assert_eq!(
        status(&proxy, json!({ "role": "admin", "scope": "read" })),
        403
    );
    let refused = call(&proxy, &issuer.bearer(json!({ "scope": "write" })));
    refused.assert_refused(403, "forbidden");
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Bearer error=\"insufficient_scope\"")
    );
    // Without a token nobody knows what it allows.
    proxy.get("/").assert_refused(401, "unauthorized");
    let other = Setup::to(&origin)
        .route(FILE)
        .route(r#"authorize = { claims = { role = ["user"] } }"#);
    proxy.reload_with(other.toml());
    assert_eq!(
        status(&proxy, json!({ "role": "admin", "scope": "write" })),
        403
    );
    assert_eq!(status(&proxy, json!({ "role": "user" })), 200);
}

#[test]
fn problems_are_at_their_place() {
    let origin = Origin::start();
    let issuer = Issuer::new("1");
    let mut proxy = Launch::new(Setup::to(&origin).toml())
        .file("keys.json", &key_set(&[&issuer]))
        .file("broken.json", "{\"keys\": [}")
        .start();
    let jwt = |more: &str| format!("jwt = {{ issuer = \"a\", {more} }}");
    for (line, says) in [
        (jwt(r#"jwks = { file = "missing.json" }"#), "cannot read"),
        (
            jwt(r#"jwks = { file = "broken.json" }"#),
            "not JSON (line 1, column 11)",
        ),
        (jwt("jwks = {}"), "where the keys come from"),
        (jwt(r#"jwks = { url = "idp/keys" }"#), "is not a URL"),
        (
            jwt(r#"jwks = { file = "keys.json" }, algorithms = ["HS256"]"#),
            "`HS256` lets everyone",
        ),
        (
            jwt(r#"jwks = { file = "keys.json" }, from = "query:t""#),
            "no place for a token",
        ),
        (
            r#"authorize = { claims = { role = ["a"] } }"#.to_owned(),
            "no `jwt`",
        ),
        (
            r#"authorize = { claims = { role = [] } }"#.to_owned(),
            "nobody may call",
        ),
    ] {
        let error = proxy.reload_refused(Setup::to(&origin).route(line.clone()).toml());
        assert!(error.contains(says), "{line}: {error}");
        assert!(error.contains("main.toml:9:"), "{line}: {error}");
    }
}

#[test]
fn callers_are_counted_by_a_claim() {
    let origin = Origin::start();
    let issuer = Issuer::new("1");
    let limit = r#"rate_limit = { requests = 2, per = "1h", key = "jwt:sub" }"#;
    let proxy = Launch::new(Setup::to(&origin).route(FILE).route(limit).toml())
        .file("keys.json", &key_set(&[&issuer]))
        .start();
    let granted = |sub| {
        let bearer = issuer.bearer(json!({ "sub": sub }));
        (0..4)
            .filter(|_| call(&proxy, &bearer).status == 200)
            .count()
    };
    assert_eq!((granted("ann"), granted("bob"), granted("ann")), (2, 2, 0));
    call(&proxy, "Bearer a.b.c").assert_refused(401, "unauthorized");
}

/// A proxy that fetches keys from a server over TLS.
struct Site {
    proxy: Proxy,
    server: Origin,
    /// `ca.pem` holds the CAs that it believes.
    files: tempfile::TempDir,
    _origin: Origin,
}

fn by_https(leaf: &Leaf, trusted: &str, script: Script) -> Site {
    let files = tempfile::tempdir().unwrap();
    let ca = files.path().join("ca.pem");
    put(&ca, trusted);
    let server = Origin::over_tls(&TlsServer::showing(leaf)).on("/keys", script);
    let url = format!("https://localhost:{}/keys", server.address().port());
    let origin = Origin::start();
    let setup = Setup::to(&origin).route(format!(
        r#"jwt = {{ issuer = "https://idp.example", jwks = {{ url = "{url}", ca = {ca:?} }} }}"#
    ));
    Site {
        proxy: Proxy::with(&setup),
        server,
        files,
        _origin: origin,
    }
}

#[test]
fn keys_are_fetched_over_tls_from_whom_the_ca_has_signed() {
    let issuer = Issuer::new("1");
    let (ca, stranger) = (Authority::new("ca"), Authority::new("stranger"));
    let ask = || Ask::of(&["localhost"]);
    for (leaf, why) in [
        (stranger.issue(ask()), "leads to no CA that is trusted here"),
        (
            ca.issue(Ask::of(&["idp.example"])),
            "is for idp.example, wanted localhost",
        ),
        (ca.issue(ask().expired()), "has expired"),
        (ca.issue(ask().only_for_clients()), "extended key usage"),
    ] {
        let keys = Script::answer(&key_set(&[&issuer]));
        let Site { proxy, server, .. } = &by_https(&leaf, ca.pem(), keys);
        call(proxy, &issuer.bearer(json!({}))).assert_refused(503, "keys_unavailable");
        eventually(SOON, why, || proxy.log().contains(why));
        assert!(server.requests().is_empty());
    }
}

#[test]
fn keys_that_are_fetched_again_come_over_the_same_connection() {
    let issuer = Issuer::new("1");
    let ca = Authority::new("ca");
    let leaf = ca.issue(Ask::of(&["localhost"]));
    let keys = Script::answer(&key_set(&[&issuer]));
    let Site { proxy, server, .. } = &by_https(&leaf, ca.pem(), keys);
    assert_eq!(call(proxy, &issuer.bearer(json!({}))).status, 200);
    let unknown = Issuer::new("2").bearer(json!({}));
    call(proxy, &unknown).assert_refused(401, "unauthorized");
    assert_eq!((server.requests().len(), server.connections()), (2, 1));
    // And not for long.
    eventually(SOON * 2, "it is closed", || server.open_connections() == 0);
}

#[test]
fn keys_outlive_the_ca_by_which_they_were_fetched() {
    let issuer = Issuer::new("1");
    let (ca, other) = (Authority::new("ca"), Authority::new("other"));
    let leaf = ca.issue(Ask::of(&["localhost"]));
    let keys = Script::answer(&key_set(&[&issuer]));
    let site = by_https(&leaf, ca.pem(), keys);
    let (proxy, server, files) = (&site.proxy, &site.server, &site.files);
    assert_eq!(call(proxy, &issuer.bearer(json!({}))).status, 200);
    let fetched = "outrigger_key_last_refresh_timestamp_seconds";
    let since = proxy.metrics().sum(fetched, &[("route", "all")]);
    assert!((now() as f64 - since).abs() < 60.0, "{since}");

    put(&files.path().join("ca.pem"), other.pem());
    eventually(SOON, "the server is not believed", || {
        proxy.log().contains("leads to no CA")
    });
    assert_eq!(call(proxy, &issuer.bearer(json!({}))).status, 200);
    assert_eq!(server.requests().len(), 1);
    put(
        &files.path().join("ca.pem"),
        &format!("{}{}", other.pem(), ca.pem()),
    );
    eventually(SOON, "it is believed again", || {
        server.requests().len() == 2
    });
}
