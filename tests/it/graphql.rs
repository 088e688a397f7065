//! GraphQL: what is asked, and what an answer hides behind its 200.

use crate::support::{Launch, Origin, Proxy, Script, Setup};

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn answering(status: &str, body: &str) -> Script {
    Script::new().send(format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\netag: \"1\"\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

#[test]
fn queries_beyond_the_limits_never_reach_the_upstream() {
    let origin = Origin::start().on("/", answering("200 OK", r#"{"data":1}"#));
    let limits = r#"graphql = { max_depth = 2, allowed_operations = ["query", "Place"], introspection = false }"#;
    let proxy = Proxy::with(&Setup::to(&origin).route(limits));
    let post = |body: &str| proxy.client().request("POST", "/", &[JSON], body);
    for refused in [
        r#"{"query":"{ a { b { c } } }"}"#,
        r#"{"query":"{ ...F } fragment F on T { a { ...F } }"}"#,
        r#"{"query":"mutation Drop { a }"}"#,
        r#"[{"query":"{ a }"},{"query":"mutation { a }"}]"#,
        r#"{"query":"{ __schema { description } }"}"#,
        r#"{"query":"{ a "}"#,
        "{}",
    ] {
        let answer = post(refused);
        answer.assert_refused(400, "graphql_refused");
    }
    proxy
        .get("/?query=%7Ba%7Bb%7Bc%7D%7D%7D")
        .assert_refused(400, "graphql_refused");
    let bare = ("Content-Type", "application/graphql");
    let deep = proxy
        .client()
        .request("POST", "/", &[bare], "{ a { b { c } } }");
    deep.assert_refused(400, "graphql_refused");
    assert!(
        deep.json()["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("depth of 3"))
    );
    assert!(origin.requests().is_empty());

    let allowed = r#"{ "query": "mutation Place { a { b } }" }"#;
    assert_eq!(post(allowed).status, 200);
    assert_eq!(
        origin.only_request().text(),
        allowed,
        "what is allowed passes byte for byte"
    );
}

#[test]
fn an_answer_with_errors_is_a_failure() {
    let errors = r#"{"data":null,"errors":[{"message":"no such order"}]}"#;
    let origin = Origin::start()
        .on("/errors", answering("200 OK", errors))
        .on(
            "/none",
            answering("200 OK", r#"{"data":{"a":1},"errors":[]}"#),
        )
        .on("/status", answering("400 Bad Request", errors))
        .on("/broken", answering("200 OK", "{"))
        .on("/text", Script::answer("hello"));
    let proxy = Proxy::with(&Setup::to(&origin).route("graphql = {}"));
    let failed = proxy.get("/errors");
    failed.assert_refused(502, "graphql_errors");
    assert!(failed.text().contains("no such order"), "{}", failed.text());
    let good = proxy.get("/none");
    assert_eq!(good.text(), r#"{"data":{"a":1},"errors":[]}"#);
    assert_eq!(
        good.header("etag"),
        Some("\"1\""),
        "what is not changed keeps its tag"
    );
    let told = proxy.get("/status");
    assert_eq!((told.status, told.text().as_str()), (400, errors));
    proxy
        .get("/broken")
        .assert_refused(502, "invalid_upstream_body");
    assert_eq!(proxy.get("/text").text(), "hello");
}

#[test]
fn errors_open_the_breaker_where_it_counts_them() {
    let errors = answering("200 OK", r#"{"errors":[{"message":"no"}]}"#);
    let origin = Origin::start().on("/", errors);
    let proxy = |failures: &str| {
        let breaker = format!(
            "circuit_breaker = {{ consecutive_failures = 2, failure_ratio = false, failures = {failures} }}"
        );
        let setup = Setup::to(&origin).route("graphql = {}").route(breaker);
        Proxy::with(&setup)
    };
    let counting = proxy(r#"["graphql"]"#);
    for _ in 0..2 {
        counting.get("/").assert_refused(502, "graphql_errors");
    }
    counting.get("/").assert_refused(503, "circuit_open");
    assert_eq!(
        origin.requests().len(),
        2,
        "an error is not asked for again"
    );

    let other = proxy(r#"["5xx", "timeout", "connect", "reset", 502]"#);
    for _ in 0..4 {
        other.get("/").assert_refused(502, "graphql_errors");
    }
}

#[test]
fn data_is_unwrapped() {
    let origin = Origin::start()
        .on(
            "/",
            answering("200 OK", r#"{"data":{"z":12345678901234567890,"a":1}}"#),
        )
        .on(
            "/errors",
            answering("200 OK", r#"{"data":{"a":1},"errors":[{}]}"#),
        );
    let settings = "graphql = { unwrap_data = true, errors_are_failures = false }";
    let proxy = Proxy::with(&Setup::to(&origin).route(settings));
    let answer = proxy.get("/");
    assert_eq!(answer.text(), r#"{"z":12345678901234567890,"a":1}"#);
    assert_eq!(answer.header("etag"), None);
    assert_eq!(
        proxy.get("/errors").text(),
        r#"{"data":{"a":1},"errors":[{}]}"#
    );
}

#[test]
fn new_limits_apply_at_once_and_wrong_ones_are_kept_out() {
    let origin = Origin::start();
    let with = |depth: &str| {
        Setup::to(&origin)
            .route(format!("graphql = {{ max_depth = {depth} }}"))
            .toml()
    };
    let mut proxy = Launch::new(with("1")).start();
    let query = "/?query=%7Ba%7Bb%7D%7D";
    assert_eq!(proxy.get(query).status, 400);
    proxy.reload_with(with("2"));
    assert_eq!(proxy.get(query).status, 200);
    let error = proxy.reload_refused(with("0"));
    assert!(error.contains("no query has a depth of 0"), "{error}");
    assert_eq!(proxy.get(query).status, 200);
}
