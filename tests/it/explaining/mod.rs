//! What `outrigger explain` and `POST /explain` say of a request, and that asking changes nothing.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use outrigger::explain::{Explanation, OutcomeKind, SetBy};
use serde_json::{Value, json};

use crate::support::{Origin, Proxy, SOON, Script, Setup, eventually};

mod random;

/// What the running proxy says of a question.
fn explained(proxy: &Proxy, question: &Value) -> Explanation {
    let answer = proxy.admin("POST", "/explain", &question.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

fn state<'e>(explanation: &'e Explanation, key: &str) -> &'e Value {
    let policy = explanation.policies.iter().find(|one| one.key == key);
    policy.and_then(|one| one.state.as_ref()).expect("a state")
}

fn command(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger"));
    let command = command.arg("explain").args(arguments);
    command.stdin(Stdio::null()).output().unwrap()
}

const FILE: &str = r#"[listeners.main]
listen = "127.0.0.1:15001"

[defaults]
timeout = "7s"

[upstreams.app]
endpoints = ["127.0.0.1:8080"]

[routes.orders]
match = { path = "/orders/{id}", methods = ["GET"], headers = { x-token = "hush-match" } }
upstream = "app"
rewrite = { path = "/internal/${path.id}", host = "upstream" }
retry = { attempts = 3 }
credentials = { api_key = { header = "x-mine", value = { value = "hush-key" } } }

[routes.others]
match = { path = "/{*rest}" }
respond = { status = 204 }
"#;

fn file(folder: &Path, text: &str) -> String {
    let path = folder.join("outrigger.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_file_alone_says_route_policies_and_target_with_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), FILE);
    let header = "x-token: hush-match";
    let with = [
        "-H",
        header,
        "-H",
        "authorization: Bearer hush-own",
        "--json",
    ];
    let url = "http://app.example:15001/orders//7?password=hush-query&v=1";
    let output = command(&[&[&*path, "GET", url], &with[..]].concat());
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains("hush"), "{said}");
    let explanation: Explanation = serde_json::from_str(&said).unwrap();
    let route = explanation.route.as_ref().unwrap();
    assert_eq!(route.name, "orders");
    assert_eq!(route.place.as_deref(), Some(&*format!("{path}:10")));
    assert_eq!(route.captures["id"], "7");
    let set = |key: &str| {
        let policy = explanation.policies.iter().find(|one| one.key == key);
        let policy = policy.unwrap_or_else(|| panic!("{key}: {said}"));
        (
            policy.set.by,
            policy.set.place.clone(),
            policy.defaults.clone(),
        )
    };
    let place = |line: u32| Some(format!("{path}:{line}"));
    assert_eq!(set("timeout"), (SetBy::Defaults, place(5), Vec::new()));
    assert_eq!(set("idle_timeout"), (SetBy::Default, None, Vec::new()));
    let (by, at, defaults) = set("retry");
    assert_eq!((by, at), (SetBy::Route, place(14)));
    assert!(defaults.contains(&"backoff".to_owned()), "{defaults:?}");
    assert!(!defaults.contains(&"attempts".to_owned()), "{defaults:?}");
    let keys: Vec<&str> = explanation.policies.iter().map(|one| &*one.key).collect();
    let order = ["timeout", "retry", "credentials"].map(|key| keys.iter().position(|k| *k == key));
    assert!(order.is_sorted() && order[0].is_some(), "{keys:?}");
    let sent = explanation.sends.unwrap();
    assert_eq!(sent.path, "/internal/7?password=[redacted]&v=1");
    assert_eq!(sent.host.as_deref(), Some("127.0.0.1:8080"));
    assert!(sent.headers.iter().any(|field| field.name == "x-mine"));
    assert_eq!(
        explanation.outcome.endpoint.as_deref(),
        Some("127.0.0.1:8080")
    );
    let passed = &explanation.passed_over[0];
    assert_eq!((&*passed.route, &passed.condition), ("others", &None));
}

#[test]
fn exit_codes_and_words_say_what_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), FILE);
    for (arguments, code, part) in [
        (&["GET", "/else"][..], 0, "answered here: 204"),
        (
            &["/orders/7"],
            0,
            "it wants the header `x-token` to be `[redacted]`",
        ),
        (&["/a%2Fb"], 1, "refused: 400 bad_path"),
        (&["/%zz"], 1, "refused: 400 bad_path"),
        (&["TRACE", "/"], 1, "refused: 405 method_not_allowed"),
        (
            &["GET", "/", "--listener", "none"],
            2,
            "no listener is named `none`",
        ),
        (&["GET", "nowhere"], 2, "is no URL"),
        (&["GET", "/", "-H", "a"], 2, "a header is written"),
    ] {
        let output = command(&[&[&*path], arguments].concat());
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
    let bad = file(folder.path(), "routes = 1\n");
    assert_eq!(command(&[&bad, "/"]).status.code(), Some(2));
}

