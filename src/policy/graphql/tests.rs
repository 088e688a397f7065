use std::sync::Arc;

use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::json;

use super::refusal::GRAPHQL_REFUSED;
use super::*;
use crate::http::body::Body;
use crate::policy::table::Block as _;
use crate::testing::{Echo, headers, next, request};
use crate::value::problem::Problems;

fn config(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

fn judged(text: &str, limits: &str) -> Result<(), String> {
    document::judge(text, &config(limits))
}

#[test]
fn depth_counts_fields_through_fragments() {
    for (query, depth) in [
        ("{ a }", 1),
        ("{ a { b } c }", 2),
        (
            "query Q($x: [Int!] = [1]) @d { a(x: { y: { z: 1 } }) { b } }",
            2,
        ),
        (
            "{ a { ... on T { b { c } } ... @include(if: true) { d } } }",
            3,
        ),
        (
            "{ a { ...F } } fragment F on T { b { ...G } } fragment G on T { c }",
            3,
        ),
        (
            "{ ...F ...F } fragment F on T { ...G ...G } fragment G on T { a { b } }",
            2,
        ),
        ("query A { a } mutation B { b { c { d } } }", 3),
        ("subscription { a { __typename } }", 2),
    ] {
        assert_eq!(
            judged(query, &format!("max_depth = {depth}")),
            Ok(()),
            "{query}"
        );
        let error = judged(query, &format!("max_depth = {}", depth - 1)).unwrap_err();
        assert!(
            error.contains(&format!("a depth of {depth}")),
            "{query}: {error}"
        );
    }
}

#[test]
fn what_is_no_query_is_refused() {
    let wide = format!("{{ {} }}", "a ".repeat(20_000));
    let deep = format!("{}a{}", "{ a ".repeat(5_000), "}".repeat(5_000));
    let lists = format!("{{ a(x: {}{}) }}", "[".repeat(5_000), "]".repeat(5_000));
    let chain: String = (0..2_000)
        .map(|n| format!("fragment F{n} on T {{ ...F{} }} ", n + 1))
        .collect();
    let chain = format!("{{ ...F0 }} {chain} fragment F2000 on T {{ a }}");
    for (query, part) in [
        ("", "in line 1"),
        ("{ a ", "in line 1"),
        ("{ a }\n}", "in line 2"),
        ("type T { a: Int }", "defines types"),
        ("fragment F on T { a }", "no operation"),
        ("{ ...F }", "no fragment `F`"),
        ("{ ...F } fragment F on T { a { ...F } }", "`F` uses itself"),
        (
            "{ ...F } fragment F on T { ...G } fragment G on T { ...F }",
            "uses itself",
        ),
        (
            "{ ...F } fragment F on T { a } fragment F on T { b }",
            "two fragments `F`",
        ),
        (&wide, "limit"),
        (&deep, "limit"),
        (&lists, "limit"),
        (&chain, ""),
    ] {
        let error = judged(query, "max_depth = 9").unwrap_err();
        assert!(error.contains(part), "{:.40}: {error}", query);
    }
}

#[test]
fn operations_are_allowed_by_kind_and_by_name() {
    for (query, allowed, is) in [
        ("{ a }", "query", true),
        ("query A { a }", "query", true),
        ("mutation A { a }", "query", false),
        ("mutation A { a }", "A", true),
        ("query B { a }", "A", false),
        ("{ a }", "A", false),
        ("query A { a } mutation M { b }", "query", false),
        // A name that is the word of a kind does not stand for that kind.
        ("mutation query { a }", "query", false),
    ] {
        let limits = format!("allowed_operations = [{allowed:?}]");
        assert_eq!(judged(query, &limits).is_ok(), is, "{query} {allowed}");
    }
}

#[test]
fn the_schema_is_shown_or_not() {
    for (query, asks) in [
        ("{ a __typename }", false),
        ("{ __schemas }", false),
        ("{ a(x: \"__schema\") }", false),
        ("{ __schema { types { name } } }", true),
        ("{ a x: __type(name: \"T\") { name } }", true),
        (
            "{ ... { ...F } } fragment F on Query { __schema { types { name } } }",
            true,
        ),
        (
            "query A { a } query B { __schema { types { name } } }",
            true,
        ),
    ] {
        let judged = |settings| judged(query, settings);
        assert_eq!(judged("introspection = false").is_err(), asks, "{query}");
        assert_eq!(judged("introspection = true"), Ok(()), "{query}");
    }
}

async fn asked(method: &str, target: &str, kind: &str, body: &str) -> Result<String, Error> {
    let policy = GraphQl::new(&config("max_depth = 1\nerrors_are_failures = false"));
    let mut request = request(method, target);
    request.headers = headers(&[("content-type", kind)]);
    request.body = Body::full(body.to_owned());
    let response = policy.apply(request, next(&Echo)).await?;
    let body = response.body.collect().await.unwrap().to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn queries_are_found_wherever_they_may_stand() {
    const JSON: &str = "application/json";
    const BARE: &str = "application/graphql; charset=utf-8";
    for (method, target, kind, body, passes) in [
        ("POST", "/", JSON, r#"{"query":"{ a }"}"#, true),
        ("POST", "/", JSON, r#"{"query":"{ a { b } }"}"#, false),
        (
            "POST",
            "/",
            JSON,
            r#"[{"query":"{ a }"},{"query":"{ b }"}]"#,
            true,
        ),
        (
            "POST",
            "/",
            JSON,
            r#"[{"query":"{ a }"},{"query":"{ a { b } }"}]"#,
            false,
        ),
        ("POST", "/", JSON, "[]", false),
        (
            "POST",
            "/",
            JSON,
            r#"{"extensions":{"persistedQuery":{}}}"#,
            false,
        ),
        (
            "POST",
            "/",
            JSON,
            r#"{"query":"{ a }","query":"{ a { b } }"}"#,
            false,
        ),
        ("POST", "/", JSON, "{", false),
        ("POST", "/", BARE, "{ a }", true),
        ("POST", "/", BARE, "{ a { b } }", false),
        ("POST", "/", "text/plain", "{ a }", false),
        (
            "POST",
            "/?query=%7Ba%7D",
            JSON,
            r#"{"query":"{ a }"}"#,
            false,
        ),
        ("GET", "/?x=1&query=%7B+a+%7D", "", "", true),
        ("GET", "/?query=%7Ba%7Bb%7D%7D", "", "", false),
        ("GET", "/?query=%7Ba%7D&query=%7Ba%7Bb%7D%7D", "", "", false),
        ("GET", "/?Query=%7Ba%7Bb%7D%7D", "", "", false),
        ("GET", "/", "", "", false),
        ("PUT", "/", JSON, r#"{"query":"{ a }"}"#, false),
        ("OPTIONS", "/", "", "", true),
    ] {
        let outcome = asked(method, target, kind, body).await;
        match (outcome, passes) {
            (Ok(passed), true) => assert_eq!(passed, body),
            (Err(error), false) => {
                assert_eq!(error.reason(), GRAPHQL_REFUSED, "{method} {target} {body}")
            }
            (outcome, _) => panic!("{method} {target} {body}: {outcome:?}"),
        }
    }
}

/// The answer `body` as the policy passes it on; the echo makes an answer of a request.
async fn answered(settings: &str, body: &str) -> Result<String, Error> {
    let policy = GraphQl {
        config: Arc::new(config(settings)),
    };
    let mut request = request("POST", "/");
    request.headers = headers(&[("content-type", "application/graphql-response+json")]);
    request.body = Body::full(body.to_owned());
    let response = policy.apply(request, next(&Echo)).await?;
    let body = response.body.collect().await.unwrap().to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn errors_are_failures_and_data_is_unwrapped() {
    let failed = r#"{"data":null,"errors":[{"message":"no such order"},{"message":"b"}]}"#;
    let error = answered("", failed).await.unwrap_err();
    assert_eq!(error.reason(), GRAPHQL_ERRORS);
    assert!(
        error.detail().contains("no such order; b"),
        "{}",
        error.detail()
    );
    let in_batch = format!(r#"[{{"data":1}},{failed}]"#);
    assert_eq!(
        answered("", &in_batch).await.unwrap_err().reason(),
        GRAPHQL_ERRORS
    );
    for (settings, body, expected) in [
        ("", r#"{ "data": 1 }"#, r#"{ "data": 1 }"#),
        ("", r#"{"data":1,"errors":[]}"#, r#"{"data":1,"errors":[]}"#),
        (
            "unwrap_data = true",
            r#"{"data":{"z":1.10,"a":2},"extensions":{}}"#,
            r#"{"z":1.10,"a":2}"#,
        ),
        (
            "unwrap_data = true",
            r#"[{"data":1},{"data":null}]"#,
            "[1,null]",
        ),
        ("unwrap_data = true", r#"{"hello":1}"#, r#"{"hello":1}"#),
        (
            "unwrap_data = true\nerrors_are_failures = false",
            failed,
            failed,
        ),
    ] {
        assert_eq!(
            answered(settings, body).await.unwrap(),
            expected,
            "{settings} {body}"
        );
    }
    let many = json!({ "errors": vec![json!({ "message": "m".repeat(5_000) }); 50] });
    let error = answered("", &many.to_string()).await.unwrap_err();
    assert!(error.detail().len() < 1_000 && error.detail().ends_with("and more"));
}

#[test]
fn settings_without_sense_are_told() {
    for (settings, place) in [
        ("max_depth = 0", "max_depth"),
        ("allowed_operations = []", "allowed_operations"),
        ("allowed_operations = [\"a b\"]", "allowed_operations"),
        ("errors_are_failures = false", ""),
    ] {
        let mut problems = Problems::default();
        config(settings).check(&mut problems);
        let found = problems.into_vec();
        assert_eq!(found.len(), 1, "{settings}");
        assert_eq!(found[0].at.join("."), place, "{settings}");
    }
}

proptest! {
    #[test]
    fn any_text_is_judged(text in "(\\{|\\}|\\(|\\)|\\.\\.\\.|on|fragment|query|F|a|:|\\$|@|\"|#|\n| |,|\\[|\\]|!|é){0,40}") {
        let _ = judged(&text, "max_depth = 3\nallowed_operations = [\"query\"]");
    }
}