#[test]
fn a_running_proxy_tells_what_is_left_and_spends_nothing() {
    let origin = Origin::start();
    let setup = Setup::to(&origin)
        .route(r#"rate_limit = { requests = 2, per = "1h", key = "header:x-user" }"#);
    let proxy = Proxy::with(&setup);
    let question = json!({ "url": "/a", "headers": { "x-user": "me" } });
    for _ in 0..5 {
        let explanation = explained(&proxy, &question);
        assert_eq!(explanation.outcome.kind, OutcomeKind::Forward);
        let endpoint = origin.address().to_string();
        assert_eq!(explanation.outcome.endpoint, Some(endpoint));
        assert_eq!(state(&explanation, "rate_limit")[0]["left"], 2);
    }
    assert!(origin.requests().is_empty());
    let ask = |user: &str| proxy.client().request("GET", "/a", &[("x-user", user)], "");
    for left in [1, 0] {
        assert_eq!(ask("me").status, 200);
        let explanation = explained(&proxy, &question);
        assert_eq!(state(&explanation, "rate_limit")[0]["left"], left);
    }
    let explanation = explained(&proxy, &question);
    assert_eq!(explanation.outcome.status, Some(429));
    assert_eq!(explanation.outcome.reason.as_deref(), Some("rate_limited"));
    ask("me").assert_refused(429, "rate_limited");
    let other = json!({ "url": "/a", "headers": { "x-user": "you" } });
    assert_eq!(explained(&proxy, &other).outcome.kind, OutcomeKind::Forward);
    let text = proxy.admin("GET", "/metrics", "").text();
    let counted = "outrigger_rate_limited_total{route=\"all\"} 1";
    assert!(text.contains(counted), "{text}");
}

#[test]
fn a_breaker_that_is_open_is_told_and_no_probe_of_it_is_used_up() {
    let origin = Origin::start().otherwise(Script::new().answering("500 No", ""));
    let setup = Setup::to(&origin).route(
        "retry = false\ncircuit_breaker = { consecutive_failures = 1, recovery_timeout = \"1h\", max_recovery = \"1h\" }",
    );
    let mut proxy = Proxy::with(&setup);
    let question = json!({ "url": "/a" });
    let closed = explained(&proxy, &question);
    assert_eq!(state(&closed, "circuit_breaker")["state"], "closed");
    assert_eq!(proxy.get("/a").status, 500);
    let open = explained(&proxy, &question);
    assert_eq!(open.outcome.reason.as_deref(), Some("circuit_open"));
    assert_eq!(state(&open, "circuit_breaker")["state"], "open");
    // With another time to recover it is half-open at once, and asking does not take the place of the one that is tried.
    let text = setup.toml().replace("1h", "10ms");
    let generation = proxy.generation();
    proxy.write_config(text);
    eventually(SOON, "the reload", || proxy.generation() > generation);
    for _ in 0..3 {
        eventually(SOON, "recovery", || {
            explained(&proxy, &question).outcome.kind == OutcomeKind::Forward
        });
    }
    assert_eq!(origin.requests().len(), 1);
    assert_eq!(proxy.get("/a").status, 500);
}

#[test]
fn places_are_those_of_the_config_that_serves_or_not_told() {
    let origin = Origin::start();
    let setup = Setup::to(&origin).route("timeout = \"9s\"");
    let mut proxy = Proxy::with(&setup);
    let question = json!({ "url": "/a" });
    let set = |proxy: &Proxy| {
        let explanation = explained(proxy, &question);
        let timeout = explanation
            .policies
            .into_iter()
            .find(|one| one.key == "timeout");
        let timeout = timeout.unwrap();
        (explanation.generation, timeout.value, timeout.set.by)
    };
    let (first, value, by) = set(&proxy);
    assert_eq!((value, by), (json!("9s"), SetBy::Route));
    proxy.write_config(setup.toml().replace("9s", "8s"));
    eventually(SOON, "the reload", || set(&proxy).0 > first);
    let (_, value, by) = set(&proxy);
    assert_eq!((value, by), (json!("8s"), SetBy::Route));
    // A file that cannot serve says nothing of what does.
    proxy.write_config(format!("{}\nnonsense = 1\n", setup.toml()));
    let (_, value, by) = set(&proxy);
    assert_eq!((value, by), (json!("8s"), SetBy::Unknown));
}

#[test]
fn the_command_asks_a_running_proxy() {
    let origin = Origin::start();
    let proxy = Proxy::with(&Setup::to(&origin));
    let socket = proxy.path("admin.sock");
    let admin = format!("unix:{}", socket.display());
    let output = command(&["--admin", &admin, "POST", "/a", "--json", "--data", "{}"]);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let explanation: Explanation = serde_json::from_str(&said).unwrap();
    assert_eq!(explanation.generation, Some(proxy.generation()));
    let output = command(&["--admin", "unix:/nowhere", "/a"]);
    assert_eq!(output.status.code(), Some(2));
}
